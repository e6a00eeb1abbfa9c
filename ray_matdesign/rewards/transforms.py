"""From a property to how good it is, in [0, 1], and from several such figures to one.

Linear ramps, clipped, are MatInvent's (arXiv:2511.03112, section "reward"). Sigmoids and steps give
what REINVENT 4 gives for the same parameters (Loeffler et al., J. Cheminform. 16, 20 (2024)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

from ray_matdesign.config.objective import (
    AscendingTransform,
    DescendingTransform,
    DoubleSigmoidTransform,
    ReverseSigmoidTransform,
    SigmoidTransform,
    StepTransform,
    TargetTransform,
    Transform,
)


def ascending(value: float, low: float, high: float) -> float:
    """0 up to ``low``, 1 from ``high`` on, linear between."""
    return _clip((value - low) / (high - low))


def descending(value: float, low: float, high: float) -> float:
    """1 up to ``low``, 0 from ``high`` on, linear between."""
    return _clip((high - value) / (high - low))


def target(value: float, goal: float, min_distance: float, max_distance: float) -> float:
    """1 within ``min_distance`` of ``goal``, 0 beyond ``max_distance``, linear between."""
    return _clip((max_distance - abs(value - goal)) / (max_distance - min_distance))


def sigmoid(value: float, low: float, high: float, k: float) -> float:
    """Rises from 0 to 1 about the middle of ``low`` and ``high``."""
    return _logistic(10.0 * k * (value - (low + high) / 2.0) / (high - low))


def double_sigmoid(
    value: float, low: float, high: float, coef_div: float, coef_si: float, coef_se: float
) -> float:
    """Rises at ``low``, falls at ``high``; the two halves meet in the middle, perhaps in a step."""
    if value < (low + high) / 2.0:
        return _logistic((value - low) * coef_si / coef_div)
    return _logistic((high - value) * coef_se / coef_div)


def step(value: float, low: float | None, high: float | None) -> float:
    """1 from ``low`` to ``high``, both included, else 0; ``None`` leaves a side open."""
    return float((low is None or low <= value) and (high is None or value <= high))


def apply(transform: Transform, value: float) -> float:
    """Applies a configured transform to one finite property value."""
    match transform:
        case AscendingTransform():
            return ascending(value, transform.min, transform.max)
        case DescendingTransform():
            return descending(value, transform.min, transform.max)
        case TargetTransform():
            return target(value, transform.target, transform.min_distance, transform.max_distance)
        case SigmoidTransform():
            return sigmoid(value, transform.low, transform.high, transform.k)
        case ReverseSigmoidTransform():
            return 1.0 - sigmoid(value, transform.low, transform.high, transform.k)
        case DoubleSigmoidTransform():
            return double_sigmoid(
                value,
                transform.low,
                transform.high,
                transform.coef_div,
                transform.coef_si,
                transform.coef_se,
            )
        case StepTransform():
            return step(value, transform.low, transform.high)
        case _:
            assert_never(transform)


def aggregate(scores: Sequence[float], weights: Sequence[float], how: str) -> float:
    """One reward from the transformed scores of a crystal.

    Args:
        scores: One per term, each in [0, 1]; at least one.
        weights: One per term, positive; ``mean`` and ``min`` leave them out of account.
        how: ``mean``; ``min``; ``weighted``: ``sum(w s) / sum(w)``, which is MatInvent's
            ``sum(w s)`` for its weights, as they sum to one; ``geometric``:
            ``prod(s ^ (w / sum(w)))``, zero if any score is; or ``chebyshev``:
            ``min(1, min(s max(w) / w))``, the scalarisation that any trade-off is the best of for
            some weights (Zhang and Golovin, arXiv:2006.04655, Eq. 2), with equal weights ``min``.
    """
    match how:
        case "mean":
            return sum(scores) / len(scores)
        case "min":
            return min(scores)
        case "weighted":
            pairs = zip(weights, scores, strict=True)
            return sum(weight * score for weight, score in pairs) / sum(weights)
        case "geometric":
            if min(scores) <= 0.0:
                return 0.0
            pairs = zip(weights, scores, strict=True)
            logarithms = sum(weight * math.log(score) for weight, score in pairs)
            return math.exp(logarithms / sum(weights))
        case "chebyshev":
            largest = max(weights)
            pairs = zip(weights, scores, strict=True)
            return min(1.0, *(score * (largest / weight) for weight, score in pairs))
        case _:
            known = "mean, min, weighted, geometric or chebyshev"
            raise ValueError(f"unknown aggregation {how!r}; choose {known}")


def _logistic(exponent: float) -> float:
    """``1 / (1 + 10^-exponent)``, without overflow at either end."""
    small = math.exp(-abs(exponent) * math.log(10.0))
    return 1.0 / (1.0 + small) if exponent >= 0.0 else small / (1.0 + small)


def _clip(score: float) -> float:
    return min(1.0, max(0.0, score))
