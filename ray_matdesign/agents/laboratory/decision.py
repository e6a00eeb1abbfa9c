"""Which experiment to do next.

Belief is over windows of temperature for each route: from where the reaction is done in time to
where the target is lost again, with some purity before and after. Every experiment updates it by
Bayes' rule over a grid of windows; one with another route counts the less, the less the two have in
common (a power of its likelihood). Whether a route works at all is inferred beside it. What two
precursors were seen to make and leave standing, as in ARROWS (Szymanski et al., Nature
Communications 14, 6956 (2023)), counts against every route in which the two meet, until it is seen
to go. The experiment most likely to reach the goal is next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.laboratory.phases import PHASES
from ray_matdesign.agents.laboratory.planning import Route
from ray_matdesign.agents.laboratory.precursors import PRECURSORS

Floats = NDArray[np.float64]

_ONSETS_C = np.arange(250.0, 1351.0, 50.0)
_WIDTHS_C = np.arange(100.0, 1001.0, 100.0)
_LEVELS = (0.0, 0.5)
"""Purity before the window, and after it: the grid of windows."""
_ONSET_ABOVE_MOBILE_C, _ONSET_SPREAD_C = 150.0, 200.0
"""Where a reaction is expected to be done, above where its precursors begin to move."""
_WIDTH_C, _WIDTH_SPREAD_C = 400.0, 300.0
_EDGE_C = 25.0
"""Width of the logistic curves at either end."""
_PER_LOG_H_C = 40.0
"""By how much an e-fold longer time lowers both ends of the window."""
_MISFIT = 0.12
"""Standard deviation of purities about their window."""
_STRANGE = 0.05
"""Share of experiments that no window says anything about."""
_HOPELESS, _HOPELESS_MISFIT = 0.3, 0.04
"""Share of routes that never work, and what their purities scatter by."""
_UNLIKE, _OVERLAP = 0.4, 0.6
"""How much an experiment tells of a route that shares no precursor, and more for those shared."""
_OTHER_GAS = 0.5
"""... and by what factor less, if the atmosphere is another."""
_RANK_WEIGHT = 0.5
_HOT_C = 150.0
"""How far beyond the temperature where a by-product stayed it is expected to be gone."""
_BLOCKING = 1.0
_SEEN = 0.03
"""Shares of mass below this are noise."""
_GOAL = 0.92


@dataclass(frozen=True)
class Experiment:
    """A route at a temperature for a time.

    Attributes:
        route: Index in the list of routes.
        temperature_c: Of the furnace.
        hold_h: Hours there.
    """

    route: int
    temperature_c: float
    hold_h: float


@dataclass(frozen=True)
class Observation:
    """What came of an experiment.

    Attributes:
        experiment: That was done.
        purity: Share of the target in everything crystalline, 0 to 1.
        shares: Of each phase found, by name.
    """

    experiment: Experiment
    purity: float
    shares: Mapping[str, float] = field(default_factory=dict)


class Strategy(Protocol):
    """Chooses experiments."""

    def choose(
        self, open_experiments: Sequence[Experiment], seen: Sequence[Observation]
    ) -> Experiment:
        """The next experiment, of those not done yet; the same for the same arguments.

        Args:
            open_experiments: At least one.
            seen: In the order they were done.
        """
        ...


class RandomOrder:
    """Takes experiments in an order drawn beforehand: what any strategy has to beat.

    Args:
        seed: Of the order.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def choose(
        self, open_experiments: Sequence[Experiment], seen: Sequence[Observation]
    ) -> Experiment:
        """See :class:`Strategy`."""
        rng = np.random.default_rng([self._seed, len(open_experiments), len(seen)])
        return open_experiments[int(rng.integers(len(open_experiments)))]


class ActiveLearning:
    """Takes the experiment most likely to reach the goal, by all that was seen.

    Args:
        routes: Best first, as planned.
        goal: Purity that is wanted.
    """

    def __init__(self, routes: Sequence[Route], goal: float = _GOAL) -> None:
        self._routes = tuple(routes)
        self._goal = goal
        self._likeness = _likeness(self._routes)

    def choose(
        self, open_experiments: Sequence[Experiment], seen: Sequence[Observation]
    ) -> Experiment:
        """See :class:`Strategy`."""
        return open_experiments[int(np.argmax(self.chances(open_experiments, seen)))]

    def chances(self, experiments: Sequence[Experiment], seen: Sequence[Observation]) -> Floats:
        """Logarithm of the probability of each experiment to reach the goal, shape ``(n,)``."""
        blocks = _blocks(self._routes, seen)
        chances = np.empty(len(experiments))
        for index, route in enumerate(self._routes):
            mine = [i for i, one in enumerate(experiments) if one.route == index]
            if not mine:
                continue
            chosen = [experiments[i] for i in mine]
            belief = self._belief(index, seen)
            reached = _above(_purities(chosen), self._goal, _MISFIT / 2.0)
            works = self._works(index, belief, seen)
            chances[mine] = np.log(belief @ reached * works + 1e-12)
            chances[mine] -= _RANK_WEIGHT * index / max(len(self._routes) - 1, 1)
            for i in mine:
                chances[i] -= sum(block.weight(route, experiments[i]) for block in blocks)
        return chances

    def _belief(self, route: int, seen: Sequence[Observation]) -> Floats:
        """Posterior probability of each window of the grid for a route, shape ``(w,)``."""
        onsets, widths, before, after = _grid()
        onset = self._routes[route].starts_c + _ONSET_ABOVE_MOBILE_C
        logs = -0.5 * ((onsets - onset) / _ONSET_SPREAD_C) ** 2
        logs -= 0.5 * ((widths - _WIDTH_C) / _WIDTH_SPREAD_C) ** 2
        logs -= before + after  # a plateau is a little less likely than none
        if seen:
            purities = np.array([one.purity for one in seen])
            expected = _purities([one.experiment for one in seen])
            works = (1.0 - _HOPELESS) * _normal(purities - expected, _MISFIT)
            never = _HOPELESS * _normal(purities, _HOPELESS_MISFIT)
            likeness = self._likeness[route, [one.experiment.route for one in seen]]
            logs += (np.log(works + never + _STRANGE) * likeness).sum(axis=1)
        belief = np.exp(logs - logs.max())
        return np.asarray(belief / belief.sum())

    def _works(self, route: int, belief: Floats, seen: Sequence[Observation]) -> float:
        """Probability that a route works at some temperature.

        Only routes in the same atmosphere tell: most that never work fail for what the gas does.
        """
        odds = np.log((1.0 - _HOPELESS) / _HOPELESS)
        for one in seen:
            other = one.experiment.route
            if self._routes[other].atmosphere != self._routes[route].atmosphere:
                continue
            expected = _purities([one.experiment])[:, 0]
            works = float(belief @ _normal(one.purity - expected, _MISFIT)) + _STRANGE
            never = float(_normal(np.array([one.purity]), _HOPELESS_MISFIT)[0]) + 1e-3
            odds += self._likeness[route, other] * (np.log(works) - np.log(never))
        return float(1.0 / (1.0 + np.exp(-odds)))


def _grid() -> tuple[Floats, Floats, Floats, Floats]:
    """Onset, width, and purity before and after, of every window, each of shape ``(w,)``."""
    axes = np.meshgrid(_ONSETS_C, _WIDTHS_C, _LEVELS, _LEVELS, indexing="ij")
    onsets, widths, before, after = (axis.ravel() for axis in axes)
    return onsets, widths, before, after


def _purities(experiments: Sequence[Experiment]) -> Floats:
    """Purity that each window of the grid gives experiments, shape ``(w, n)``."""
    onsets, widths, before, after = (axis[:, None] for axis in _grid())
    at = np.array([e.temperature_c + _PER_LOG_H_C * np.log(e.hold_h) for e in experiments])
    begun = _logistic((at - onsets) / _EDGE_C)
    lost = _logistic((at - onsets - widths) / _EDGE_C)
    return np.asarray(before * (1.0 - begun) + begun * (1.0 - lost) + after * begun * lost)


def _above(values: Floats, limit: float, deviation: float) -> Floats:
    """Probability that normal variables with these means are above a limit."""
    from scipy.special import ndtr

    return np.asarray(ndtr((values - limit) / deviation))


def _logistic(x: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _normal(x: Floats, deviation: float) -> Floats:
    return np.asarray(np.exp(-0.5 * (x / deviation) ** 2) / (deviation * np.sqrt(2.0 * np.pi)))


@dataclass(frozen=True)
class Block:
    """A by-product that two precursors made and that stayed.

    Attributes:
        pair: Names of the precursors.
        phase: What they made.
        temperature_c: At which it was still there.
        share: Of the mass it was.
    """

    pair: frozenset[str]
    phase: str
    temperature_c: float
    share: float

    def weight(self, route: Route, experiment: Experiment) -> float:
        """How much purity it is expected to cost an experiment."""
        if not self.pair <= set(route.precursors):
            return 0.0
        beyond = (experiment.temperature_c - self.temperature_c) / _HOT_C
        return float(_BLOCKING * self.share * np.exp(-max(beyond, 0.0)))


def _blocks(routes: Sequence[Route], seen: Sequence[Observation]) -> list[Block]:
    """By-products that block, each once for each pair of precursors: as last seen.

    A by-product that a hotter experiment with the same two precursors no longer shows does not
    block any more.
    """
    latest: dict[tuple[frozenset[str], str], Block] = {}
    for one in sorted(seen, key=lambda o: o.experiment.temperature_c):
        route = routes[one.experiment.route]
        for pair in _pairs(route):
            for key in [k for k in latest if k[0] == pair and one.shares.get(k[1], 0.0) < _SEEN]:
                del latest[key]
        for phase, share in one.shares.items():
            if share < _SEEN or phase in route.precursors or _is_target(phase, route):
                continue
            for pair in _pairs(route):
                if _could_make(pair, phase):
                    at = one.experiment.temperature_c
                    latest[pair, phase] = Block(pair, phase, at, share)
    return list(latest.values())


def _is_target(phase: str, route: Route) -> bool:
    return PHASES[phase].composition == route.target


def _pairs(route: Route) -> list[frozenset[str]]:
    names = route.precursors
    return [
        frozenset(names[i : i + 1] + names[j : j + 1]) for i in range(len(names)) for j in range(i)
    ]


def _could_make(pair: frozenset[str], phase: str) -> bool:
    """Whether a phase holds something of both, and nothing but oxygen besides."""
    elements = PHASES[phase].elements
    one, other = (PRECURSORS[name].elements for name in pair)
    solid = elements - {"O"}
    return solid <= one | other and bool(solid & (one - other)) and bool(solid & (other - one))


def _likeness(routes: Sequence[Route]) -> Floats:
    """How much an experiment with one route tells of another, shape ``(r, r)``; 1 of itself."""
    likeness = np.eye(len(routes))
    for i, one in enumerate(routes):
        for j, other in enumerate(routes[:i]):
            first, second = set(one.precursors), set(other.precursors)
            shared = len(first & second) / len(first | second)
            alike = _UNLIKE + _OVERLAP * shared
            alike *= 1.0 if one.atmosphere == other.atmosphere else _OTHER_GAS
            likeness[i, j] = likeness[j, i] = alike
    return likeness
