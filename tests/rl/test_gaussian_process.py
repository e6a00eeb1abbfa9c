from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import multivariate_normal

from ray_matdesign.rl.gaussian_process import _log_evidence, fit_process

BLOCKS = (slice(0, 2), slice(2, 5))


def smooth(inputs):
    return np.sin(inputs[:, 0]) + 0.5 * inputs[:, 1]


def test_the_evidence_is_the_density_of_a_normal_distribution():
    rng = np.random.default_rng(0)
    inputs, values = rng.normal(size=(12, 1)), rng.normal(size=12)
    squares = (inputs - inputs.T) ** 2
    # Matern-5/2 with length 0.7, variance 1.3, noise 0.2, written out.
    scaled = np.sqrt(5 * squares) / 0.7
    covariance = 1.3 * (1 + scaled + scaled**2 / 3) * np.exp(-scaled) + 0.2 * np.eye(12)
    expected = multivariate_normal(np.zeros(12), covariance).logpdf(values)
    found, _ = _log_evidence(np.log([0.7, 1.3, 0.2]), squares[None], values)
    assert found == pytest.approx(expected)


def test_the_gradient_of_the_evidence_is_its_derivative():
    rng = np.random.default_rng(1)
    squares = np.stack([(x - x.T) ** 2 for x in rng.normal(size=(3, 20, 1))])
    values, logs = rng.normal(size=20), rng.normal(size=5)
    error = check_grad(
        lambda x: _log_evidence(x, squares, values)[0],
        lambda x: _log_evidence(x, squares, values)[1],
        logs,
    )
    assert error < 1e-4


def test_a_block_without_influence_gets_the_longer_length():
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(80, 5))
    process = fit_process(inputs, smooth(inputs), BLOCKS)
    assert process.stretch[0] > 3 * process.stretch[2]


def test_without_noise_values_are_returned_and_farther_away_less_is_known():
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(60, 5))
    process = fit_process(inputs, smooth(inputs), BLOCKS)
    mean, covariance = process.predict(np.vstack([inputs[:5], np.full((1, 5), 50.0)]))
    assert mean[:5] == pytest.approx(smooth(inputs)[:5], abs=0.1)
    assert covariance[5, 5] > 10 * covariance[0, 0]
    assert mean[5] == pytest.approx(0.0, abs=1e-3)


def test_columns_that_never_differ_do_no_harm():
    rng = np.random.default_rng(4)
    inputs = np.hstack([rng.normal(size=(30, 2)), np.ones((30, 3))])
    mean, _ = fit_process(inputs, smooth(inputs), BLOCKS).predict(inputs)
    assert np.corrcoef(mean, smooth(inputs))[0, 1] > 0.95
