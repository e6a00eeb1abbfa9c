from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ray_matdesign.config.schema import (
    AscendingTransform,
    DescendingTransform,
    ObjectiveSettings,
    TargetTransform,
)
from ray_matdesign.rewards.transforms import aggregate, apply, check_weights

finite = st.floats(-1e6, 1e6)
scores = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("density", "reward"),
    [(18.0, 1.0), (19.0, 0.9), (13.0, 0.5), (23.0, 0.5), (8.0, 0.0), (2.0, 0.0)],
)
def test_density_task_of_the_paper_falls_linearly_to_zero_ten_away(density, reward):
    task = TargetTransform(kind="target", target=18.0, max_distance=10.0)
    assert apply(task, density) == pytest.approx(reward)


def test_a_target_is_flat_within_its_minimum_distance():
    task = TargetTransform(kind="target", target=3.0, min_distance=0.5, max_distance=2.5)
    assert apply(task, 3.4) == 1.0
    assert apply(task, 4.5) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("hhi", "reward"), [(750, 1.0), (1250, 0.8), (2000, 0.5), (3250, 0.0), (500, 1.0), (9000, 0.0)]
)
def test_hhi_task_of_the_paper(hhi, reward):
    assert apply(DescendingTransform(kind="descending", min=750, max=3250), hhi) == reward


def test_magnetic_density_task_of_the_paper():
    task = AscendingTransform(kind="ascending", min=0.0, max=0.25)
    assert apply(task, 0.2) == pytest.approx(0.8)
    assert apply(task, 0.4) == 1.0


@given(value=finite, low=finite, span=st.floats(1e-3, 1e6))
def test_ascending_and_descending_mirror_each_other(value, low, span):
    up = apply(AscendingTransform(kind="ascending", min=low, max=low + span), value)
    down = apply(DescendingTransform(kind="descending", min=low, max=low + span), value)
    assert 0.0 <= up <= 1.0
    assert up + down == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("kind", [AscendingTransform, DescendingTransform])
@pytest.mark.parametrize(("low", "high"), [(2.0, 2.0), (3.0, 1.0)])
def test_bounds_that_are_not_in_order_are_refused(kind, low, high):
    name = kind.__name__.removesuffix("Transform").lower()
    with pytest.raises(ValidationError, match=r"min \(.*\) must be below max"):
        kind(kind=name, min=low, max=high)


def test_target_distances_that_are_not_in_order_are_refused():
    with pytest.raises(ValidationError, match=r"min_distance .* must be below max_distance"):
        TargetTransform(kind="target", target=1.0, min_distance=2.0, max_distance=2.0)


def test_aggregations():
    assert aggregate([0.2, 0.8], [1.0, 1.0], "mean") == pytest.approx(0.5)
    assert aggregate([0.2, 0.8], [1.0, 1.0], "min") == 0.2
    # The paper's high-k task: .8 FoM, .1 gap, .1 dielectric constant.
    assert aggregate([0.5, 1.0, 0.0], [0.8, 0.1, 0.1], "weighted") == pytest.approx(0.5)
    assert aggregate([0.5, 1.0, 0.0], [8.0, 1.0, 1.0], "weighted") == pytest.approx(0.5)


@given(scores=scores)
def test_aggregates_lie_between_the_worst_and_the_best_score(scores):
    weights = [1.0 + i for i in range(len(scores))]
    for how in ("mean", "min", "weighted"):
        reward = aggregate(scores, weights, how)
        assert min(scores) - 1e-12 <= reward <= max(scores) + 1e-12


def test_a_weight_that_would_be_ignored_is_refused():
    ramp = {"kind": "ascending", "min": 0, "max": 1}
    terms = [{"scorer": "density", "transform": ramp, "weight": 2.0}]
    with pytest.raises(ValueError, match="'mean', which ignores the weight of density"):
        check_weights(ObjectiveSettings.model_validate({"terms": terms}))
    check_weights(ObjectiveSettings.model_validate({"terms": terms, "aggregation": "weighted"}))
