"""The strategy against chemistry that is written out here."""

from __future__ import annotations

import numpy as np
import pytest

from ray_matdesign.agents.laboratory.decision import (
    ActiveLearning,
    Experiment,
    Observation,
    RandomOrder,
    Strategy,
)
from ray_matdesign.agents.laboratory.planning import Route, routes

TEMPERATURES = tuple(float(t) for t in range(300, 1201, 100))


@pytest.fixture(scope="module")
def titanates() -> list[Route]:
    stock = ("BaCO3", "BaO", "TiO2", "TiO2-anatase")
    return routes("BaTiO3", stock=stock, atmospheres=("air",))


def space(count: int) -> list[Experiment]:
    return [Experiment(r, t, h) for r in range(count) for t in TEMPERATURES for h in (4.0, 12.0)]


def purity(experiment: Experiment, low: float, high: float, working: set[int]) -> float:
    """A window of temperatures, in which only some routes work."""
    if experiment.route not in working:
        return 0.0
    at = experiment.temperature_c
    return float(np.clip(0.97 - max(low - at, at - high, 0.0) / 150.0, 0.0, 1.0))


def needed(strategy: Strategy, low: float, high: float, working: set[int], count: int) -> int:
    """Experiments until one is 92 % pure."""
    seen: list[Observation] = []
    left = space(count)
    while left:
        chosen = strategy.choose(left, seen)
        left.remove(chosen)
        seen.append(Observation(chosen, purity(chosen, low, high, working)))
        if seen[-1].purity >= 0.92:
            break
    return len(seen)


@pytest.mark.parametrize(
    ("low", "high", "most"), [(500.0, 600.0, 14), (800.0, 900.0, 4), (1100.0, 1200.0, 6)]
)
def test_windows_are_found_wherever_they_are(
    titanates: list[Route], low: float, high: float, most: int
) -> None:
    """The first window lies 400 K below the expected one, which takes some convincing."""
    count = len(titanates)
    assert needed(ActiveLearning(titanates), low, high, set(range(count)), count) <= most


def test_routes_that_never_work_are_left(titanates: list[Route]) -> None:
    count = len(titanates)
    learning = needed(ActiveLearning(titanates), 800.0, 900.0, {count - 1}, count)
    chance = [needed(RandomOrder(s), 800.0, 900.0, {count - 1}, count) for s in range(40)]
    assert learning < np.mean(chance)


def test_what_was_seen_to_fail_is_not_expected_to_work_nearby(titanates: list[Route]) -> None:
    strategy = ActiveLearning(titanates)
    near, far = Experiment(0, 800.0, 12.0), Experiment(0, 1100.0, 4.0)
    before = strategy.chances([near, far], [])
    seen = [Observation(Experiment(0, 800.0, 4.0), 0.1)]
    after = strategy.chances([near, far], seen)
    assert after[0] < before[0]
    assert after[1] - after[0] > before[1] - before[0]


def test_a_by_product_that_stays_counts_against_its_pair_until_it_goes(
    titanates: list[Route],
) -> None:
    names = [route.precursors for route in titanates]
    blocked = names.index(("BaCO3", "TiO2"))
    strategy = ActiveLearning(titanates)
    experiments = [Experiment(blocked, 1000.0, 12.0)]
    plain = [Observation(Experiment(blocked, 1000.0, 4.0), 0.5, {"BaTiO3": 0.5, "TiO2": 0.5})]
    shares = {"BaTiO3": 0.5, "Ba2TiO4": 0.4, "TiO2": 0.1}
    stays = [Observation(Experiment(blocked, 1000.0, 4.0), 0.5, shares)]
    assert strategy.chances(experiments, stays)[0] < strategy.chances(experiments, plain)[0] - 0.3
    hotter = Observation(Experiment(blocked, 1100.0, 4.0), 0.8, {"BaTiO3": 0.8, "TiO2": 0.2})
    gone = strategy.chances(experiments, [*stays, hotter])
    assert gone[0] == pytest.approx(strategy.chances(experiments, [*plain, hotter])[0])


def test_choices_depend_on_nothing_but_what_is_given(titanates: list[Route]) -> None:
    left = space(len(titanates))
    seen = [Observation(Experiment(0, 800.0, 4.0), 0.3)]
    for make in (lambda: RandomOrder(3), lambda: ActiveLearning(titanates)):
        assert make().choose(left, seen) == make().choose(left, seen)
