"""vLLM's own OpenAI-compatible server as a child process, on a port only this machine can reach.

A process of its own, rather than the engine inside the replica, for three reasons: its options and
its HTTP interface are documented and stay, while the engine's classes move between releases; the
CPU wheel has both alike; and it may live in a Python of its own, with packages that Ray's need not
agree with.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping

import httpx

from ray_matdesign.agents.llm.embedded import folder_of
from ray_matdesign.config.llm import ServedModelSettings
from ray_matdesign.serve import guard

HOST = "127.0.0.1"
VLLM = ("-m", "vllm.entrypoints.openai.api_server")
_KEY_VARIABLE = "VLLM_API_KEY"
_POLL_S = 0.2
_KNOCK_S = 10.0


class ModelServerLost(RuntimeError):
    """The server did not start, or is no more."""


class ModelServer:
    """A server and its life, which ends with this process's at the latest.

    Args:
        settings: What it serves, and how.

    Raises:
        ModelServerLost: It ended, or was not ready in time. What it printed is in the log of this
            process.
        FileNotFoundError: The embedded model is asked for and has not been prepared.

    Attributes:
        url: Where it listens.
        key: Without which it answers nobody; new for every server.
    """

    def __init__(self, settings: ServedModelSettings) -> None:
        port = _free_port()
        self.url = f"http://{HOST}:{port}"
        self.key = secrets.token_hex(32)
        self._process = subprocess.Popen(
            [sys.executable, guard.__file__, *command_of(settings, port)],
            stdin=subprocess.PIPE,
            env=self._environment(settings, os.environ),
        )
        try:
            self._wait_until_ready(settings.start_timeout_s)
        except BaseException:
            self.stop()
            raise

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ends it, and all that it started; idempotent."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(guard.GRACE_S + 10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _environment(
        self, settings: ServedModelSettings, inherited: Mapping[str, str]
    ) -> dict[str, str]:
        kept = {name: value for name, value in inherited.items() if name != settings.token_env}
        own = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        return {**kept, **own, **settings.env_vars, _KEY_VARIABLE: self.key}

    def _wait_until_ready(self, deadline_s: float) -> None:
        deadline = time.monotonic() + deadline_s
        headers = {"Authorization": f"Bearer {self.key}"}
        while time.monotonic() < deadline:
            status = self._process.poll()
            if status is not None:
                raise ModelServerLost(
                    f"the model's server ended with status {status} before it was ready; this "
                    f"replica's log has what it printed"
                )
            try:
                answer = httpx.get(f"{self.url}/v1/models", headers=headers, timeout=_KNOCK_S)
            except httpx.TransportError:
                time.sleep(_POLL_S)
                continue
            if answer.is_success:
                return
            time.sleep(_POLL_S)
        raise ModelServerLost(
            f"the model's server was not ready within {deadline_s:g} s (start_timeout_s)"
        )


def command_of(settings: ServedModelSettings, port: int) -> list[str]:
    """The command line of a server.

    Args:
        settings: What it serves, and how.
        port: Where it listens, on the loopback address.

    Raises:
        FileNotFoundError: The embedded model is asked for and has not been prepared.
    """
    embedded = folder_of(settings.model)
    if embedded is not None and not embedded.is_dir():
        small = " --small" if "small" in settings.model else ""
        raise FileNotFoundError(
            f"{embedded}: there is no model yet; run `ray-matdesign llm prepare{small}`"
        )
    own: dict[str, str | int | float | bool] = {
        "model": str(embedded or settings.model),
        "served-model-name": settings.name,
        "host": HOST,
        "port": port,
        "max-model-len": settings.max_context,
        "max-num-seqs": settings.max_ongoing_requests,
    }
    if settings.tensor_parallel > 1:
        # Left to itself, vLLM may look for a Ray to start its workers on.
        own |= {
            "tensor-parallel-size": settings.tensor_parallel,
            "distributed-executor-backend": "mp",
        }
    if not settings.gpus:
        # On CPUs vLLM 0.32 cannot rewind the generator of a seeded request whose prompt it takes
        # in parts, and ends over it: every prompt goes in at once.
        own |= {"no-enable-chunked-prefill": True, "max-num-batched-tokens": settings.max_context}
    command = list(settings.command) or [sys.executable, *VLLM]
    for name, value in {**own, **_dashed(settings.options)}.items():
        if value is False:
            continue
        command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return command


def _dashed(
    options: Mapping[str, str | int | float | bool],
) -> dict[str, str | int | float | bool]:
    return {name.replace("_", "-"): value for name, value in options.items()}


def _free_port() -> int:
    """A port that nobody has now; should someone take it first, the server ends and says so."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
