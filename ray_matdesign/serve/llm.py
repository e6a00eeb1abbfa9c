"""A language model behind an OpenAI-compatible endpoint, as an application of Ray Serve.

``serve run``, ``serve deploy`` and KubeRay's RayService take the same file, such as
``clusters/serve/llm.yaml``, whose ``args`` are :class:`ServedModelSettings`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ray import serve
from ray.util.metrics import Counter, Histogram
from starlette.requests import Request
from starlette.responses import Response

from ray_matdesign.config.llm import ServedModelSettings
from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.serve.gate import Gate
from ray_matdesign.serve.model_server import ModelServer, ModelServerLost

DEPLOYMENT = "llm"
_STOP_S = 60.0
"""Time that requests have to finish when a replica is taken away."""
_HEALTH_TIMEOUT_S = 60.0
"""A busy processor may keep a server from answering for long; a dead one is noticed at once."""
_BOUNDS_S = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0]


class NoToken(ValueError):
    """The environment of a replica lacks the token that clients are to send."""


def app(args: dict[str, Any]) -> serve.Application:
    """Builds the application.

    Args:
        args: As :class:`ServedModelSettings`.

    Raises:
        ConfigError: One line for each thing that is wrong with them.
    """
    settings = apply_overrides(ServedModelSettings, args, "args of the application", ())
    deployment = serve.deployment(
        name=DEPLOYMENT,
        num_replicas=settings.replicas,
        max_ongoing_requests=settings.max_ongoing_requests,
        max_queued_requests=settings.max_queued_requests,
        ray_actor_options={
            "num_cpus": settings.cpus,
            "num_gpus": settings.tensor_parallel if settings.gpus else 0,
        },
        health_check_period_s=settings.health_period_s,
        health_check_timeout_s=_HEALTH_TIMEOUT_S,
        graceful_shutdown_timeout_s=_STOP_S,
    )
    return deployment(LlmReplica).bind(settings.model_dump(mode="json"))


class LlmReplica:
    """One copy of the model: a server of its own, and the gate before it.

    Args:
        settings: As :class:`ServedModelSettings`, plain.

    Raises:
        NoToken: ``token_env`` names a variable that is not set here.
        ModelServerLost: The server could not be started.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        read = apply_overrides(ServedModelSettings, settings, "settings", ())
        token = _token(read, os.environ)
        self._server = ModelServer(read)
        self._gate = Gate(
            read,
            url=self._server.url,
            key=self._server.key,
            token=token,
            alive=lambda: self._server.alive,
            report=_Meter(read.name),
        )

    async def __call__(self, request: Request) -> Response:
        """Answers over HTTP."""
        return await self._gate.answer(request)

    async def check_health(self) -> None:
        """Called by Serve, which replaces the replica after three failures in a row.

        Raises:
            ModelServerLost: The server is no more, or unwell.
        """
        if not await self._gate.healthy():
            raise ModelServerLost("the model's server does not answer")

    async def __del__(self) -> None:
        """Called by Serve when the replica is taken away; without it, the guard does the same."""
        if hasattr(self, "_gate"):
            await self._gate.close()
            self._server.stop()


class _Meter:
    """Tells Ray's metrics of each finished request; see :mod:`ray_matdesign.distributed.metrics`.

    Args:
        model: Tags every figure.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._requests = Counter(
            "matdesign_llm_requests", "Requests finished", tag_keys=("model", "status")
        )
        self._seconds = Histogram(
            "matdesign_llm_request_seconds",
            "From a request's arrival at a replica to its last byte",
            boundaries=_BOUNDS_S,
            tag_keys=("model",),
        )
        self._tokens = Counter(
            "matdesign_llm_tokens", "Tokens read and written", tag_keys=("model", "kind")
        )

    def __call__(self, status: int, seconds: float, tokens: Mapping[str, int]) -> None:
        self._requests.inc(tags={"model": self._model, "status": str(status)})
        self._seconds.observe(seconds, tags={"model": self._model})
        for kind, count in tokens.items():
            if count > 0:  # Ray refuses to count by zero
                self._tokens.inc(count, tags={"model": self._model, "kind": kind})


def _token(settings: ServedModelSettings, environment: Mapping[str, str]) -> str | None:
    if settings.token_env is None:
        return None
    token = environment.get(settings.token_env, "").strip()
    if not token:
        raise NoToken(
            f"token_env: the environment variable {settings.token_env} is not set where the "
            f"replica runs"
        )
    return token
