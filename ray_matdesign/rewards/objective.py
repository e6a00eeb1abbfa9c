"""What a run designs for: scorers, their transforms, and one reward for each crystal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ray_matdesign.config.import_path import load_object
from ray_matdesign.config.schema import ObjectiveSettings, ObjectiveTerm
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, Scorer, Specimen
from ray_matdesign.rewards.transforms import aggregate, apply, check_weights

_HERE = "ray_matdesign.rewards.scorers"

SCORERS: dict[str, str] = {
    "density": f"{_HERE}.density:make",
    "hhi": f"{_HERE}.hhi:make",
    "price": f"{_HERE}.price:make",
    "abundance": f"{_HERE}.abundance:make",
    "formation_energy": f"{_HERE}.formation_energy:make",
    "magnetic_density": f"{_HERE}.magnetic_density:make",
    "bulk_modulus": f"{_HERE}.bulk_modulus:make",
}
"""Scorers by name: import paths of factories ``make(bench, **options) -> Scorer``."""


class ScorerError(RuntimeError):
    """Scorers that cannot be built, or break their contract."""


@dataclass(frozen=True)
class Evaluation:
    """What an objective found for one crystal.

    Attributes:
        values: Property by scorer name, in the scorer's unit; only those that were obtained.
        failures: Reason by scorer name where there is no value.
        reward: In [0, 1]; ``None`` if any value is missing, because a missing value is not a bad
            one.
    """

    values: Mapping[str, float]
    failures: Mapping[str, str]
    reward: float | None


@dataclass(frozen=True)
class Objective:
    """Scorers with their transforms.

    Attributes:
        settings: What was configured.
        scorers: One per term, in the order of ``settings.terms``.
    """

    settings: ObjectiveSettings
    scorers: tuple[Scorer, ...]

    def evaluate(self, specimens: Sequence[Specimen]) -> list[Evaluation]:
        """Scores each specimen; same order and length.

        Raises:
            ScorerError: A scorer returned another number of results than it was given specimens.
        """
        columns = [_checked_scores(scorer, specimens) for scorer in self.scorers]
        return [self._evaluation(row) for row in zip(*columns, strict=True)]

    def _evaluation(self, row: Sequence[float | Failed]) -> Evaluation:
        values: dict[str, float] = {}
        failures: dict[str, str] = {}
        for scorer, result in zip(self.scorers, row, strict=True):
            if isinstance(result, Failed):
                failures[scorer.name] = result.reason
            else:
                values[scorer.name] = result
        if failures:
            return Evaluation(values, failures, None)
        terms = self.settings.terms
        weights = [term.weight for term in terms]
        scores = [
            apply(term.transform, value) for term, value in zip(terms, values.values(), strict=True)
        ]
        return Evaluation(values, failures, aggregate(scores, weights, self.settings.aggregation))


def build_objective(settings: ObjectiveSettings, bench: Bench) -> Objective:
    """Builds the scorers an objective names.

    Raises:
        UnknownName: A scorer that is neither in ``SCORERS`` nor importable.
        ScorerError: A scorer that refuses its options.
        ValueError: Weights that the aggregation would ignore.
    """
    check_weights(settings)
    scorers = tuple(build_scorer(term, bench) for term in settings.terms)
    names = [scorer.name for scorer in scorers]
    if len(set(names)) < len(names):
        raise ScorerError(f"two scorers share a name: {', '.join(names)}")
    return Objective(settings, scorers)


def build_scorer(term: ObjectiveTerm, bench: Bench) -> Scorer:
    """Builds the scorer of one term; see :func:`build_objective`."""
    factory = load_object(term.scorer, SCORERS, what="scorer")
    try:
        scorer: Scorer = factory(bench, **term.options)
    except TypeError as error:
        raise ScorerError(f"scorer {term.scorer!r} refused its options: {error}") from error
    return scorer


def _checked_scores(scorer: Scorer, specimens: Sequence[Specimen]) -> list[float | Failed]:
    results = scorer.score(specimens)
    if len(results) != len(specimens):
        raise ScorerError(
            f"scorer {scorer.name!r} returned {len(results)} results for {len(specimens)} crystals"
        )
    return [_finite(result) for result in results]


def _finite(result: float | Failed) -> float | Failed:
    if isinstance(result, Failed):
        return result
    value = float(result)
    return value if math.isfinite(value) else Failed("the value is not a finite number")
