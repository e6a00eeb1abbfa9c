"""Learning curves and evaluations to a target, on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rl_curves import (
    Point,
    Yardstick,
    comparison_mark,
    evaluations_to,
    final_mean,
    learning_curve,
    smoothed,
)
from rl_population import sampled_survivors

from ray_matdesign.config.schema import ObjectiveSettings


def objective(aggregation: str = "min") -> ObjectiveSettings:
    ramp = {"kind": "ascending", "min": 0.0, "max": 0.25}
    fall = {"kind": "descending", "min": 750.0, "max": 3250.0}
    terms = [
        {"scorer": "magnetic_density", "transform": ramp},
        {"scorer": "hhi", "transform": fall},
    ]
    return ObjectiveSettings.model_validate({"terms": terms, "aggregation": aggregation})


def curve(*means: float | None, each: int = 8) -> list[Point]:
    return [Point(loop, each * (loop - 1), mean, 4) for loop, mean in enumerate(means, start=1)]


def test_a_loop_is_set_against_what_was_paid_before_it() -> None:
    metrics = [{"loop": k, "evaluations_total": total} for k, total in ((1, 8), (2, 13), (3, 21))]
    found = [(1, 2.0), (1, 4.0), (3, 7.0), (3, None)]
    assert learning_curve(found, metrics) == [
        Point(1, 0, 3.0, 2),
        Point(2, 8, None, 0),
        Point(3, 13, 7.0, 1),
    ]


def test_one_lucky_loop_is_no_arrival() -> None:
    lucky = curve(0.0, 0.0, 9.0, 0.0, 0.0)
    assert [p.mean for p in smoothed(lucky)] == [0.0, 0.0, 0.0]
    assert evaluations_to(lucky, 0.0, 10.0, 0.5) == math.inf
    # Medians of loops 1-3, 2-4, 3-5: 1, 6, 6. Before loop 4, three loops of 8 had been paid for.
    assert evaluations_to(curve(0.0, 1.0, 6.0, 7.0, 5.0), 0.0, 10.0, 0.5) == 24


def test_the_way_may_lead_down() -> None:
    assert evaluations_to(curve(-1.0, -2.0, -2.0, -3.0), -1.0, -3.0, 0.5) == 16
    assert evaluations_to(curve(-1.0, 0.0, 0.0, 0.0), -1.0, -3.0, 0.5) == math.inf


def test_loops_without_a_survivor_are_stepped_over() -> None:
    gaps = curve(1.0, None, 5.0, None, 9.0, None)
    assert [(p.loop, p.paid, p.mean) for p in smoothed(gaps)] == [(5, 32, 5.0)]
    assert final_mean(gaps) == 5.0
    assert final_mean(curve(None, None)) is None
    assert evaluations_to([], 0.0, 1.0, 0.5) == math.inf


def test_a_prior_on_target_has_no_way_to_go() -> None:
    with pytest.raises(ValueError, match="target already"):
        evaluations_to(curve(1.0, 1.0, 1.0), 3.0, 3.0, 0.5)


@given(
    st.lists(st.floats(-5.0, 15.0), min_size=3, max_size=20),
    st.sampled_from([0.25, 0.5, 0.75]),
)
def test_farther_marks_are_not_reached_sooner(means: list[float], share: float) -> None:
    near, far = (evaluations_to(curve(*means), 0.0, 10.0, s) for s in (share, share + 0.25))
    assert near <= far


def test_the_bar_is_the_farthest_that_every_baseline_run_reached() -> None:
    reached = {0.25: [8.0, 16.0], 0.5: [64.0, 96.0], 0.75: [200.0, math.inf], 1.0: [math.inf] * 2}
    assert comparison_mark(reached) == 0.5
    assert comparison_mark({0.25: [math.inf]}) is None
    assert comparison_mark({0.25: []}) is None


def test_rewards_follow_from_the_properties() -> None:
    row = {"key": "a", "value_magnetic_density": 0.2, "value_hhi": 1500.0, "value_density": 9.0}
    by_reward = Yardstick(objective(), "reward")
    assert by_reward.scores(row) == pytest.approx([0.8, 0.7])
    assert by_reward.of(row) == pytest.approx(0.7)
    assert Yardstick(objective("mean"), "reward").of(row) == pytest.approx(0.75)
    assert Yardstick(objective(), "property").of(row) == 0.2


def test_a_missing_property_is_not_a_bad_one() -> None:
    row = {"value_magnetic_density": 0.2, "value_hhi": None}
    assert Yardstick(objective(), "reward").of(row) is None
    assert Yardstick(objective(), "property").known([row, {"value_magnetic_density": None}]) == [
        0.2
    ]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=40),
    st.none() | st.integers(1, 6),
    st.integers(0, 5),
)
def test_survivors_are_drawn_whether_evaluated_or_not(
    crystals: list[tuple[int, bool]], most: int | None, seed: int
) -> None:
    rows = [
        {"loop": loop, "evaluated": paid, "key": str(k)} for k, (loop, paid) in enumerate(crystals)
    ]
    chosen = sampled_survivors(rows, most, seed)
    keys = [row["key"] for row in chosen]
    assert len(set(keys)) == len(keys)
    for loop in range(1, 5):
        here = sum(row["loop"] == loop for row in rows)
        assert sum(row["loop"] == loop for row in chosen) == min(here, most or here)
    blind = sampled_survivors([{**row, "evaluated": False} for row in rows], most, seed)
    assert [row["key"] for row in blind] == keys
