"""Settings of campaigns as a service: where they are kept, who works on them, who may ask."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from ray_matdesign.config.llm import EnvironmentVariable
from ray_matdesign.config.settings import Settings


class ServedRoleSettings(Settings):
    """The replicas of one role."""

    replicas: PositiveInt = 1
    cpus: NonNegativeFloat = 0.1
    """Ray's CPUs for each replica; a role that asks a language model mostly waits."""
    gpus: NonNegativeFloat = 0.0
    max_ongoing_requests: PositiveInt = 4
    """Requests that a replica works on at once."""
    max_queued_requests: NonNegativeInt = 16
    """Requests that wait for a replica, for each campaign; more are refused."""
    timeout_s: PositiveFloat = 3600.0
    """Longest a request may take, its wait included."""
    env_vars: dict[str, str] = Field(default_factory=dict)
    """Added to the environment of the replicas."""


class ServedRolesSettings(Settings):
    """Who plays each role."""

    planner: ServedRoleSettings = ServedRoleSettings()
    implementer: ServedRoleSettings = ServedRoleSettings(cpus=1.0)
    """Has written scorers examined, in a sandbox where they are Python."""
    optimizer: ServedRoleSettings = ServedRoleSettings(
        cpus=1.0, max_ongoing_requests=1, timeout_s=7 * 86_400.0
    )
    """Runs the inner loop."""
    analyzer: ServedRoleSettings = ServedRoleSettings()
    evaluator: ServedRoleSettings = ServedRoleSettings(
        cpus=1.0, max_ongoing_requests=1, timeout_s=7 * 86_400.0
    )
    """Scores what was found on other objectives, and on the held-out properties."""
    selector: ServedRoleSettings = ServedRoleSettings()

    def of(self, role: str) -> ServedRoleSettings:
        """The settings of one role."""
        found: ServedRoleSettings = getattr(self, role)
        return found

    def names(self) -> tuple[str, ...]:
        """All roles."""
        return tuple(type(self).model_fields)


class ServedSagaSettings(Settings):
    """Campaigns behind an HTTP interface, on Ray Serve."""

    folder: Annotated[str, Field(min_length=1)]
    """Holds a folder for each campaign; all nodes must see it under this path."""
    token_env: EnvironmentVariable | None = None
    """Environment variable of the replicas that holds the bearer token clients must send; without
    one, only this machine's loopback address is answered."""
    roles: ServedRolesSettings = ServedRolesSettings()
    factory: str = "ray_matdesign.serve.saga_roles:roles_in"
    """Import path of what makes the roles of a campaign from its folder, for one question."""
    max_campaigns: PositiveInt = 8
    """Campaigns under way at once."""
    max_request_bytes: PositiveInt = 1_000_000
    max_ongoing_requests: PositiveInt = 64
    """HTTP requests at once, those included that wait for events."""
    controller_cpus: NonNegativeFloat = 0.1
    """Ray's CPUs for each campaign's controller."""
    poll_s: PositiveFloat = 0.5
    """Between two looks at a campaign that somebody follows."""
