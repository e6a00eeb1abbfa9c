from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from ray_matdesign.rl.surrogate import NormalScores, fit_surrogate

BLOCKS = (slice(0, 3), slice(3, 6))


def smooth(inputs):
    return 40.0 * np.sin(inputs[:, 0]) + 25.0 * inputs[:, 3] * inputs[:, 1] + 100.0


def fitted(inputs, values, least_labels=8, most_labels=2000):
    found = fit_surrogate(
        inputs, values, BLOCKS, least_labels=least_labels, most_labels=most_labels
    )
    assert found is not None
    return found


def drawn(surrogate, inputs, n_draws=512, seed=0):
    return surrogate.draw(inputs, n_draws, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).normal(size=(64 + 200, 6))


def test_a_smooth_property_is_learnt_from_64_values(points):
    values = smooth(points)[:, None]
    means = drawn(fitted(points[:64], values[:64]), points[64:]).mean(axis=0)
    assert spearmanr(means, values[64:]).statistic > 0.9


@pytest.mark.parametrize("n_labels", [16, 64, 200])
def test_two_thirds_lie_within_one_deviation_and_nearly_all_within_two(n_labels):
    within = {68: [], 95: []}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        inputs = rng.normal(size=(n_labels + 100, 6))
        values = np.exp(smooth(inputs) / 40.0 + rng.normal(0, 0.5, len(inputs)))
        draws = drawn(fitted(inputs[:n_labels], values[:n_labels, None]), inputs[n_labels:])
        for percent, found in within.items():
            low, high = np.percentile(draws[:, :, 0], (50 - percent / 2, 50 + percent / 2), axis=0)
            found.append(((low <= values[n_labels:]) & (values[n_labels:] <= high)).mean())
    assert 0.58 < np.mean(within[68]) < 0.80
    assert 0.87 < np.mean(within[95]) <= 1.0


def test_the_same_labels_and_the_same_seed_give_the_same_draws(points):
    values = smooth(points)[:64, None]
    first, second = (drawn(fitted(points[:64], values), points[64:80]) for _ in range(2))
    assert (first == second).all()
    assert (first != drawn(fitted(points[:64], values), points[64:80], seed=1)).any()


def test_what_is_missing_is_left_out_of_that_property_alone(points):
    whole = np.column_stack([smooth(points), points[:, 1]])[:64]
    gappy = whole.copy()
    gappy[::2, 0] = np.nan
    both = drawn(fitted(points[:64], gappy), points[64:80])
    half = drawn(fitted(points[1:64:2], whole[1::2, :1]), points[64:80])
    assert both.shape == (512, 16, 2)
    assert (both[:, :, 0] == half[:, :, 0]).all()
    assert np.abs(both[:, :, 1].mean(axis=0) - points[64:80, 1]).mean() < 0.4


def test_too_few_values_of_any_property_make_no_model(points):
    values = np.column_stack([smooth(points), points[:, 1]])[:16]
    values[7:, 1] = np.nan
    arguments = {"most_labels": 2000}
    assert fit_surrogate(points[:16], values, BLOCKS, least_labels=8, **arguments) is None
    assert fit_surrogate(points[:16], values, BLOCKS, least_labels=7, **arguments) is not None
    assert fit_surrogate(points[:0], values[:0], BLOCKS, least_labels=1, **arguments) is None


def test_only_the_latest_values_are_learnt_from(points):
    values = smooth(points)[:64, None]
    latest = fitted(points[32:64], values[32:])
    capped = fitted(points[:64], values, most_labels=32)
    assert (drawn(capped, points[64:]) == drawn(latest, points[64:])).all()


def test_an_outlier_does_not_spoil_the_rest(points):
    values = smooth(points)[:, None]
    spoilt = values[:64].copy()
    spoilt[10] = 1e9
    medians = np.median(drawn(fitted(points[:64], spoilt), points[64:]), axis=0)
    assert spearmanr(medians, values[64:]).statistic > 0.85
    assert (medians > 200.0).mean() < 0.05  # its own neighbours, at most


def test_a_bound_that_many_values_share_is_never_crossed(points):
    values = np.maximum(smooth(points) - 100.0, 0.0)[:, None]
    draws = drawn(fitted(points[:64], values[:64]), points[64:])
    assert draws.min() == 0.0
    assert draws.max() > values[:64].max()


def test_values_that_are_all_the_same_are_expected_again(points):
    assert (drawn(fitted(points[:20], np.full((20, 1), 7.5)), points[64:]) == 7.5).all()


@pytest.mark.parametrize("n_labels", [8, 12, 500])
def test_any_number_of_labels_makes_finite_draws(n_labels):
    rng = np.random.default_rng(n_labels)
    inputs = rng.normal(size=(n_labels, 6))
    assert np.isfinite(drawn(fitted(inputs, rng.normal(size=(n_labels, 1))), inputs[:8])).all()


@settings(max_examples=100, deadline=None)
@given(labels=arrays(np.float64, st.integers(2, 40), elements=st.floats(-1e6, 1e6, width=32)))
def test_normal_scores_keep_the_order_and_lead_back(labels):
    scale = NormalScores.of(labels)
    scores = scale.score(labels)
    assert scale.value(scores) == pytest.approx(labels, rel=1e-6, abs=1e-6)
    assert (np.diff(scores[np.argsort(labels)]) >= 0).all()
    assert (np.diff(scale.value(np.linspace(-6, 6, 200))) >= -1e-6).all()
    if len(set(labels)) > 1:
        assert scores.mean() == pytest.approx(0.0, abs=1e-9)
        assert scores.std() == pytest.approx(1.0)
