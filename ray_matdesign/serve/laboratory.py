"""The simulated laboratory as an application of Ray Serve.

One replica, as there is one laboratory; it may die at any moment, for its book is on disk, and
Serve starts another. An adapter of a real laboratory is served in the same way: see
docs/laboratory.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt, PositiveFloat
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from ray_matdesign.agents.laboratory.instruments import Mishaps
from ray_matdesign.agents.laboratory.messages import Limits
from ray_matdesign.agents.laboratory.simulated import REAL_TIME, SimulatedLab
from ray_matdesign.config.llm import EnvironmentVariable
from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.config.settings import Settings
from ray_matdesign.serve.lab_door import LabDoor

DEPLOYMENT = "laboratory"


class NoToken(ValueError):
    """The environment of the replica lacks a token that clients are to send."""


class LaboratorySettings(Settings):
    """A simulated laboratory and its door."""

    book: str
    """File with its jobs; its folder must be there wherever the replica may run."""
    seed: NonNegativeInt = 0
    hours_per_s: PositiveFloat = REAL_TIME
    """Laboratory hours that go by in a second."""
    limits: Limits = Limits()
    mishaps: Mishaps = Mishaps()
    token_env: EnvironmentVariable | None = None
    """Variable with the token of those who order; without one, everyone may."""
    staff_token_env: EnvironmentVariable | None = None
    """Variable with the token of those who approve; without one, nobody can. Those who order must
    not have it."""
    cpus: PositiveFloat = 0.5


def app(args: dict[str, Any]) -> serve.Application:
    """Builds the application.

    Args:
        args: As :class:`LaboratorySettings`.

    Raises:
        ConfigError: One line for each thing that is wrong with them.
    """
    settings = apply_overrides(LaboratorySettings, args, "args of the application", ())
    deployment = serve.deployment(
        name=DEPLOYMENT,
        num_replicas=1,
        max_ongoing_requests=32,
        ray_actor_options={"num_cpus": settings.cpus},
    )
    return deployment(LaboratoryReplica).bind(settings.model_dump(mode="json"))


class LaboratoryReplica:
    """The laboratory, and its door.

    Args:
        settings: As :class:`LaboratorySettings`, plain.

    Raises:
        NoToken: A variable that is named is not set here.
        BadBook: The file is something else, or was begun with another seed.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        read = apply_overrides(LaboratorySettings, settings, "settings", ())
        token = _token(read.token_env, os.environ)
        staff_token = _token(read.staff_token_env, os.environ)
        if token is not None and token == staff_token:
            raise NoToken("token_env and staff_token_env hold the same token: no approval is one")
        lab = SimulatedLab(
            Path(read.book),
            seed=read.seed,
            limits=read.limits,
            mishaps=read.mishaps,
            hours_per_s=read.hours_per_s,
        )
        self._door = LabDoor(lab, token=token, staff_token=staff_token)

    async def __call__(self, request: Request) -> Response:
        """Answers over HTTP."""
        return await self._door.answer(request)


def _token(name: str | None, environment: Mapping[str, str]) -> str | None:
    if name is None:
        return None
    token = environment.get(name, "").strip()
    if not token:
        raise NoToken(f"the environment variable {name} is not set where the replica runs")
    return token
