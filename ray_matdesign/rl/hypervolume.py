"""Hypervolume: how much of the space of scores the best trade-offs of a set cover."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Volume that at least one point dominates, every objective to be maximised.

    Exact in any number of objectives, by cutting the volume into slices along one of them
    (While et al., IEEE Trans. Evol. Comput. 10, 29 (2006)): for n points the time grows as
    ``n log n`` in two objectives, as ``n^2 log n`` in three, and ``n``-fold with each more.

    Args:
        points: Shape ``(n, objectives)``; ``n`` may be zero. A point that does not exceed the
            reference in every objective adds nothing.
        reference: The corner to measure from, shape ``(objectives,)``: for scores in [0, 1] the
            zeros, which makes the largest hypervolume 1.

    Raises:
        ValueError: Shapes do not match, or a number is not finite.
    """
    corner = np.asarray(reference, dtype=np.float64)
    found = np.asarray(points, dtype=np.float64)
    if corner.ndim != 1 or not len(corner):
        raise ValueError(f"reference has shape {corner.shape}, expected (objectives,)")
    if not found.size:
        return 0.0
    if found.ndim != 2 or found.shape[1] != len(corner):
        raise ValueError(f"points have shape {found.shape}, expected (n, {len(corner)})")
    if not (np.isfinite(found).all() and np.isfinite(corner).all()):
        raise ValueError("a point or the reference holds a number that is not finite")
    boxes = found - corner
    return _union(boxes[(boxes > 0.0).all(axis=1)])


def _union(boxes: NDArray[np.float64]) -> float:
    """Volume of the union of boxes that all have one corner in the origin."""
    if not len(boxes):
        return 0.0
    if boxes.shape[1] == 1:
        return float(boxes.max())
    tallest_first = boxes[np.argsort(-boxes[:, -1], kind="stable")]
    heights = tallest_first[:, -1]
    # Slice k lies between the heights of box k and of the next lower one: boxes 0 to k cross it.
    thickness = heights - np.append(heights[1:], 0.0)
    if boxes.shape[1] == 2:
        widths = np.maximum.accumulate(tallest_first[:, 0])
        return float(thickness @ widths)
    return sum(
        float(thickness[k]) * _union(tallest_first[: k + 1, :-1])
        for k in np.flatnonzero(thickness > 0.0).tolist()
    )
