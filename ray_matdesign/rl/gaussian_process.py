"""Gaussian processes that learn from a few dozen to a few thousand values.

Exact inference (Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapter 2),
with a Matern-5/2 kernel and one length scale for each block of columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TUNED_ON = 200
"""Most points the kernel's parameters are tuned on; all points are conditioned on."""

_LENGTH, _SIGNAL, _NOISE = np.log(2.0), 0.0, np.log(0.1)
_LENGTH_SPREAD, _SIGNAL_SPREAD, _NOISE_SPREAD = 1.0, 1.0, 1.0
_BOUNDS = {"length": (-3.0, 6.0), "signal": (-5.0, 4.0), "noise": (-9.0, 3.0)}
_STEPS = 40
_BELIEF = 20.0
"""Residuals that the assumed calibration counts for against the measured one."""


@dataclass(frozen=True)
class GaussianProcess:
    """A process conditioned on values.

    Attributes:
        stretch: Factor of each column, shape ``(d,)``: columns over their length scales.
        inputs: Stretched, shape ``(n, d)``.
        signal: Variance of the process.
        noise: Variance of what the columns do not explain.
        factor: Lower Cholesky factor of the covariance of the values, shape ``(n, n)``.
        weights: Of the values in predictions, shape ``(n,)``.
        widening: Factor of predicted standard deviations, by which those of the values, each
            predicted from all the others, were too small.
    """

    stretch: Floats
    inputs: Floats
    signal: float
    noise: float
    factor: Floats
    weights: Floats
    widening: float

    def predict(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Mean, shape ``(m,)``, and covariance, shape ``(m, m)``, of values at other inputs.

        Args:
            inputs: Shape ``(m, d)``.
        """
        from scipy.linalg import solve_triangular

        stretched = inputs * self.stretch
        cross = self.signal * _matern(_squares(stretched, self.inputs))
        reduced = solve_triangular(self.factor, cross.T, lower=True)
        prior = self.signal * _matern(_squares(stretched, stretched))
        covariance = prior - reduced.T @ reduced + self.noise * np.eye(len(inputs))
        return cross @ self.weights, self.widening**2 * covariance


def fit_process(inputs: Floats, values: Floats, blocks: Sequence[slice]) -> GaussianProcess:
    """Tunes and conditions a process of zero mean.

    The parameters maximise the posterior density under broad log-normal priors, which decide while
    values are few.

    Args:
        inputs: Shape ``(n, d)``; within a block all columns are on one scale.
        values: Shape ``(n,)``, of about unit variance.
        blocks: Columns that share a length scale.
    """
    from scipy.linalg import cho_solve, cholesky, solve_triangular

    sample = np.unique(np.linspace(0, len(values) - 1, TUNED_ON).round().astype(int))
    squares = [_squares(inputs[sample][:, b], inputs[sample][:, b]) for b in blocks]
    # Lengths are in units of the root mean square distance, where a block has any extension.
    units = np.array([square.mean() or 1.0 for square in squares])
    logs = _tuned(np.stack(squares) / units[:, None, None], values[sample])
    *lengths, signal, noise = np.exp(logs)
    stretch = np.zeros(inputs.shape[1])
    for block, length, unit in zip(blocks, lengths, units, strict=True):
        stretch[block] = 1.0 / (length * np.sqrt(unit))
    stretched = inputs * stretch
    covariance = signal * _matern(_squares(stretched, stretched))
    covariance[np.diag_indices_from(covariance)] += noise
    factor = cholesky(covariance, lower=True)
    weights = cho_solve((factor, True), values)
    inverse_factor = solve_triangular(factor, np.eye(len(values)), lower=True)
    # Residual of each value predicted from the others, in predicted standard deviations (Rasmussen
    # and Williams, equations 5.10 to 5.12).
    residuals = weights / np.sqrt(np.square(inverse_factor).sum(axis=0))
    widening = np.sqrt((_BELIEF + np.square(residuals).sum()) / (_BELIEF + len(values)))
    return GaussianProcess(
        stretch, stretched, float(signal), float(noise), factor, weights, float(widening)
    )


def _tuned(squares: Floats, values: Floats) -> Floats:
    """Logarithms of the length scales, of the signal's and of the noise's variance."""
    from scipy.optimize import minimize

    n_blocks = len(squares)
    center = np.array([_LENGTH] * n_blocks + [_SIGNAL, _NOISE])
    spread = np.array([_LENGTH_SPREAD] * n_blocks + [_SIGNAL_SPREAD, _NOISE_SPREAD])
    bounds = [_BOUNDS["length"]] * n_blocks + [_BOUNDS["signal"], _BOUNDS["noise"]]

    def loss(logs: Floats) -> tuple[float, Floats]:
        evidence, gradient = _log_evidence(logs, squares, values)
        off = (logs - center) / spread
        return 0.5 * float(off @ off) - evidence, off / spread - gradient

    found = minimize(
        loss, center, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
    )
    return np.asarray(found.x)


def _log_evidence(logs: Floats, squares: Floats, values: Floats) -> tuple[float, Floats]:
    """Log marginal likelihood and its gradient (Rasmussen and Williams, equations 5.8 and 5.9).

    Args:
        logs: As of :func:`_tuned`, shape ``(n_blocks + 2,)``.
        squares: Squared distances by block, shape ``(n_blocks, n, n)``.
        values: Shape ``(n,)``.
    """
    from scipy.linalg import cho_factor, cho_solve

    n = len(values)
    signal, noise = np.exp(logs[-2:])
    inverse_lengths = np.exp(-2.0 * logs[:-2])
    total = np.tensordot(inverse_lengths, squares, axes=1)
    distance = np.sqrt(5.0 * total)
    decay = signal * np.exp(-distance)
    kernel = decay * (1.0 + distance + distance * distance / 3.0)
    factor = cho_factor(kernel + noise * np.eye(n), lower=True)
    weights = cho_solve(factor, values)
    log_determinant = 2.0 * np.log(np.diag(factor[0])).sum()
    evidence = -0.5 * (values @ weights + log_determinant + n * np.log(2.0 * np.pi))
    pull = np.outer(weights, weights) - cho_solve(factor, np.eye(n))
    by_square = pull * decay * (1.0 + distance) * (5.0 / 6.0)
    of_lengths = inverse_lengths * (squares.reshape(len(squares), -1) @ by_square.ravel())
    of_signal, of_noise = 0.5 * (pull * kernel).sum(), 0.5 * noise * np.trace(pull)
    return float(evidence), np.array([*of_lengths, of_signal, of_noise])


def _matern(squares: Floats) -> Floats:
    """Matern-5/2 correlation at squared distances in units of the length scale."""
    distance = np.sqrt(5.0 * squares)
    return np.asarray((1.0 + distance + distance * distance / 3.0) * np.exp(-distance))


def _squares(first: Floats, second: Floats) -> Floats:
    """Squared distances between rows, shape ``(len(first), len(second))``."""
    products = first @ second.T
    lengths = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)
    return np.asarray(np.maximum(lengths - 2.0 * products, 0.0))
