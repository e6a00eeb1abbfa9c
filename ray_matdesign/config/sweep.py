"""Every setting of a sweep: what is varied, how it is searched, and what counts as good."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from ray_matdesign.config.settings import Fraction, Settings

RECIPE = "recipe"
"""Key of the space that chooses the base of a trial instead of changing a setting of it."""


class _Listed(Settings):
    values: tuple[Any, ...] = Field(min_length=1)
    """Plain values; a mapping replaces the settings under the key as a whole, so that settings that
    depend on each other are chosen together."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if any(self.values.index(value) < place for place, value in enumerate(self.values)):
            raise ValueError("a value is given twice")
        return self


class Choice(_Listed):
    """One of several values, all alike likely."""

    kind: Literal["choice"]


class Grid(_Listed):
    """Every one of several values; of several grids every combination."""

    kind: Literal["grid"]


class _Range(Settings):
    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = getattr(self, "low"), getattr(self, "high")  # noqa: B009 - of the subclass
        if low >= high:
            raise ValueError(f"low ({low:g}) must be below high ({high:g})")
        step = getattr(self, "step", None)
        if step is not None and step > high - low:
            raise ValueError(f"step ({step:g}) is wider than the range")
        return self


class Uniform(_Range):
    """A real number, evenly distributed."""

    kind: Literal["uniform"]
    low: float
    high: float


class LogUniform(_Range):
    """A positive real number whose logarithm is evenly distributed."""

    kind: Literal["loguniform"]
    low: PositiveFloat
    high: PositiveFloat


class QUniform(Uniform):
    """``low`` plus a whole number of steps, up to ``high``."""

    kind: Literal["quniform"]  # type: ignore[assignment]
    step: PositiveFloat


class QLogUniform(LogUniform):
    """Likewise, the logarithm being evenly distributed before it is brought to a step."""

    kind: Literal["qloguniform"]  # type: ignore[assignment]
    step: PositiveFloat


class RandInt(_Range):
    """A whole number, both ends included."""

    kind: Literal["randint"]
    low: int
    high: int


class QRandInt(RandInt):
    """``low`` plus a whole number of steps, up to ``high``."""

    kind: Literal["qrandint"]  # type: ignore[assignment]
    step: PositiveInt


Dimension = Annotated[
    Choice | Grid | Uniform | LogUniform | QUniform | QLogUniform | RandInt | QRandInt,
    Field(discriminator="kind"),
]


class RandomSearch(Settings):
    """Every trial is drawn for itself: what any other algorithm has to beat."""

    kind: Literal["random"]


class GridSearch(Settings):
    """Every combination of the space's grids, once."""

    kind: Literal["grid"]


class Asha(Settings):
    """Random draws, of which the worse are stopped early (Li et al., arXiv:1810.05934)."""

    kind: Literal["asha"]
    grace_loops: PositiveInt = 5
    """Loops that every trial may run."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    """Of as many trials that reach a rung, one goes on; rungs lie a factor as far apart."""


class Nsga2(Settings):
    """Genetic search for the front of several metrics (Deb et al., 2002), by Optuna."""

    kind: Literal["nsga2"]
    population: Annotated[int, Field(ge=4)] = 12
    """Trials of a generation; the first is drawn at random."""
    crossover_probability: Fraction = 0.9
    swapping_probability: Fraction = 0.5
    mutation_probability: Fraction | None = None
    """``None`` for one over the number of dimensions."""


class PopulationBased(Settings):
    """Trials side by side; the worst go on from copies of the best, with settings changed a bit.

    A copy holds the policy, the optimiser's moments, the replay buffer and the memory (Jaderberg et
    al., arXiv:1711.09846).
    """

    kind: Literal["pbt"]
    interval_loops: PositiveInt = 5
    """Loops between comparisons."""
    quantile: Annotated[float, Field(gt=0.0, le=0.5)] = 0.25
    """Share of the trials that are replaced, and that they are replaced by."""
    resample_probability: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25
    """How often a setting is drawn anew instead of multiplied by 0.8 or 1.2."""


Algorithm = Annotated[
    RandomSearch | GridSearch | Asha | Nsga2 | PopulationBased, Field(discriminator="kind")
]


class Metric(Settings):
    """What makes a trial good; see ``docs/tune.md`` for the names."""

    name: str = Field(
        pattern=r"^(reward|best_reward|hits|hypervolume|sun_fraction|diversity"
        r"|(score|best)\.[\w.:-]+)$"
    )
    """``reward``, ``best_reward``, ``hits``, ``hypervolume``, ``sun_fraction``, ``diversity``,
    ``score.SCORER`` or ``best.SCORER``."""
    mode: Literal["max", "min"] = "max"


class PoolSettings(Settings):
    """Reward workers that all trials share, so that models are loaded once, not in each trial."""

    workers: NonNegativeInt = 0
    """0 leaves every trial its own ``execution.reward_workers``."""


class SweepConfig(Settings):
    """Many campaigns that differ in some settings."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    seed: NonNegativeInt = 0
    """Of the search; trial number ``n`` runs with ``seed + n`` unless told otherwise."""
    recipe: str
    """The base of every trial: a recipe, or a YAML file of a run."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Dotted keys of a run, and what they are in all trials."""
    space: dict[str, Dimension] = Field(min_length=1)
    """Dotted keys of a run, and what they may be; ``recipe`` for the base itself."""
    algorithm: Algorithm
    metrics: tuple[Metric, ...] = Field(min_length=1)
    trials: PositiveInt | None = None
    """How many; of a grid, as many as it has points."""
    concurrency: PositiveInt | None = None
    """Trials at a time; by default as many as the cluster has room for."""
    evaluations: PositiveInt | None = None
    """Property evaluations each trial may pay for: sets ``rl.loops``, so that trials with loops of
    different size are compared at equal cost."""
    retries: NonNegativeInt = 1
    """How often a failed trial is tried again, from its last checkpoint."""
    share_cache: bool = True
    """Keep values of scorers in the sweep's folder for all trials, unless the run names a cache."""
    pool: PoolSettings = PoolSettings()

    @model_validator(mode="after")
    def _trials_are_told(self) -> Self:
        is_grid = self.algorithm.kind == "grid"
        odd = [key for key, d in self.space.items() if (d.kind == "grid") != is_grid]
        if odd and is_grid:
            raise ValueError(f"algorithm grid takes grids alone; {', '.join(odd)}: must be one")
        if odd:
            raise ValueError(f"a grid needs algorithm grid; {', '.join(odd)}: make it a choice")
        if is_grid and self.trials is not None:
            raise ValueError("a grid has as many trials as points; remove trials")
        if not is_grid and self.trials is None:
            raise ValueError("trials is missing: only a grid tells by itself how many")
        return self

    @model_validator(mode="after")
    def _metrics_fit(self) -> Self:
        names = [metric.name for metric in self.metrics]
        if len(set(names)) < len(names):
            raise ValueError(f"a metric is given twice, got {', '.join(names)}")
        if self.algorithm.kind in ("asha", "pbt") and len(names) > 1:
            raise ValueError(
                f"{self.algorithm.kind} compares trials by one metric, got {', '.join(names)}; "
                f"for a front of several use nsga2"
            )
        if self.algorithm.kind == "nsga2" and len(names) < 2:
            raise ValueError("nsga2 looks for a front: give two metrics or more")
        return self

    @model_validator(mode="after")
    def _algorithm_fits(self) -> Self:
        if isinstance(self.algorithm, Nsga2):
            if self.trials is not None and self.trials < self.algorithm.population:
                raise ValueError(
                    f"trials ({self.trials}) must reach the population "
                    f"({self.algorithm.population})"
                )
            steps = [key for key, d in self.space.items() if d.kind == "qloguniform"]
            if steps:
                raise ValueError(f"nsga2 knows no qloguniform; {', '.join(steps)}: make it another")
        if isinstance(self.algorithm, PopulationBased):
            fixed = [key for key in self.space if not key.startswith("rl.")]
            if fixed:
                raise ValueError(
                    f"pbt changes settings of a policy that is being trained, of rl alone; "
                    f"{', '.join(fixed)}: cannot be changed then"
                )
        return self
