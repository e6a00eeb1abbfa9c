"""What the benchmark of reinforcement learning runs: tasks, modes and seeds, from ``rl.yaml``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from ray_matdesign.config.loading import load_run_config, load_settings
from ray_matdesign.config.objective import ObjectiveSettings
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.config.settings import Settings

Call = tuple[str, Callable[..., None], tuple[object, ...]]
"""What a worker process does: a name for messages, a function, its arguments."""
PLAN = Path(__file__).resolve().with_name("rl.yaml")
ROOT = Path(__file__).resolve().parents[1] / "build" / "bench" / "rl"
BASELINE = "matinvent"
"""The mode that the others are held against."""
PRIOR = "prior"
"""Stands for a mode: the policy before any learning."""


class Task(Settings):
    """One property, or several, to design for."""

    recipe: str
    overrides: tuple[str, ...] = ()
    target: float
    """Where the mean is to go, in the unit of what is measured."""
    measure: Literal["property", "reward"] = "property"
    """What the mean is of: the first term's property, or the reward of all terms."""
    unit: str = ""
    """Of what is measured; rewards have none."""
    modes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Overrides of a mode that hold for this task."""
    scored_per_loop: PositiveInt | None = None
    """Survivors of each loop scored without being billed; all of them by default."""
    second_opinion: Literal["potential", "geometry"] = "potential"
    """Whether the second potential serves the scorers, or brings crystals to rest and no more."""


class Hits(Settings):
    """What counts against conditional generation."""

    ask: float
    """Value the conditional model is asked for."""
    min: float
    max: float | None = None


class Rival(Settings):
    """Conditional generation at an equal number of labels."""

    budgets: dict[PositiveInt, tuple[str, ...]]
    """Labels, and what a run that may spend so many sets otherwise: loops of another size."""
    guidance: tuple[Annotated[float, Field(ge=0.0)], ...]
    epochs: PositiveInt
    lr: PositiveFloat
    batch_size: PositiveInt
    tasks: dict[str, Hits]


class Plan(Settings):
    """Everything there is to run."""

    settings: tuple[str, ...]
    """Overrides that all runs share."""
    tasks: dict[str, Task]
    modes: dict[str, tuple[str, ...]]
    """Overrides of each mode; a word without ``=`` stands for all of another mode's."""
    rival: Rival

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        if BASELINE not in self.modes or PRIOR in self.modes:
            raise ValueError(f"modes must hold {BASELINE!r}, and {PRIOR!r} is none")
        if unknown := sorted(set(self.rival.tasks) - set(self.tasks)):
            raise ValueError(f"rival.tasks: no task {', '.join(unknown)}")
        earlier: set[str] = set()  # a mode is built on those above it, so that none needs itself
        for mode, overrides in self.modes.items():
            if unknown := sorted({w for w in overrides if "=" not in w} - earlier):
                raise ValueError(f"modes.{mode}: no mode {', '.join(unknown)} above it")
            earlier.add(mode)
        return self

    def overrides(self, task: str, mode: str) -> list[str]:
        """What a mode sets in a task."""
        found: list[str] = []
        for word in self.modes.get(mode, ()):
            found += [word] if "=" in word else self.overrides(task, word)
        return [*found, *self.tasks[task].modes.get(mode, ())]


@dataclass(frozen=True)
class Job:
    """One run and what is measured on it.

    Attributes:
        task: Of the plan.
        mode: Of the plan, or :data:`PRIOR`, which is measured without a run.
        seed: Of the run.
        loops: To run.
        final: Crystals drawn from the final policy.
        judged: Survivors among them, at most, that the second potential judges.
        root: Folder of all runs.
        extra: Overrides on top of the plan's, for a quick look.
    """

    task: str
    mode: str
    seed: int
    loops: int
    final: int
    judged: int
    root: Path = ROOT
    extra: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The run directory."""
        return self.root / self.task / self.mode / str(self.seed)

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.task}/{self.mode}/{self.seed}"

    @property
    def population(self) -> Path:
        """Table of the crystals drawn from the final policy, scored."""
        return self.folder / "bench" / f"population-{self._learnt:05d}-{self.final}.parquet"

    @property
    def opinion(self) -> Path:
        """Table of its survivors as the second potential sees them."""
        name = f"opinion-{self._learnt:05d}-{self.final}-{self.judged}.parquet"
        return self.folder / "bench" / name

    @property
    def survivors(self) -> Path:
        """Table of the properties of the loops' survivors."""
        return self.folder / "bench" / f"survivors-{self.loops:05d}.parquet"

    @property
    def _learnt(self) -> int:
        """Loops behind the final policy: the prior is the same however long others run."""
        return 0 if self.mode == PRIOR else self.loops


def load_plan(path: Path = PLAN) -> Plan:
    """Reads the plan.

    Raises:
        ConfigError: One line for each thing that is wrong with it.
    """
    return load_settings(Plan, path.read_text(encoding="utf-8"), path.name)


def config_of(plan: Plan, job: Job) -> RunConfig:
    """Settings of a job's run; for the prior, those that its crystals are drawn and judged with.

    Raises:
        ConfigError: An override that is no setting, or a recipe that does not exist.
    """
    task = plan.tasks[job.task]
    mode = plan.overrides(job.task, job.mode)
    own = (f"rl.loops={job.loops}", f"seed={job.seed}")
    overrides = [*plan.settings, *task.overrides, *mode, *own, *job.extra]
    return load_run_config(task.recipe, overrides)


def measuring(plan: Plan, job: Job) -> RunConfig:
    """The settings with which crystals are measured: alike for all modes of a task.

    The gate is the task's, even for a mode that runs without it, and no filter or least score
    keeps a property from being computed.
    """
    task = plan.tasks[job.task]
    config = config_of(plan, job)
    stability = load_run_config(task.recipe, [*plan.settings, *task.overrides]).stability
    objective = open_objective(config.objective)
    return config.model_copy(update={"stability": stability, "objective": objective})


def open_objective(settings: ObjectiveSettings) -> ObjectiveSettings:
    """The objective with nothing that turns crystals down."""
    terms = tuple(term.model_copy(update={"min_score": None}) for term in settings.terms)
    return settings.model_copy(update={"terms": terms, "filters": ()})
