"""From a property to how good it is, in [0, 1], and from several such figures to one.

The shapes are those of MatInvent (arXiv:2511.03112, section "reward"): linear ramps, clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from ray_matdesign.config.schema import (
    AscendingTransform,
    DescendingTransform,
    ObjectiveSettings,
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


def apply(transform: Transform, value: float) -> float:
    """Applies a configured transform to one finite property value."""
    match transform:
        case AscendingTransform():
            return ascending(value, transform.min, transform.max)
        case DescendingTransform():
            return descending(value, transform.min, transform.max)
        case TargetTransform():
            return target(value, transform.target, transform.min_distance, transform.max_distance)
        case _:
            assert_never(transform)


def aggregate(scores: Sequence[float], weights: Sequence[float], how: str) -> float:
    """One reward from the transformed scores of a crystal.

    Args:
        scores: One per term, each in [0, 1]; at least one.
        weights: One per term, positive; used by ``weighted`` alone.
        how: ``mean``, ``min``, or ``weighted``: ``sum(w s) / sum(w)``, which is MatInvent's
            ``sum(w s)`` for its weights, as they sum to one.
    """
    if how == "mean":
        return sum(scores) / len(scores)
    if how == "min":
        return min(scores)
    if how == "weighted":
        pairs = zip(weights, scores, strict=True)
        return sum(weight * score for weight, score in pairs) / sum(weights)
    raise ValueError(f"unknown aggregation {how!r}; choose mean, min or weighted")


def check_weights(settings: ObjectiveSettings) -> None:
    """Refuses weights that the chosen aggregation would silently ignore.

    Raises:
        ValueError: A weight other than 1 together with ``mean`` or ``min``.
    """
    ignored = [term.scorer for term in settings.terms if term.weight != 1.0]
    if ignored and settings.aggregation != "weighted":
        raise ValueError(
            f"objective.aggregation is {settings.aggregation!r}, which ignores the weight of "
            f"{', '.join(ignored)}; set it to 'weighted' or remove the weight"
        )


def _clip(score: float) -> float:
    return min(1.0, max(0.0, score))
