"""Charts of a campaign: how populations move from round to round, and what none surpasses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ray_matdesign.report.chart import Chart, padded
from ray_matdesign.report.wording import number

Floats = NDArray[np.float64]

_JITTER = 0.16
"""Dots of a round lie this far to either side of it."""
MOST_DOTS = 300
"""Dots of one round; more say no more."""


def rounds_chart(values: Mapping[int, ArrayLike], label: str) -> str:
    """A property of the populations of successive rounds; empty without any value.

    Args:
        values: By round, of each crystal; what is not finite is left out.
        label: Title of the vertical axis.
    """
    known = {number: finite(found) for number, found in sorted(values.items())}
    known = {number: found for number, found in known.items() if len(found)}
    if not known:
        return ""
    rounds = list(known)
    chart = Chart((rounds[0] - 0.5, rounds[-1] + 0.5), padded(np.concatenate([*known.values()])))
    chart.axes("Round", label, whole=True)
    tenths = {share: [np.quantile(v, share) for v in known.values()] for share in (0.1, 0.5, 0.9)}
    if len(rounds) > 1:
        chart.band(rounds, tenths[0.1], tenths[0.9], "accent")
    for place, found in known.items():
        shown = found[:: -(-len(found) // MOST_DOTS)]
        # Spread by rank of appearance, the same in every rendering of the page.
        offsets = _JITTER * (2.0 * np.modf(np.arange(len(shown)) * 0.6180339887)[0] - 1.0)
        chart.dots(place + offsets, shown, "quiet")
    chart.line(rounds, tenths[0.5], "accent")
    chart.dots(rounds, tenths[0.5], "accent", 4.0)
    first, last = tenths[0.5][0], tenths[0.5][-1]
    told = f"Median {number(first)} in round {rounds[0]}, {number(last)} in round {rounds[-1]}."
    return chart.svg(f"{label} by round", told)


def front_chart(
    points: Floats, on_front: ArrayLike, labels: tuple[str, str], names: Sequence[str]
) -> str:
    """Crystals by two properties, those that no other surpasses joined and named.

    Args:
        points: Shape ``(n, 2)``; rows that are not finite are left out.
        on_front: Of each crystal.
        labels: Axis titles.
        names: Of each crystal.

    Returns:
        The picture; empty where no row is finite.
    """
    there = np.isfinite(points).all(axis=1)
    if not there.any():
        return ""
    front = np.asarray(on_front, dtype=bool) & there
    chart = Chart(padded(points[there, 0]), padded(points[there, 1]))
    chart.axes(*labels)
    chart.dots(points[there & ~front, 0], points[there & ~front, 1], "quiet", 3.0)
    order = np.flatnonzero(front)[np.argsort(points[front, 0], kind="stable")]
    chart.line(points[order, 0], points[order, 1], "accent thin")
    chart.dots(points[order, 0], points[order, 1], "accent", 4.5)
    named: set[str] = set()
    for place in order:
        if names[place] not in named:
            chart.text(chart.x(points[place, 0]) + 7, chart.y(points[place, 1]) - 6,
                       names[place], "note")  # fmt: skip
            named.add(names[place])
    told = f"{int(front.sum())} of {int(there.sum())} crystals are on the front."
    return chart.svg(f"{labels[1]} against {labels[0]}", told)


def finite(values: ArrayLike) -> Floats:
    """The finite ones, as an array."""
    found = np.asarray(values, dtype=np.float64)
    kept: Floats = found[np.isfinite(found)]
    return kept
