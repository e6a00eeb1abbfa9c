from __future__ import annotations

import math

import numpy as np
import pytest

from ray_matdesign.agents.saga.drafting import Draft, planned
from ray_matdesign.agents.saga.population import Member, on_front
from ray_matdesign.agents.saga.protocol import Implemented, Optimized, Statistics
from ray_matdesign.agents.saga.statistics import progress_of, spearman, statistics_of
from ray_matdesign.crystals.crystal import Crystal

CELL = np.eye(3) * 4.0


def objective(name: str, direction: str = "maximize") -> Implemented:
    draft = Draft.model_validate(
        {
            "name": name,
            "kind": "candidate",
            "direction": direction,
            "measure": "density",
            "low": 0.0,
            "high": 10.0,
            "why": "So.",
        }
    )
    return Implemented(
        objective=planned(draft, 1),
        outcome="reused",
        scorer=name,
        column=name,
        low=0.0,
        high=10.0,
    )


def member(place: int, numbers: list[int], loop: int = 1, **values: float) -> Member:
    coords = [[i / len(numbers), 0.0, 0.0] for i in range(len(numbers))]
    crystal = Crystal(CELL, coords, numbers)
    reward = values.get("aa", 0.0) / 10.0
    return Member(f"01-{place}", 1, loop, crystal, crystal, -1.0, -0.1, 0.0, reward, values)


AIMS = (objective("aa"), objective("bb", "minimize"))
MEMBERS = [
    member(1, [6], 1, aa=0.0, bb=0.0),
    member(2, [6, 7], 2, aa=5.0, bb=4.0),
    member(3, [7], 3, aa=10.0, bb=10.0),
    member(4, [7], 4, aa=9.8, bb=12.0),
]
FOUND = Optimized(
    size=4,
    sampled=10,
    evaluated=4,
    outcomes={"evaluated": 4, "unstable": 6},
    let_through={"f": 0.25},
    digest="",
)


def figures(statistics: Statistics) -> dict[str, float | None]:
    return {one.id: one.value for one in statistics.figures}


def test_figures_are_those_of_a_pocket_calculator() -> None:
    told = figures(statistics_of(1, MEMBERS, AIMS, FOUND))
    assert told["mean.aa"] == pytest.approx(6.2)
    assert told["std.aa"] == pytest.approx(math.sqrt((6.2**2 + 1.2**2 + 3.8**2 + 3.6**2) / 4))
    assert (told["best.aa"], told["best.bb"]) == (10.0, 0.0)
    assert told["saturation.aa"] == 0.5
    assert told["idle.aa"] == 0.25
    assert told["saturation.bb"] == 0.25
    assert told["idle.bb"] == 0.5
    # Ranks 1 2 4 3 of a against the loops 1 2 3 4.
    assert told["trend.aa"] == pytest.approx(0.8)
    # Scores of a rank 1 2 4 3, those of b, which is minimised, 4 3 1.5 1.5: Pearson's on the ranks.
    assert told["corr.aa.bb"] == pytest.approx(-4.5 / math.sqrt(5.0 * 4.5))
    assert told["outcome.unstable"] == 0.6
    assert told["let_through.f"] == 0.25
    assert told["element.N"] == 0.75
    assert told["element.C"] == 0.5
    # Pairs: C-CN 1/2, C-N 1 twice, CN-N 1/2 twice, N-N 0.
    assert told["diversity.compositions"] == pytest.approx(3.5 / 6)
    assert told["diversity.formulas"] == 0.75


def test_ids_are_unique_and_changes_are_against_the_round_before() -> None:
    before = statistics_of(1, MEMBERS[:2], AIMS, FOUND)
    statistics = statistics_of(2, MEMBERS, AIMS, FOUND, before)
    assert len(set(statistics.ids)) == len(statistics.ids)
    told = figures(statistics)
    assert told["change.mean.aa"] == pytest.approx(6.2 - 2.5)
    assert "change.run.sampled" not in told


def test_of_nothing_there_is_nothing_to_tell() -> None:
    nothing = Optimized(size=0, digest="")
    statistics = statistics_of(1, [], AIMS, nothing)
    told = figures(statistics)
    assert told["population.size"] == 0.0
    assert told["mean.aa"] is told["reward.best"] is told["corr.aa.bb"] is None
    assert statistics.leaders == ()


def test_leaders_are_the_best_and_know_whether_they_are_on_the_front() -> None:
    leaders = statistics_of(1, MEMBERS, AIMS, FOUND).leaders
    assert [one.id for one in leaders] == ["01-3", "01-4", "01-2", "01-1"]
    assert [one.front for one in leaders] == [True, False, True, True]


def test_progress_is_the_hypervolume_or_the_mean_of_the_best() -> None:
    # Scores: (0, 1), (0.5, 0.6), (1, 0), (0.98, 0); only the second covers anything.
    assert progress_of(MEMBERS, AIMS, "hypervolume") == pytest.approx(0.3)
    assert progress_of(MEMBERS, AIMS, "mean") == pytest.approx((0.5 + 0.55 + 0.5 + 0.49) / 4)
    assert progress_of([member(1, [6], aa=1.0)], AIMS, "mean") is None


def test_a_missing_score_is_on_no_front() -> None:
    assert on_front(np.array([[1.0, np.nan], [0.1, 0.1]])).tolist() == [False, True]


def test_constant_figures_correlate_with_nothing() -> None:
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert spearman([1.0, 2.0], [1.0, 2.0]) is None
