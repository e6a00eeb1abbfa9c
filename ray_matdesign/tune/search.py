"""A sweep in the terms of Ray Tune: what to try next, and whom to stop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    PopulationBasedTraining,
    TrialScheduler,
)
from ray.tune.search import BasicVariantGenerator, Searcher
from ray.tune.search.optuna import OptunaSearch

from ray_matdesign.config.sweep import (
    Asha,
    Choice,
    Dimension,
    Grid,
    GridSearch,
    LogUniform,
    Metric,
    Nsga2,
    PopulationBased,
    QRandInt,
    QUniform,
    RandInt,
    RandomSearch,
    SweepConfig,
    Uniform,
)
from ray_matdesign.config.trials import Changes
from ray_matdesign.tune.space import clip

GIVEN, NUMBER, CHANGES = "given", "number", "changes"
"""Tune gives a trial ``{given: {number, changes}}``."""

TIME = "loop"
"""What trials are compared at equal amounts of."""


class MissingPackage(ImportError):
    """An optional package that a sweep needs."""


@dataclass(frozen=True)
class Search:
    """What a tuner is made of.

    Attributes:
        param_space: What Tune resolves itself.
        search_alg: What proposes trials.
        scheduler: What ends them early; ``None`` for nothing.
        num_samples: How many trials for each point of ``param_space``.
    """

    param_space: dict[str, Any] | None
    search_alg: Searcher | BasicVariantGenerator
    scheduler: TrialScheduler | None
    num_samples: int


def search_of(config: SweepConfig, planned: Sequence[Changes], loops: int) -> Search:
    """The search of a sweep.

    Args:
        config: Of the sweep.
        planned: Trials known beforehand, see :func:`ray_matdesign.tune.space.plan`.
        loops: Of the longest trial.

    Raises:
        MissingPackage: The search is Optuna's, and that is not installed.
    """
    algorithm = config.algorithm
    if isinstance(algorithm, Nsga2):
        assert config.trials is not None
        return Search(None, _genetic(config, algorithm, planned), None, config.trials)
    points = [{NUMBER: n, CHANGES: dict(c)} for n, c in enumerate(planned, start=1)]
    space = {GIVEN: tune.grid_search(points)}
    return Search(space, BasicVariantGenerator(), _scheduler(config, loops), 1)


def _scheduler(config: SweepConfig, loops: int) -> TrialScheduler | None:
    algorithm = config.algorithm
    metric = config.metrics[0]
    match algorithm:
        case RandomSearch() | GridSearch() | Nsga2():
            return None
        case Asha():
            return AsyncHyperBandScheduler(
                time_attr=TIME,
                metric=metric.name,
                mode=metric.mode,
                grace_period=min(algorithm.grace_loops, loops),
                max_t=loops,
                reduction_factor=algorithm.reduction_factor,
            )
        case PopulationBased():
            return _population(config.space, algorithm, metric, loops)
        case _:
            assert_never(algorithm)


class _Population(PopulationBasedTraining):
    """Tune's, but for two things.

    A trial keeps its number when it goes on from another's checkpoint. And after its last loop it
    neither goes on nor serves as a model: there is nothing left to run.
    """

    def __init__(self, loops: int, **options: Any) -> None:
        super().__init__(**options)
        self._loops = loops

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        if result[TIME] >= self._loops:
            return TrialScheduler.CONTINUE
        decision: str = super().on_trial_result(tune_controller, trial, result)
        return decision

    def _get_new_config(self, trial: Any, trial_to_clone: Any) -> Any:
        new, operations = super()._get_new_config(trial, trial_to_clone)
        new[GIVEN][NUMBER] = trial.config[GIVEN][NUMBER]
        return new, operations


def _population(
    space: Mapping[str, Dimension], algorithm: PopulationBased, metric: Metric, loops: int
) -> TrialScheduler:
    def back_into_space(config: dict[str, Any]) -> dict[str, Any]:
        changes = config[GIVEN][CHANGES]
        changes.update({key: clip(dimension, changes[key]) for key, dimension in space.items()})
        return config

    mutations = {key: _domain(dimension) for key, dimension in space.items()}
    return _Population(
        loops,
        time_attr=TIME,
        metric=metric.name,
        mode=metric.mode,
        perturbation_interval=algorithm.interval_loops,
        hyperparam_mutations={GIVEN: {CHANGES: mutations}},
        quantile_fraction=algorithm.quantile,
        resample_probability=algorithm.resample_probability,
        custom_explore_fn=back_into_space,
        log_config=False,
    )


def _domain(dimension: Dimension) -> Any:
    """What PBT draws a setting from anew."""
    match dimension:
        case Choice() | Grid():
            return list(dimension.values)
        case RandInt():
            return tune.randint(dimension.low, dimension.high + 1)
        case LogUniform():
            return tune.loguniform(dimension.low, dimension.high)
        case Uniform():
            return tune.uniform(dimension.low, dimension.high)
        case _:
            assert_never(dimension)


class _Numbered(OptunaSearch):
    """Tune's, but that each trial is told its number, and gets values instead of Optuna's texts."""

    def __init__(self, dimensions: Mapping[str, Dimension], **options: Any) -> None:
        super().__init__(**options)
        self._dimensions = dict(dimensions)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        suggestion = super().suggest(trial_id)
        if suggestion is None:
            return None
        changes = {key: _decoded(d, suggestion[key]) for key, d in self._dimensions.items()}
        number = list(self._ot_trials).index(trial_id) + 1
        return {GIVEN: {NUMBER: number, CHANGES: changes}}


def _genetic(config: SweepConfig, algorithm: Nsga2, planned: Sequence[Changes]) -> Searcher:
    try:
        import optuna
    except ImportError as error:
        raise MissingPackage(
            f"algorithm nsga2 needs Optuna ({error}); pip install 'ray_matdesign[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(
        population_size=algorithm.population,
        mutation_prob=algorithm.mutation_probability,
        crossover_prob=algorithm.crossover_probability,
        swapping_prob=algorithm.swapping_probability,
        seed=config.seed,
    )
    first = [{key: _encoded(config.space[key], v) for key, v in c.items()} for c in planned]
    return _Numbered(
        config.space,
        space={key: _distribution(dimension) for key, dimension in config.space.items()},
        metric=[metric.name for metric in config.metrics],
        mode=[metric.mode for metric in config.metrics],
        sampler=sampler,
        points_to_evaluate=first,
    )


def _distribution(dimension: Dimension) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    match dimension:
        case Choice() | Grid():
            return CategoricalDistribution([_encoded(dimension, v) for v in dimension.values])
        case QRandInt():
            return IntDistribution(dimension.low, dimension.high, step=dimension.step)
        case RandInt():
            return IntDistribution(dimension.low, dimension.high)
        case QUniform():
            return FloatDistribution(dimension.low, dimension.high, step=dimension.step)
        case LogUniform():
            return FloatDistribution(dimension.low, dimension.high, log=True)
        case Uniform():
            return FloatDistribution(dimension.low, dimension.high)
        case _:
            assert_never(dimension)


def _encoded(dimension: Dimension, value: Any) -> Any:
    """A listed value as text, for Optuna's categories are scalars; others as they are."""
    return json.dumps(value) if isinstance(dimension, Choice | Grid) else value


def _decoded(dimension: Dimension, value: Any) -> Any:
    """Undoes :func:`_encoded`; numbers are brought into the range, which rounding may have left."""
    return json.loads(value) if isinstance(dimension, Choice | Grid) else clip(dimension, value)
