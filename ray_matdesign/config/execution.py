"""Where a run's work is done, by whom, and in which Python."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from ray_matdesign.config.settings import Settings

RoleName = Literal["generator", "reward", "learner", "cheap_scorer", "dft_scorer"]
"""Who works: see ``rl.workers``."""


class ScorerPoolSettings(Settings):
    """Workers of their own for the scorers of one cost class."""

    workers: PositiveInt = 1
    cpus: PositiveFloat = 1.0
    gpus: Annotated[float, Field(ge=0.0)] = 0.0
    batch_size: PositiveInt = 1
    """Crystals sent to a worker at once."""
    deadline_s: PositiveFloat = 14400.0
    """Longest a batch may take."""


class EnvironmentSettings(Settings):
    """The Python a role's workers run in; what is not given is the cluster's own.

    It must hold the same Ray, and the same Python, as the driver; everything else may differ, as
    nothing but plain bytes and numbers crosses between workers.
    """

    pip: tuple[str, ...] = ()
    """Requirements, installed on each node when a worker first starts there."""
    uv: tuple[str, ...] = ()
    """The same, by uv, which must be installed on the nodes."""
    conda: str | None = None
    """Name or folder of a conda environment that every node has."""
    py_executable: str | None = None
    """Interpreter that every node has, with its options if it needs any."""
    env_vars: dict[str, str] = Field(default_factory=dict)
    working_dir: str | None = None
    """Folder, or URI of an archive, that workers start in and can import from."""

    @model_validator(mode="after")
    def _one_python(self) -> Self:
        given = [name for name in ("pip", "uv", "conda", "py_executable") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"a worker runs in one Python: give one of {', '.join(given)}")
        return self


class RoleEnvironments(Settings):
    """The environment of each role; by default the cluster's own."""

    generator: EnvironmentSettings | None = None
    reward: EnvironmentSettings | None = None
    learner: EnvironmentSettings | None = None
    cheap_scorer: EnvironmentSettings | None = None
    dft_scorer: EnvironmentSettings | None = None

    def given(self) -> dict[str, EnvironmentSettings]:
        """Environments by role, where there are any."""
        return {role: found for role in type(self).model_fields if (found := getattr(self, role))}


class ExecutionSettings(Settings):
    """Where the work runs."""

    backend: Literal["local", "ray"] = "local"
    address: str | None = None
    """Ray cluster to join; ``None`` joins ``RAY_ADDRESS`` if set, else starts a local one."""
    generators: PositiveInt = 1
    reward_workers: PositiveInt = 2
    min_reward_workers: PositiveInt | None = None
    """With Ray, reward workers to begin with, and to keep while there is little to do: more come,
    up to ``reward_workers``, while batches wait and the cluster has room. ``None`` keeps all."""
    idle_release_s: PositiveFloat = 60.0
    """How long a reward worker above the minimum may be idle before it is given back."""
    learners: PositiveInt = 1
    """Processes that share every fine-tuning; several need ``ray``."""
    cheap_scorers: ScorerPoolSettings | None = None
    """Where scorers of tables and geometry run; by default on the reward workers."""
    dft_scorers: ScorerPoolSettings | None = None
    """Where scorers of cost class ``dft`` run; by default they keep reward workers waiting."""
    cpus_per_worker: PositiveFloat = 1.0
    gpus_per_generator: Annotated[float, Field(ge=0.0)] = 0.0
    gpus_per_reward_worker: Annotated[float, Field(ge=0.0)] = 0.0
    gpus_per_learner: Annotated[float, Field(ge=0.0)] = 0.0
    """Of each of the learner's processes."""
    spread: tuple[RoleName, ...] = ("reward", "cheap_scorer", "dft_scorer")
    """Roles spread over as many nodes as there are, so that a lost node costs few workers; the
    others are packed onto few."""
    placement_deadline_s: PositiveFloat = 600.0
    """Longest wait for room in a cluster that others use as well."""
    environments: RoleEnvironments = RoleEnvironments()
    """Python environments of single roles; they need ``ray``."""
    batch_deadline_s: PositiveFloat = 1200.0
    batch_retries: NonNegativeInt = 2
    object_store_mib: Annotated[int, Field(ge=75)] = 512
    """Object store of a local Ray started by the run; Ray takes no less than 75."""

    @model_validator(mode="after")
    def _what_needs_ray(self) -> Self:
        if self.backend == "local" and self.learners > 1:
            raise ValueError(f"{self.learners} learners need backend ray")
        if self.backend == "local" and self.environments.given():
            raise ValueError("environments need backend ray: here all roles share one process")
        return self

    @model_validator(mode="after")
    def _minimum_below_maximum(self) -> Self:
        if (self.min_reward_workers or 0) > self.reward_workers:
            raise ValueError(
                f"min_reward_workers ({self.min_reward_workers}) must not exceed reward_workers "
                f"({self.reward_workers})"
            )
        return self

    @model_validator(mode="after")
    def _no_idle_environments(self) -> Self:
        for role, key in (("cheap_scorer", "cheap_scorers"), ("dft_scorer", "dft_scorers")):
            if role in self.environments.given() and getattr(self, key) is None:
                raise ValueError(f"environments.{role}: there are no such workers; set {key}")
        return self
