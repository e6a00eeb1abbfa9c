from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ray_matdesign.config.objective import (
    AscendingTransform,
    DescendingTransform,
    DoubleSigmoidTransform,
    ObjectiveSettings,
    ReverseSigmoidTransform,
    SigmoidTransform,
    StepTransform,
    TargetTransform,
    Transform,
)
from ray_matdesign.rewards.transforms import aggregate, apply

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
    for how in ("mean", "min", "weighted", "geometric"):
        reward = aggregate(scores, weights, how)
        assert min(scores) - 1e-12 <= reward <= max(scores) + 1e-12


def test_the_geometric_mean_is_the_weighted_one():
    assert aggregate([0.25, 1.0], [1.0, 1.0], "geometric") == pytest.approx(0.5)
    # 0.5^(3/4) * 0.2^(1/4)
    assert aggregate([0.5, 0.2], [3.0, 1.0], "geometric") == pytest.approx(0.397635)
    assert aggregate([0.0, 1.0], [1.0, 9.0], "geometric") == 0.0


@given(scores=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2), other=st.floats(0.0, 1.0))
def test_with_equal_weights_the_geometric_mean_ranks_as_the_product(scores, other):
    def geometric(pair):
        return aggregate(pair, [1.0, 1.0], "geometric")

    rival = [scores[0], other]
    better = scores[0] * scores[1] > scores[0] * other * (1 + 1e-9)
    assert not better or geometric(scores) > geometric(rival)


@pytest.mark.parametrize("how", ["mean", "min"])
def test_a_weight_that_would_be_ignored_is_refused(how):
    ramp = {"kind": "ascending", "min": 0, "max": 1}
    terms = [{"scorer": "density", "transform": ramp, "weight": 2.0}]
    with pytest.raises(ValueError, match=f"'{how}', which ignores the weight of density"):
        ObjectiveSettings.model_validate({"terms": terms, "aggregation": how})
    for heeding in ("weighted", "geometric"):
        ObjectiveSettings.model_validate({"terms": terms, "aggregation": heeding})


@pytest.mark.parametrize(("k", "at_high"), [(0.25, 0.946760), (0.5, 0.996848), (1.0, 0.999990)])
def test_a_sigmoid_reaches_what_reinvent_reaches(k, at_high):
    # 1 / (1 + 10^(-5 k)) at the upper end, by REINVENT 4's definition.
    rise = SigmoidTransform(kind="sigmoid", low=200.0, high=500.0, k=k)
    fall = ReverseSigmoidTransform(kind="reverse_sigmoid", low=200.0, high=500.0, k=k)
    assert apply(rise, 350.0) == apply(fall, 350.0) == 0.5
    assert apply(rise, 500.0) == pytest.approx(at_high, abs=1e-6)
    assert apply(rise, 200.0) == pytest.approx(1.0 - at_high, abs=1e-6)
    assert apply(fall, 500.0) == pytest.approx(1.0 - at_high, abs=1e-6)


def test_a_double_sigmoid_is_one_half_at_both_ends_and_high_between():
    # The window on molecular weights of REINVENT's examples, coefficients left at its defaults.
    window = DoubleSigmoidTransform(kind="double_sigmoid", low=200.0, high=500.0)
    assert apply(window, 200.0) == apply(window, 500.0) == 0.5
    assert apply(window, 350.0) == pytest.approx(1.0)
    # One unit inside and outside: 1 / (1 + 10^-1.5) and its complement.
    inside, outside = 0.969347, 0.030653
    assert [apply(window, x) for x in (201.0, 499.0)] == pytest.approx([inside] * 2, abs=1e-6)
    assert [apply(window, x) for x in (199.0, 501.0)] == pytest.approx([outside] * 2, abs=1e-6)


def test_the_sides_of_a_double_sigmoid_have_their_own_steepness():
    gap = DoubleSigmoidTransform(
        kind="double_sigmoid", low=1.0, high=3.0, coef_div=1.0, coef_si=10.0, coef_se=1.0
    )
    assert apply(gap, 1.1) == pytest.approx(1.0 / 1.1)  # 10^(10 * 0.1) = 10
    assert apply(gap, 4.0) == pytest.approx(1.0 / 11.0)  # 10^(1 * 1) = 10


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [
        ({"low": 1.0, "high": 2.0}, (1.0, 1.5, 2.0), (0.999, 2.001)),
        ({"low": 1.0}, (1.0, 1e9), (0.999, -1e9)),
        ({"high": 2.0}, (2.0, -1e9), (2.001, 1e9)),
    ],
)
def test_a_step_is_all_or_nothing_and_includes_its_ends(bounds, inside, outside):
    task = StepTransform(kind="step", **bounds)
    assert [apply(task, value) for value in inside] == [1.0] * len(inside)
    assert [apply(task, value) for value in outside] == [0.0] * len(outside)


positive = st.floats(1e-3, 1e3)
spans = st.tuples(finite, positive).map(lambda pair: {"low": pair[0], "high": sum(pair)})


@given(value=finite, more=st.floats(0.0, 1e6), span=spans, k=positive)
def test_sigmoids_stay_in_bounds_and_never_turn_back(value, more, span, k):
    rise = SigmoidTransform(kind="sigmoid", k=k, **span)
    fall = ReverseSigmoidTransform(kind="reverse_sigmoid", k=k, **span)
    assert 0.0 <= apply(rise, value) <= apply(rise, value + more) <= 1.0
    assert 1.0 >= apply(fall, value) >= apply(fall, value + more) >= 0.0


@given(value=finite, span=spans, coefficients=st.tuples(positive, positive, positive))
def test_a_double_sigmoid_stays_in_bounds(value, span, coefficients):
    div, rise, fall = coefficients
    task = DoubleSigmoidTransform(
        kind="double_sigmoid", coef_div=div, coef_si=rise, coef_se=fall, **span
    )
    assert 0.0 <= apply(task, value) <= 1.0
    assert apply(task, span["low"] - 1.0) <= 0.5


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        ({"kind": "sigmoid", "low": 2, "high": 1, "k": 0.5}, r"low \(2.0\) must be below high"),
        ({"kind": "sigmoid", "low": 1, "high": 2}, "Field required"),
        ({"kind": "sigmoid", "low": 1, "high": 2, "k": 0}, "greater than 0"),
        ({"kind": "reverse_sigmoid", "low": 1, "high": 1, "k": 1}, "must be below high"),
        ({"kind": "double_sigmoid", "low": 1, "high": 2, "coef_div": 0}, "greater than 0"),
        ({"kind": "step"}, "give low, high, or both"),
        ({"kind": "step", "low": 3, "high": 3}, "must be below high"),
        ({"kind": "step", "low": float("nan")}, "finite number"),
    ],
)
def test_transforms_that_make_no_sense_are_refused(transform, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Transform).validate_python(transform)
