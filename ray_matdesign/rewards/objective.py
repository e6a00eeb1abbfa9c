"""What a run designs for: scorers, their transforms, and one reward for each crystal."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ray_matdesign.config.import_path import load_object
from ray_matdesign.config.objective import ObjectiveFilter, ObjectiveSettings, ObjectiveTerm
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.cache import CacheShelf, ScoreCache
from ray_matdesign.rewards.scorer import Bench, CostClass, Scorer, Specimen
from ray_matdesign.rewards.transforms import aggregate, apply

_HERE = "ray_matdesign.rewards.scorers"

SCORERS: dict[str, str] = {
    "density": f"{_HERE}.density:make",
    "hhi": f"{_HERE}.hhi:make",
    "price": f"{_HERE}.price:make",
    "abundance": f"{_HERE}.abundance:make",
    "formation_energy": f"{_HERE}.formation_energy:make",
    "e_above_hull": f"{_HERE}.e_above_hull:make",
    "magnetic_density": f"{_HERE}.magnetic_density:make",
    "bulk_modulus": f"{_HERE}.elasticity:bulk_modulus",
    "shear_modulus": f"{_HERE}.elasticity:shear_modulus",
    "youngs_modulus": f"{_HERE}.elasticity:youngs_modulus",
    "pugh_ratio": f"{_HERE}.elasticity:pugh_ratio",
    "vickers_hardness": f"{_HERE}.elasticity:vickers_hardness",
    "light_elements": f"{_HERE}.light_elements:make",
    "band_gap": f"{_HERE}.band_gap:make",
    "synthesizability": f"{_HERE}.synthesizability:make",
    "mcia": f"{_HERE}.mcia:make",
    "heat_capacity": f"{_HERE}.heat_capacity:make",
    "dielectric": f"{_HERE}.dielectric:make",
    "figure_of_merit": f"{_HERE}.figure_of_merit:make",
    "dft_band_gap": f"{_HERE}.dft:make_band_gap",
    "dft_formation_energy": f"{_HERE}.dft:make_formation_energy",
}
"""Scorers by name: import paths of factories ``make(bench, **options) -> Scorer``."""

_BY_COST = list(CostClass)
_PROMISED = ("name", "unit", "source", "cost", "version", "score")


class ScorerError(RuntimeError):
    """Scorers that cannot be built, or break their contract."""


@dataclass(frozen=True)
class Evaluation:
    """What an objective found for one crystal.

    Attributes:
        values: Property by scorer name, in the scorer's unit; only those that were obtained.
        failures: Reason by scorer name where there is no value.
        reward: In [0, 1]; ``None`` if any value is missing, because a missing value is not a bad
            one, and for a crystal that was turned down.
        rejection: The filter or least score it was turned down by; empty if it was not.
        computed: Cost class, by name, of the scorers that were run for it, successfully or not.
        recalled: The same of those whose value the cache held.
    """

    values: Mapping[str, float]
    failures: Mapping[str, str]
    reward: float | None
    rejection: str = ""
    computed: Mapping[str, CostClass] = field(default_factory=dict)
    recalled: Mapping[str, CostClass] = field(default_factory=dict)


@dataclass(frozen=True)
class Probe:
    """One property of an objective: who finds it, and what it is needed for.

    Attributes:
        scorer: Finds it.
        term: Where it enters the reward.
        limit: Where it is filtered by.
        shelf: Where its values are kept.
    """

    scorer: Scorer
    term: ObjectiveTerm | None
    limit: ObjectiveFilter | None
    shelf: CacheShelf | None = None

    @property
    def asked(self) -> str:
        """The name the scorer is asked for by."""
        found = self.term or self.limit
        return found.scorer if found else self.scorer.name

    @property
    def is_gate(self) -> bool:
        """Whether it can turn a crystal down."""
        return self.limit is not None or (self.term is not None and self.term.min_score is not None)

    def score(self, specimens: Sequence[Specimen]) -> list[tuple[float | Failed, bool]]:
        """Each specimen's property, and whether the cache held it; same order and length.

        Raises:
            ScorerError: The scorer returned another number of results than it was given specimens.
        """
        held = self.shelf.recall(specimens) if self.shelf else [None] * len(specimens)
        unknown = [s for s, value in zip(specimens, held, strict=True) if value is None]
        found = _checked_scores(self.scorer, unknown) if unknown else []
        if self.shelf:
            self.shelf.keep(unknown, found)
        fresh = iter(found)
        return [(next(fresh), False) if value is None else (value, True) for value in held]

    def objection(self, value: float) -> str:
        """Why a crystal with this value is turned down; empty if it is not."""
        name, limit = self.scorer.name, self.limit
        if limit is not None and limit.min is not None and value < limit.min:
            return f"{name} {value:.6g} < min {limit.min:g}"
        if limit is not None and limit.max is not None and value > limit.max:
            return f"{name} {value:.6g} > max {limit.max:g}"
        if self.term is not None and self.term.min_score is not None:
            score = apply(self.term.transform, value)
            if score < self.term.min_score:
                return f"{name} scores {score:.3g} < min_score {self.term.min_score:g}"
        return ""


@dataclass
class _Draft:
    """What is known of one specimen so far."""

    values: dict[str, float]
    failures: dict[str, str] = field(default_factory=dict)
    rejection: str = ""
    computed: dict[str, CostClass] = field(default_factory=dict)
    recalled: dict[str, CostClass] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether it is worth going on."""
        return not self.failures and not self.rejection

    def note(self, probe: Probe, result: float | Failed, recalled: bool) -> None:
        """Takes in what a probe found."""
        name = probe.scorer.name
        (self.recalled if recalled else self.computed)[name] = probe.scorer.cost
        if isinstance(result, Failed):
            self.failures[name] = result.reason
        else:
            self.values[name] = result
            self.rejection = probe.objection(result)


@dataclass(frozen=True)
class Objective:
    """Scorers with their transforms and filters.

    Attributes:
        settings: What was configured.
        probes: The terms', in the order of ``settings.terms``, then those for filters alone.
    """

    settings: ObjectiveSettings
    probes: tuple[Probe, ...]

    @property
    def scorers(self) -> tuple[Scorer, ...]:
        """Those of the terms, in the order of ``settings.terms``, then those for filters alone."""
        return tuple(probe.scorer for probe in self.probes)

    def only(self, names: Collection[str] | None) -> Objective:
        """The part that some scorers can tell, by the names they are asked for; ``None`` for all.

        Its rewards are of that part alone.
        """
        if names is None:
            return self
        return Objective(
            self.settings.only(names), tuple(p for p in self.probes if p.asked in names)
        )

    def screen(self, specimens: Sequence[Specimen]) -> list[Evaluation]:
        """Finds only what is cheap and can turn a crystal down; same order and length.

        The values may be handed to :meth:`evaluate`, which then does not look for them again.

        Raises:
            ScorerError: See :meth:`evaluate`.
        """
        gates = [p for p in self.probes if p.is_gate and p.scorer.cost is CostClass.CHEAP]
        drafts = _explore(gates, specimens, [{}] * len(specimens))
        return [self._evaluation(draft) for draft in drafts]

    def evaluate(
        self,
        specimens: Sequence[Specimen],
        known: Sequence[Mapping[str, float]] | None = None,
    ) -> list[Evaluation]:
        """Scores each specimen; same order and length.

        Cheaper cost classes come first; within a class filters, then terms with a least score, then
        the others. A crystal that is turned down, or for which a scorer fails, is given to no
        further scorer.

        Args:
            specimens: Relaxed crystals.
            known: Values of each that :meth:`screen` found already.

        Raises:
            ScorerError: A scorer returned another number of results than it was given specimens.
        """
        drafts = _explore(self.probes, specimens, known or [{}] * len(specimens))
        return [self._evaluation(draft) for draft in drafts]

    def _evaluation(self, draft: _Draft) -> Evaluation:
        return Evaluation(
            draft.values,
            draft.failures,
            reward_of(self.settings, self._of_terms(draft.values)) if draft.open else None,
            draft.rejection,
            draft.computed,
            draft.recalled,
        )

    def _of_terms(self, values: Mapping[str, float]) -> list[float | None]:
        return [values.get(p.scorer.name) for p in self.probes if p.term is not None]


def reward_of(settings: ObjectiveSettings, values: Sequence[float | None]) -> float | None:
    """Reward from the properties of the terms, in their order; ``None`` if one is missing."""
    if not values or any(value is None for value in values):
        return None
    pairs = zip(settings.terms, values, strict=True)
    scores = [apply(term.transform, value) for term, value in pairs if value is not None]
    weights = [term.weight for term in settings.terms]
    return aggregate(scores, weights, settings.aggregation)


def build_objective(
    settings: ObjectiveSettings, bench: Bench, cache: ScoreCache | None = None
) -> Objective:
    """Builds the scorers an objective names.

    Args:
        settings: What is designed for.
        bench: The scorers' instruments.
        cache: Where values of scorers that are not cheap are kept.

    Raises:
        UnknownName: A scorer that is neither in ``SCORERS`` nor importable.
        ScorerError: A scorer that refuses its options or breaks its contract.
    """
    limits = {limit.scorer: limit for limit in settings.filters}
    probes = [_probe(term, limits.pop(term.scorer, None), bench, cache) for term in settings.terms]
    probes += [_probe(None, limit, bench, cache) for limit in limits.values()]
    names = [probe.scorer.name for probe in probes]
    if len(set(names)) < len(names):
        raise ScorerError(f"two scorers share a name: {', '.join(names)}")
    return Objective(settings, tuple(probes))


def build_scorer(asked: ObjectiveTerm | ObjectiveFilter, bench: Bench) -> Scorer:
    """Builds the scorer of one term or filter; see :func:`build_objective`."""
    factory = load_object(asked.scorer, SCORERS, what="scorer")
    try:
        scorer: Scorer = factory(bench, **asked.options)
    except TypeError as error:
        raise ScorerError(f"scorer {asked.scorer!r} refused its options: {error}") from error
    missing = [name for name in _PROMISED if not hasattr(scorer, name)]
    if missing:
        raise ScorerError(
            f"scorer {asked.scorer!r} has no {', '.join(missing)}; a scorer needs "
            f"{', '.join(_PROMISED)}"
        )
    return scorer


def shelf_of(
    scorer: Scorer, asked: str, options: Mapping[str, Any], cache: ScoreCache | None
) -> CacheShelf | None:
    """Where a cache keeps a scorer's values; ``None`` for cheap ones, or without a cache.

    Args:
        scorer: Built.
        asked: The name it was asked for by: an entry of ``SCORERS``, or an import path.
        options: What it was built with.
        cache: To keep its values in.
    """
    if cache is None or scorer.cost is CostClass.CHEAP:
        return None
    return cache.shelf(scorer.name, scorer.version, SCORERS.get(asked, asked), options)


def _probe(
    term: ObjectiveTerm | None,
    limit: ObjectiveFilter | None,
    bench: Bench,
    cache: ScoreCache | None,
) -> Probe:
    asked = term or limit
    assert asked is not None
    scorer = build_scorer(asked, bench)
    return Probe(scorer, term, limit, shelf_of(scorer, asked.scorer, asked.options, cache))


def _explore(
    probes: Sequence[Probe],
    specimens: Sequence[Specimen],
    known: Sequence[Mapping[str, float]],
) -> list[_Draft]:
    """Applies the probes by price, each to the specimens still worth going on with."""
    drafts = [_Draft(dict(values)) for values in known]
    for probe in sorted(
        probes, key=lambda p: (_BY_COST.index(p.scorer.cost), p.limit is None, not p.is_gate)
    ):
        going = [
            (specimen, draft)
            for specimen, draft in zip(specimens, drafts, strict=True)
            if draft.open and probe.scorer.name not in draft.values
        ]
        if going:
            found = probe.score([specimen for specimen, _ in going])
            for (_, draft), (result, recalled) in zip(going, found, strict=True):
                draft.note(probe, result, recalled)
    return drafts


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
