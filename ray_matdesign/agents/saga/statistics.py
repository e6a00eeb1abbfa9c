"""What is counted in a round: by code alone, each figure with an id that an analysis cites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.saga.inner import of_kind
from ray_matdesign.agents.saga.population import Member, on_front, rank, scores
from ray_matdesign.agents.saga.protocol import (
    Implemented,
    Leader,
    Optimized,
    Statistic,
    Statistics,
)
from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.rl.hypervolume import hypervolume

LEADERS = 12
_FREQUENT = 4
"""Elements whose share is told."""
_SATURATED, _IDLE = 0.95, 0.05
"""Scores above and below which an objective tells crystals apart no more."""
_LEAST_PAIRS = 3
"""Pairs of values below which a correlation means nothing."""
_BEST = 10
_CHANGED = ("reward.", "mean.", "best.", "diversity.", "value.")

Floats = NDArray[np.float64]


def statistics_of(
    number: int,
    members: Sequence[Member],
    objectives: Sequence[Implemented],
    found: Optimized,
    before: Statistics | None = None,
) -> Statistics:
    """Counts a round.

    Args:
        number: Of the round.
        members: Its population.
        objectives: Its objectives.
        found: What the optimizer counted.
        before: The round before, to compare with.
    """
    figures = [
        *_of_population(members, found),
        *_of_rewards(members, number),
        *_of_objectives(members, of_kind(objectives, "candidate"), number),
        *_of_pairs(members, of_kind(objectives, "candidate")),
        *_of_filters(found),
        *_of_population_objectives(objectives, found),
        *_of_elements(members),
    ]
    figures += _changes(figures, before)
    return Statistics(
        round=number, figures=tuple(figures), leaders=leaders_of(members, objectives)[:LEADERS]
    )


def leaders_of(members: Sequence[Member], objectives: Sequence[Implemented]) -> tuple[Leader, ...]:
    """Crystals as analyzer and selector see them, best reward first."""
    ranked = rank(members)
    table = scores(ranked, of_kind(objectives, "candidate"))
    front = on_front(table)
    names = [one.name for one in objectives if one.objective.spec.kind != "population"]
    return tuple(
        Leader(
            id=member.id,
            formula=member.relaxed.formula,
            reward=member.reward,
            e_above_hull_ev_per_atom=member.e_above_hull_ev_per_atom,
            front=bool(front[place]),
            values={name: member.values.get(name) for name in names},
        )
        for place, member in enumerate(ranked)
    )


def progress_of(
    members: Sequence[Member], objectives: Sequence[Implemented], measure: str
) -> float | None:
    """How far a campaign has come by the objectives that it began with.

    Args:
        members: All crystals so far.
        objectives: The candidate objectives of the beginning.
        measure: ``hypervolume`` of the scores from zero, or ``mean`` of the mean scores of the best
            ten crystals.

    Returns:
        ``None`` where no crystal has a value for each.
    """
    table = scores(members, objectives)
    whole = table[~np.isnan(table).any(axis=1)] if table.size else table[:0]
    if not len(whole):
        return None
    if measure == "hypervolume":
        return hypervolume(whole[on_front(whole)], np.zeros(whole.shape[1]))
    return float(np.sort(whole.mean(axis=1))[::-1][:_BEST].mean())


def _of_population(members: Sequence[Member], found: Optimized) -> Iterator[Statistic]:
    yield _figure("population.size", float(len(members)), "crystals handed on")
    yield _figure("population.carried", float(found.carried), "of these from earlier rounds")
    yield _figure("run.sampled", float(found.sampled), "crystals generated")
    yield _figure(
        "run.evaluated", float(found.evaluated), "crystals whose properties were computed"
    )
    for outcome, count in found.outcomes.items():
        share = count / found.sampled if found.sampled else None
        yield _figure(f"outcome.{outcome}", share, f"share of the generated: {outcome}")
    formulas = {member.relaxed.formula for member in members}
    share = len(formulas) / len(members) if members else None
    yield _figure("diversity.formulas", share, "different formulas for each crystal")
    yield _figure(
        "diversity.compositions", _spread(members), "mean composition distance, 0 alike to 1"
    )


def _of_rewards(members: Sequence[Member], number: int) -> Iterator[Statistic]:
    rewards = [member.reward for member in members if member.reward is not None]
    yield _figure("reward.mean", float(np.mean(rewards)) if rewards else None, "mean reward")
    yield _figure("reward.best", max(rewards, default=None), "best reward")
    new = [(m.loop, m.reward) for m in members if m.round == number and m.reward is not None]
    yield _figure("trend.reward", _trend(new), "rank correlation of reward with the loop")


def _of_objectives(
    members: Sequence[Member], objectives: Sequence[Implemented], number: int
) -> Iterator[Statistic]:
    table = scores(members, objectives)
    for place, one in enumerate(objectives):
        held = [m for m in members if one.name in m.values]
        values = np.array([m.values[one.name] for m in held])
        score = table[:, place][~np.isnan(table[:, place])]
        unit, name = one.objective.spec.unit, one.name
        best = np.max if one.objective.spec.direction == "maximize" else np.min
        yield _figure(f"mean.{name}", _or_none(np.mean, values), f"mean {name}", unit)
        yield _figure(f"std.{name}", _or_none(np.std, values), "its standard deviation", unit)
        yield _figure(f"best.{name}", _or_none(best, values), f"best {name}", unit)
        yield _figure(
            f"saturation.{name}",
            _or_none(np.mean, score >= _SATURATED),
            f"share with nearly the full score of {name}",
        )
        yield _figure(
            f"idle.{name}",
            _or_none(np.mean, score <= _IDLE),
            f"share with hardly any score of {name}",
        )
        new = [(m.loop, m.values[name]) for m in held if m.round == number]
        yield _figure(f"trend.{name}", _trend(new), f"rank correlation of {name} with the loop")


def _of_pairs(members: Sequence[Member], objectives: Sequence[Implemented]) -> Iterator[Statistic]:
    table = scores(members, objectives)
    for i, j in combinations(range(len(objectives)), 2):
        both = table[~np.isnan(table[:, [i, j]]).any(axis=1)]
        one, other = objectives[i].name, objectives[j].name
        yield _figure(
            f"corr.{one}.{other}",
            spearman(both[:, i], both[:, j]),
            f"rank correlation of the scores of {one} and {other}",
        )


def _of_filters(found: Optimized) -> Iterator[Statistic]:
    for name, share in found.let_through.items():
        yield _figure(f"let_through.{name}", share, f"share of crystals that {name} lets through")


def _of_population_objectives(
    objectives: Sequence[Implemented], found: Optimized
) -> Iterator[Statistic]:
    for one in of_kind(objectives, "population"):
        value = found.population_values.get(one.name)
        yield _figure(
            f"value.{one.name}", value, one.objective.spec.quantity, one.objective.spec.unit
        )


def _of_elements(members: Sequence[Member]) -> Iterator[Statistic]:
    counts = Counter(z for member in members for z in member.relaxed.elements)
    for z, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_FREQUENT]:
        symbol = SYMBOLS[z]
        yield _figure(f"element.{symbol}", count / len(members), f"share of crystals with {symbol}")


def _changes(figures: Sequence[Statistic], before: Statistics | None) -> list[Statistic]:
    if before is None:
        return []
    earlier = {figure.id: figure.value for figure in before.figures}
    return [
        _figure(
            f"change.{one.id}",
            one.value - was,
            f"change of {one.id} since the round before",
            one.unit,
        )
        for one in figures
        if one.id.startswith(_CHANGED)
        and one.value is not None
        and (was := earlier.get(one.id)) is not None
    ]


def spearman(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> float | None:
    """Rank correlation; ``None`` of fewer than three pairs, or where one of the two is constant."""
    if len(first) < _LEAST_PAIRS or np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic)


def _trend(pairs: Sequence[tuple[int, float]]) -> float | None:
    """Of what a round's own run found, with the loop in which it did."""
    return spearman([float(loop) for loop, _ in pairs], [value for _, value in pairs])


def _spread(members: Sequence[Member]) -> float | None:
    """Mean over pairs of half the sum of differences of atomic fractions."""
    if len(members) < 2:
        return None
    fractions = np.zeros((len(members), 119))
    for row, member in enumerate(members):
        for z, count in member.relaxed.counts.items():
            fractions[row, z] = count / len(member.relaxed)
    distances = [
        np.abs(fractions[i] - fractions[i + 1 :]).sum(axis=1) / 2.0 for i in range(len(members) - 1)
    ]
    return float(np.concatenate(distances).mean())


def _or_none(statistic: Callable[[Any], Any], values: NDArray[Any]) -> float | None:
    return float(statistic(values)) if len(values) else None


def _figure(id_: str, value: float | None, meaning: str, unit: str = "") -> Statistic:
    # Ten digits: what machines differ in is no part of a figure.
    rounded = None if value is None else float(f"{value:.10g}")
    return Statistic(id=id_, value=rounded, unit=unit, meaning=meaning)
