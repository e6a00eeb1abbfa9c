"""What the roles of a campaign are asked and what they answer: plain, frozen, JSON either way."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import Field, NonNegativeInt, PositiveInt

from ray_matdesign.agents.saga.settings import Aim, HeldOut, InnerSettings, Share
from ray_matdesign.config.settings import Settings

RoleName = Literal["planner", "implementer", "optimizer", "analyzer", "selector", "evaluator"]
FailureKind = Literal[
    "unreachable", "budget", "not_recorded", "bad_answer", "truncated", "sandbox", "run", "lost"
]


class RoleError(RuntimeError):
    """A role that could not answer; nothing was changed, and it may be asked again.

    Args:
        role: Which.
        kind: ``bad_answer`` and ``truncated`` are the model's, and a campaign goes on without that
            answer; with ``budget`` it comes to its end; the others break it off until it is
            resumed. ``lost`` is a role whose process died.
        reason: One line.
    """

    def __init__(self, role: RoleName, kind: FailureKind, reason: str) -> None:
        super().__init__(f"{role}: {reason}")
        self.role: RoleName = role
        self.kind: FailureKind = kind
        self.reason = reason

    def __reduce__(self) -> tuple[type[RoleError], tuple[RoleName, FailureKind, str]]:
        return type(self), (self.role, self.kind, self.reason)


class Planned(Aim):
    """An objective of a plan."""

    origin: Literal["initial", "planner", "reviewer"]
    since: PositiveInt
    """Round that it came in."""
    why: str = ""
    """What it is there for, as its author says."""


class Dropped(Settings):
    """An objective that did not come to be."""

    name: str
    attempt: PositiveInt
    reason: str


class Plan(Settings):
    """The objectives of a round, initial ones first."""

    thoughts: str = ""
    objectives: tuple[Planned, ...]
    retired: tuple[str, ...] = ()
    """Objectives of the round before that are not kept."""
    refused: tuple[Dropped, ...] = ()
    """What would have been added, had it made sense."""


class Finding(Settings):
    """One sentence or two of an analysis."""

    text: str
    cites: tuple[str, ...] = ()
    """Ids of the statistics it rests on; each one exists."""


class Analysis(Settings):
    """What a round has come to."""

    overview: tuple[Finding, ...] = ()
    performance: tuple[Finding, ...] = ()
    issues: tuple[Finding, ...] = ()
    recommendations: tuple[Finding, ...] = ()
    """For the objectives of the next round."""
    stop: bool = False
    reason: str = ""
    """Why to stop, or to go on."""


class Statistic(Settings):
    """One figure of a population."""

    id: str
    """Such as ``mean.density``; unique within a round."""
    value: float | None
    """``None`` where there is nothing to count."""
    unit: str = ""
    meaning: str
    """In words."""


class Leader(Settings):
    """A crystal as analyzer and selector see it."""

    id: str
    formula: str
    reward: float | None = None
    e_above_hull_ev_per_atom: float | None = None
    front: bool = False
    """Whether no other crystal surpasses it in every objective at once."""
    values: dict[str, float | None] = Field(default_factory=dict)
    """By objective, in its unit."""


class Statistics(Settings):
    """Everything that was counted in a round; by code, not by a model."""

    round: PositiveInt
    figures: tuple[Statistic, ...]
    leaders: tuple[Leader, ...] = ()
    """The best crystals, best first."""

    @property
    def ids(self) -> tuple[str, ...]:
        """What may be cited."""
        return tuple(figure.id for figure in self.figures)


class PlanRequest(Settings):
    """For the planner."""

    goal: str
    context: str = ""
    round: PositiveInt
    attempt: PositiveInt = 1
    """From 2 on, some of the plan before could not be had; ``dropped`` says what and why."""
    limit: PositiveInt
    """Most objectives."""
    initial: tuple[Aim, ...] = ()
    current: tuple[Planned, ...] = ()
    """Those of the round before; from the second attempt on, those of this round that stand."""
    statistics: Statistics | None = None
    report: Analysis | None = None
    """Of the round before."""
    dropped: tuple[Dropped, ...] = ()
    """In this round so far; names of earlier rounds' come with ``attempt`` 1."""
    remarks: tuple[str, ...] = ()
    """What reviewers said."""
    seed: NonNegativeInt = 0


class ImplementRequest(Settings):
    """For the implementer."""

    round: PositiveInt
    attempt: PositiveInt = 1
    objectives: tuple[Planned, ...]
    scorers: str
    """Folder of written scorers, which every role and worker can read."""
    python: bool = True
    repairs: NonNegativeInt = 3
    seed: NonNegativeInt = 0


class Implemented(Settings):
    """An objective with its scorer."""

    objective: Planned
    outcome: Literal["reused", "written"]
    scorer: str
    """What a term or filter of a run names."""
    artifact: str = ""
    """File in the folder of scorers, of a written one."""
    column: str
    """Name under which a run keeps the values."""
    low: float | None = None
    high: float | None = None
    """The ramp of the reward; of candidate objectives alone."""
    attempts: NonNegativeInt = 0
    """Scorers written until one passed."""
    reason: str = ""

    @property
    def name(self) -> str:
        """The objective's."""
        return self.objective.spec.name


class Implementation(Settings):
    """What became of a plan's objectives."""

    implemented: tuple[Implemented, ...] = ()
    dropped: tuple[Dropped, ...] = ()


class OptimizeRequest(Settings):
    """For the optimizer."""

    goal: str
    context: str = ""
    round: PositiveInt
    objectives: tuple[Implemented, ...]
    base: dict[str, Any]
    """A run's settings, as plain JSON."""
    directory: str
    """Folder of the round, where it works and leaves ``population.parquet``; asked again after a
    crash, it goes on there."""
    scorers: str
    inner: InnerSettings = InnerSettings()
    previous: str | None = None
    """Population of the round before."""
    restart_ratio: Share = 1.0
    population: PositiveInt = 64
    seed: NonNegativeInt = 0


class Optimized(Settings):
    """What a round found."""

    size: NonNegativeInt
    """Crystals in the population."""
    carried: NonNegativeInt = 0
    """Of these, taken over from the round before."""
    sampled: NonNegativeInt = 0
    evaluated: NonNegativeInt = 0
    """Crystals whose properties were paid for."""
    outcomes: dict[str, int] = Field(default_factory=dict)
    """How many crystals came how far."""
    let_through: dict[str, float | None] = Field(default_factory=dict)
    """By filter objective: share that it let through, of the crystals it was asked about."""
    best_reward: float | None = None
    population_values: dict[str, float | None] = Field(default_factory=dict)
    """Of population objectives, by name."""
    problems: tuple[str, ...] = ()
    """Lines on what could not be computed."""
    digest: str
    """Sha256 of the population's content."""


class AnalyzeRequest(Settings):
    """For the analyzer."""

    goal: str
    context: str = ""
    round: PositiveInt
    rounds: PositiveInt
    """At most."""
    objectives: tuple[Implemented, ...]
    dropped: tuple[Dropped, ...] = ()
    statistics: Statistics
    before: Statistics | None = None
    """Of the round before."""
    seed: NonNegativeInt = 0


class EvaluateRequest(Settings):
    """For the evaluator: every population on one set of objectives, or on held-out properties."""

    populations: tuple[str, ...]
    """Files, by round."""
    objectives: tuple[Implemented, ...] = ()
    held_out: tuple[HeldOut, ...] = ()
    base: dict[str, Any]
    scorers: str
    output: str
    """Parquet file that is written."""


class Evaluated(Settings):
    """What the evaluator wrote."""

    crystals: NonNegativeInt
    missing: dict[str, int] = Field(default_factory=dict)
    """Crystals without a value, by property."""
    success: tuple[float | None, ...] = ()
    """Of held-out properties: share of each round's crystals that pass all bounds."""
    problems: tuple[str, ...] = ()
    digest: str


class SelectRequest(Settings):
    """For the selector."""

    goal: str
    context: str = ""
    objectives: tuple[Implemented, ...]
    candidates: tuple[Leader, ...]
    count: PositiveInt
    seed: NonNegativeInt = 0


class Chosen(Settings):
    """A crystal that is worth making."""

    id: str
    why: str = ""


class Selection(Settings):
    """The campaign's answer, best first."""

    chosen: tuple[Chosen, ...] = ()


class Roles(Protocol):
    """Who does the work of a campaign; every method may be asked the same again.

    Each raises :class:`RoleError` and nothing else.
    """

    def plan(self, asked: PlanRequest) -> Plan:
        """Says what to design for in a round; initial objectives stay as they are."""
        ...

    def implement(self, asked: ImplementRequest) -> Implementation:
        """Finds or writes a scorer for each objective, or says why there is none."""
        ...

    def optimize(self, asked: OptimizeRequest) -> Optimized:
        """Looks for crystals, and writes the round's population."""
        ...

    def analyze(self, asked: AnalyzeRequest) -> Analysis:
        """Says what the figures mean for the objectives."""
        ...

    def evaluate(self, asked: EvaluateRequest) -> Evaluated:
        """Scores crystals that were found already; asks no language model."""
        ...

    def select(self, asked: SelectRequest) -> Selection:
        """Picks the crystals to make."""
        ...
