"""A small chart: two axes, lines, bands, dots and bars, drawn as SVG.

Colours and type come from the page's style sheet through class names, so that charts follow the
reader's light or dark theme and print well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import ArrayLike

LEFT, RIGHT, TOP, BOTTOM = 78.0, 16.0, 16.0, 50.0


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers within ``[low, high]``, about ``wanted`` of them (steps of 1, 2 or 5)."""
    if not high > low:
        return [low]
    rough = (high - low) / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs(math.log(s / rough)))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Labels with as many decimals as the distance between ticks needs."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(ticks[0]) or 1.0
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{tick + 0.0:,.{places}f}".replace("-", "−") for tick in ticks]


def padded(values: ArrayLike, share: float = 0.06) -> tuple[float, float]:
    """The range of the finite values, a little wider; ``(0, 1)`` if there are none."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    margin = share * (high - low) or 0.5 * abs(low) or 0.5
    return low - margin, high + margin


@dataclass
class Chart:
    """A chart being drawn.

    Attributes:
        x_range: Data limits of the horizontal axis.
        y_range: Data limits of the vertical axis.
        width: Width of the view box.
        height: Height of the view box.
        right: Room to the right of the plot, for labels at the ends of lines.
        top: Room above it, for a second horizontal axis.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width: float = 560.0
    height: float = 320.0
    right: float = RIGHT
    top: float = TOP
    _marks: list[str] = field(default_factory=list)
    _labels: list[str] = field(default_factory=list)

    def x(self, value: float) -> float:
        """Picture coordinate of a data value."""
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (self.width - LEFT - self.right)

    def y(self, value: float) -> float:
        """Picture coordinate of a data value."""
        low, high = self.y_range
        bottom = self.height - BOTTOM
        return bottom - (value - low) / (high - low) * (bottom - self.top)

    def axes(
        self, x_label: str, y_label: str, *, percent: bool = False, whole: bool = False
    ) -> None:
        """Draws grid, ticks and axis titles; call it before anything else.

        Args:
            x_label: Title of the horizontal axis.
            y_label: Title of the vertical one.
            percent: The vertical axis is a share.
            whole: The horizontal axis counts: no ticks between whole numbers.
        """
        left, right = LEFT, self.width - self.right
        bottom = self.height - BOTTOM
        ticks = nice_ticks(*self.y_range)
        labels = [f"{100 * t:.0f} %" for t in ticks] if percent else tick_labels(ticks)
        for tick, label in zip(ticks, labels, strict=True):
            y = self.y(tick)
            self._marks.append(f'<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
            self._marks.append(
                f'<text class="tick" x="{left - 8:.1f}" y="{y + 4:.1f}" '
                f'text-anchor="end">{label}</text>'
            )
        x_ticks = nice_ticks(*self.x_range, wanted=8 if self.width > 700 else 4)
        if whole:
            x_ticks = [tick for tick in x_ticks if tick == round(tick)]
        for tick, label in zip(x_ticks, tick_labels(x_ticks), strict=True):
            x = self.x(tick)
            self._marks.append(f'<path class="rule" d="M{x:.1f} {bottom:.1f}v5"/>')
            self.text(x, bottom + 19, label, "tick", "middle")
        self._marks.append(f'<path class="rule" d="M{left:.1f} {bottom:.1f}H{right:.1f}"/>')
        self.text((left + right) / 2, self.height - 10, x_label, "axis-title", "middle")
        middle = (self.top + bottom) / 2
        self._marks.append(
            f'<text class="axis-title" text-anchor="middle" '
            f'transform="translate(14 {middle:.1f}) rotate(-90)">{escape(y_label)}</text>'
        )

    def top_axis(self, places: Sequence[tuple[float, str]], label: str) -> None:
        """Draws a second horizontal axis above the plot.

        Args:
            places: Data positions and their labels, ascending; those that would overlap an
                earlier one are left out.
            label: What the labels are, written at the axis' left end.
        """
        self._marks.append(
            f'<path class="rule" d="M{LEFT:.1f} {self.top:.1f}H{self.width - self.right:.1f}"/>'
        )
        self.text(LEFT, self.top - 9, label, "tick")
        free = LEFT + 52.0
        for value, text in places:
            x = self.x(value)
            if x >= free:
                self._marks.append(f'<path class="rule" d="M{x:.1f} {self.top:.1f}v-4"/>')
                self.text(x, self.top - 9, text, "tick", "middle")
                free = x + 34.0

    def text(self, x: float, y: float, content: str, kind: str, anchor: str = "start") -> None:
        """Writes text at picture coordinates, over all other marks."""
        self._labels.append(
            f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
            f"{escape(content)}</text>"
        )

    def line(self, xs: ArrayLike, ys: ArrayLike, kind: str) -> None:
        """Draws a line through the finite points, broken where one is missing."""
        path, pen_down = [], False
        for x, y in zip(np.asarray(xs, float), np.asarray(ys, float), strict=True):
            if not (np.isfinite(x) and np.isfinite(y)):
                pen_down = False
                continue
            path.append(f"{'L' if pen_down else 'M'}{self.x(x):.1f} {self.y(y):.1f}")
            pen_down = True
        self._marks.append(f'<path class="line {kind}" d="{"".join(path)}"/>')

    def band(self, xs: ArrayLike, low: ArrayLike, high: ArrayLike, kind: str) -> None:
        """Fills between two lines."""
        upper = list(zip(np.asarray(xs, float), np.asarray(high, float), strict=True))
        lower = list(zip(np.asarray(xs, float), np.asarray(low, float), strict=True))
        points = [f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in upper + lower[::-1]]
        self._marks.append(f'<path class="band {kind}" d="M{"L".join(points)}Z"/>')

    def dots(self, xs: ArrayLike, ys: ArrayLike, kind: str, radius: float = 2.2) -> None:
        """Draws a dot at each finite point."""
        for x, y in zip(np.asarray(xs, float), np.asarray(ys, float), strict=True):
            if np.isfinite(x) and np.isfinite(y):
                self._marks.append(
                    f'<circle class="dot {kind}" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" '
                    f'r="{radius:g}"/>'
                )

    def steps(self, edges: ArrayLike, heights: ArrayLike, kind: str) -> None:
        """Draws a histogram as one filled outline."""
        sides = np.asarray(edges, float)
        path = f"M{self.x(sides[0]):.1f} {self.y(0):.1f}"
        for k, height in enumerate(np.asarray(heights, float)):
            path += f"V{self.y(height):.1f}H{self.x(sides[k + 1]):.1f}"
        self._marks.append(f'<path class="steps {kind}" d="{path}V{self.y(0):.1f}Z"/>')

    def level(self, y: float, label: str) -> None:
        """Draws a dashed horizontal line with a label, if it lies within the axis."""
        if self.y_range[0] <= y <= self.y_range[1]:
            place = self.y(y)
            right = self.width - self.right
            self._marks.append(f'<path class="level" d="M{LEFT:.1f} {place:.1f}H{right:.1f}"/>')
            self.text(LEFT + 6, place - 5, label, "note")

    def mark(self, x: float, label: str) -> None:
        """Draws a dashed vertical line with a label, if it lies within the axis."""
        if self.x_range[0] <= x <= self.x_range[1]:
            place, bottom = self.x(x), self.height - BOTTOM
            self._marks.append(
                f'<path class="level" d="M{place:.1f} {self.top:.1f}V{bottom:.1f}"/>'
            )
            beyond = place > self.width - self.right - 110
            self.text(
                place + (-6 if beyond else 6),
                self.top + 11,
                label,
                "note",
                "end" if beyond else "start",
            )

    def end_labels(self, ends: Sequence[tuple[float, str, str]]) -> None:
        """Names lines at their right ends, moved apart so that no two overlap.

        Args:
            ends: Data height, text and class of each.
        """
        gap = 15.0
        placed = sorted(((self.y(y), text, kind) for y, text, kind in ends if np.isfinite(y)))
        spots: list[float] = []
        for y, _, _ in placed:
            spots.append(max(y, spots[-1] + gap) if spots else y)
        overflow = (spots[-1] - (self.height - BOTTOM)) if spots else 0.0
        for k in range(len(spots) - 1, -1, -1):
            ceiling = spots[k + 1] - gap if k + 1 < len(spots) else spots[k] - max(overflow, 0.0)
            spots[k] = min(spots[k], ceiling)
        for spot, (_, text, kind) in zip(spots, placed, strict=True):
            self.text(self.width - self.right + 7, spot + 4, text, f"end-label {kind}")

    def svg(self, title: str, description: str) -> str:
        """The finished picture, with what a screen reader says of it."""
        return (
            f'<svg class="chart" viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-label="{escape(title)}. {escape(description)}">'
            f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
            f"{''.join(self._marks)}{''.join(self._labels)}</svg>"
        )
