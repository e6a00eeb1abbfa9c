"""What a diffraction pattern says: phases, their shares and cells, and what no phase explains.

Phases are taken up one at a time, each time the one whose pattern best explains what is left, and
the whole is refined: cells, crystallite sizes, orientation and the zero of the angles by least
squares; shares and background, which enter linearly, by non-negative least squares within (variable
projection). Shares are of mass, by the scale factors of Hill and Howard (J. Appl. Cryst. 20, 467
(1987)), which the patterns of :mod:`.diffraction`, per mass, hold already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.laboratory.diffraction import (
    INSTRUMENT_DEG,
    powder,
    uniaxial,
)
from ray_matdesign.agents.laboratory.messages import Pattern
from ray_matdesign.agents.laboratory.phases import PHASES

Floats = NDArray[np.float64]

_BACKGROUND_TERMS = 6
_UNEVEN_DEG = 1e-3
_SEARCHED_SCALES = np.linspace(0.988, 1.012, 13)
"""Of cells, in looking for a phase; refinement goes on from the best."""
_SEARCHED_SIZE = 300.0
_WORTHWHILE = 0.02
"""A phase is taken up if it explains this share of the misfit that is left, at least."""
_SIGNIFICANT = 25.0
"""... and lessens chi squared by this much, at least."""
_MOST_PHASES = 6
_MOST_STRETCH = 0.02
_MOST_SHIFT_DEG = 0.25
_SIZES = (60.0, 5000.0)
_MARCH = (0.6, 1.6)
_STEPS = 5
"""Refinement steps between two phases; the last refinement has more."""
_LAST_STEPS = 40
_REMEMBERED = 64
"""Patterns kept, since a derivative changes the parameters of one phase alone."""
_PEAK_SIGMAS = 6.0
"""A rise of the residual by this many standard deviations is a reflection of nothing known."""


@dataclass(frozen=True)
class Share:
    """A phase that was found.

    Attributes:
        phase: Its name.
        fraction: Of the crystalline mass that was explained.
        lengths_angstrom: Refined a, b, c.
        size_angstrom: Of crystallites.
        march: Orientation of plates along c; 1 for none.
    """

    phase: str
    fraction: float
    lengths_angstrom: tuple[float, float, float]
    size_angstrom: float
    march: float


@dataclass(frozen=True)
class Analysis:
    """What was read from a pattern.

    Attributes:
        shares: Phases, most first.
        unexplained: Share of the intensity above background that no phase explains, 0 to 1.
        unknown_peaks_deg: Angles of reflections that belong to no phase.
        shift_deg: Refined error of the zero of the angles.
        r_weighted: Weighted profile residual, R_wp.
        calculated: Counts of the refined model, shape ``(m,)``.
    """

    shares: tuple[Share, ...]
    unexplained: float
    unknown_peaks_deg: tuple[float, ...]
    shift_deg: float
    r_weighted: float
    calculated: Floats = field(repr=False)

    def fraction(self, phase: str) -> float:
        """Share of a phase in what was explained; 0 if it was not found."""
        return next((one.fraction for one in self.shares if one.phase == phase), 0.0)

    def purity(self, phase: str) -> float:
        """Share of a phase in everything crystalline: unexplained intensity counts against it."""
        return self.fraction(phase) * (1.0 - self.unexplained)


class _Measured:
    """A pattern with the weights of its points and the terms of its background."""

    def __init__(self, pattern: Pattern) -> None:
        self.grid = np.asarray(pattern.two_theta_deg, dtype=np.float64)
        self.counts = np.asarray(pattern.counts, dtype=np.float64)
        if len(self.grid) < 2 or np.ptp(np.diff(self.grid)) > _UNEVEN_DEG:
            raise ValueError(f"{pattern.sample}: the angles of the pattern are not evenly spaced")
        self.weights = 1.0 / np.sqrt(np.maximum(self.counts, 1.0))
        spread = 2.0 * (self.grid - self.grid[0]) / (self.grid[-1] - self.grid[0]) - 1.0
        terms = np.polynomial.chebyshev.chebvander(spread, _BACKGROUND_TERMS - 1)
        # Reflections are positive; terms of the background may have either sign.
        self.background = np.hstack([terms, -terms])

    def fit(self, columns: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Amounts of the columns, and the counts that they and the background come to."""
        from scipy.optimize import nnls

        design = np.column_stack([*columns, self.background])
        scales = np.maximum(np.linalg.norm(design, axis=0), 1e-300)
        weighted = design / scales * self.weights[:, None]
        # The triangle of a QR decomposition has the same least squares and few rows.
        whole = np.column_stack([weighted, self.counts * self.weights])
        triangle: Floats = np.asarray(np.linalg.qr(whole, mode="r"))
        amounts, _ = nnls(triangle[:, :-1], triangle[:, -1], maxiter=50 * design.shape[1])
        amounts = amounts / scales
        return amounts[: len(columns)], design @ amounts

    def misfit(self, calculated: Floats) -> Floats:
        """Differences over their standard deviations."""
        return np.asarray((self.counts - calculated) * self.weights)


class _Model:
    """Phases and the parameters of their patterns, in one vector.

    The vector holds the zero shift and, for each phase, the stretch of its free axes, the logarithm
    of its crystallite size and, if it is uniaxial, its March parameter.
    """

    def __init__(self, grid: Floats) -> None:
        self.grid = grid
        self.phases: list[str] = []
        self.vector = np.zeros(1)
        self._seen: dict[tuple[str, bytes], Floats] = {}

    def add(self, phase: str, stretch: float) -> None:
        """Takes up a phase, its cell stretched all around."""
        axes = sorted(set(PHASES[phase].free_axes))
        start = [*([stretch] * len(axes)), np.log(_SEARCHED_SIZE)]
        start += [1.0] if uniaxial(phase) else []
        self.phases.append(phase)
        self.vector = np.concatenate([self.vector, start])

    def without(self, left_out: set[str]) -> _Model:
        """A model of the other phases, with the same parameters."""
        model = _Model(self.grid)
        parts = [self.vector[:1]]
        for phase, part in zip(self.phases, self._parts(self.vector), strict=True):
            if phase not in left_out:
                model.phases.append(phase)
                parts.append(part)
        model.vector = np.concatenate(parts)
        return model

    def bounds(self) -> tuple[Floats, Floats]:
        """Lower and upper bounds of the vector."""
        low, high = [-_MOST_SHIFT_DEG], [_MOST_SHIFT_DEG]
        for phase in self.phases:
            axes = len(set(PHASES[phase].free_axes))
            low += [-_MOST_STRETCH] * axes + [float(np.log(_SIZES[0]))]
            high += [_MOST_STRETCH] * axes + [float(np.log(_SIZES[1]))]
            if uniaxial(phase):
                low, high = [*low, _MARCH[0]], [*high, _MARCH[1]]
        return np.array(low), np.array(high)

    def columns(self, vector: Floats) -> list[Floats]:
        """Patterns of a unit mass of each phase; those asked for a moment ago are remembered."""
        columns = []
        for phase, part in zip(self.phases, self._parts(vector), strict=True):
            key = (phase, np.concatenate([vector[:1], part]).tobytes())
            if key not in self._seen:
                if len(self._seen) >= _REMEMBERED:
                    self._seen.pop(next(iter(self._seen)))
                scales, size, march = _read(phase, part)
                self._seen[key] = powder(
                    self.grid,
                    phase,
                    scales=scales,
                    size_angstrom=size,
                    march=march,
                    shift_deg=float(vector[0]),
                )
            columns.append(self._seen[key])
        return columns

    def refine(self, measured: _Measured, steps: int) -> None:
        """Improves the vector by least squares."""
        from scipy.optimize import least_squares

        def misfit(vector: Floats) -> Floats:
            return measured.misfit(measured.fit(self.columns(vector))[1])

        low, high = self.bounds()
        start = np.clip(self.vector, low + 1e-9, high - 1e-9)
        scale = np.where(high - low < 0.1, 1e-3, 0.3)
        scale[0] = 0.02
        found = least_squares(
            misfit, start, bounds=(low, high), x_scale=scale, max_nfev=steps, ftol=1e-5
        )
        self.vector = found.x

    def shares(self, amounts: Floats) -> list[Share]:
        """The phases with their shares, most first."""
        total = max(float(amounts.sum()), 1e-300)
        found = []
        parts = self._parts(self.vector)
        for phase, part, amount in zip(self.phases, parts, amounts, strict=True):
            scales, size, march = _read(phase, part)
            a, b, c = np.asarray(PHASES[phase].lengths) * scales
            lengths = (float(a), float(b), float(c))
            found.append(Share(phase, float(amount) / total, lengths, size, march))
        return sorted(found, key=lambda share: -share.fraction)

    def _parts(self, vector: Floats) -> list[Floats]:
        """The part of each phase."""
        parts, position = [], 1
        for phase in self.phases:
            length = len(set(PHASES[phase].free_axes)) + 1 + uniaxial(phase)
            parts.append(vector[position : position + length])
            position += length
        return parts


def identify(pattern: Pattern, candidates: Sequence[str]) -> Analysis:
    """Finds out which phases a pattern shows, and how much of each.

    Args:
        pattern: Of copper K-alpha 1.
        candidates: Names of reference phases that may be there: see :func:`~.phases.within`.

    Raises:
        ValueError: There is no candidate, or the pattern is empty or not evenly spaced.
    """
    if not candidates:
        raise ValueError("no reference phase to compare the pattern with")
    measured = _Measured(pattern)
    if not measured.counts.any():
        raise ValueError(f"{pattern.sample}: the pattern is empty")
    search = _Search(measured, candidates)
    model = _Model(measured.grid)
    _, calculated = measured.fit([])
    while len(model.phases) < _MOST_PHASES:
        found = search.best(calculated, model.phases)
        if found is None:
            break
        before = float((measured.misfit(calculated) ** 2).sum())
        kept = model.without(set())
        model.add(*found)
        model.refine(measured, _STEPS)
        _, improved = measured.fit(model.columns(model.vector))
        gain = before - float((measured.misfit(improved) ** 2).sum())
        if gain < max(_SIGNIFICANT, _WORTHWHILE * before):
            model = kept
            search.refused.add(found[0])
            continue
        calculated = improved
    return _conclude(model, measured)


class _Search:
    """Patterns of every candidate at several sizes of its cell, to look for the next phase with."""

    def __init__(self, measured: _Measured, candidates: Sequence[str]) -> None:
        self._measured = measured
        self._labels = [(name, float(s) - 1.0) for name in candidates for s in _SEARCHED_SCALES]
        columns = [
            powder(measured.grid, name, scales=[1.0 + s] * 3, size_angstrom=_SEARCHED_SIZE)
            for name, s in self._labels
        ]
        weighted = np.column_stack(columns) * measured.weights[:, None]
        # What the background could explain as well speaks for no phase.
        base, _ = np.linalg.qr(
            measured.background[:, :_BACKGROUND_TERMS] * measured.weights[:, None]
        )
        weighted -= base @ (base.T @ weighted)
        self._columns = weighted / np.maximum(np.linalg.norm(weighted, axis=0), 1e-300)
        self.refused: set[str] = set()

    def best(self, calculated: Floats, taken: Sequence[str]) -> tuple[str, float] | None:
        """The phase, and stretch of its cell, that explains most of what is left, if any does."""
        gains = self._columns.T @ self._measured.misfit(calculated)
        shut = {*taken, *self.refused}
        gains = np.where([name in shut for name, _ in self._labels], 0.0, gains)
        best = int(np.argmax(gains))
        return self._labels[best] if gains[best] ** 2 > _SIGNIFICANT else None


def _conclude(model: _Model, measured: _Measured) -> Analysis:
    if model.phases:
        model.refine(measured, _LAST_STEPS)
        amounts, _ = measured.fit(model.columns(model.vector))
        model = model.without({p for p, n in zip(model.phases, amounts, strict=True) if n <= 0.0})
    amounts, calculated = measured.fit(model.columns(model.vector))
    explained = sum(
        (n * column for n, column in zip(amounts, model.columns(model.vector), strict=True)),
        np.zeros_like(calculated),
    )
    background = calculated - explained
    left, peaks = _left_over(measured, calculated)
    above = max(float(np.maximum(measured.counts - background, 0.0).sum()), 1e-300)
    return Analysis(
        shares=tuple(model.shares(amounts)),
        unexplained=min(1.0, left / above),
        unknown_peaks_deg=peaks,
        shift_deg=float(model.vector[0]),
        r_weighted=float(
            np.linalg.norm(measured.misfit(calculated))
            / np.linalg.norm(measured.counts * measured.weights)
        ),
        calculated=calculated,
    )


def _left_over(measured: _Measured, calculated: Floats) -> tuple[float, tuple[float, ...]]:
    """Counts in reflections of nothing known, and their angles.

    The residual is smoothed over the width of a reflection first; what rises above its noise and
    is not the flank of a reflection that was explained, only not quite where it is, counts.
    """
    step = float(measured.grid[1] - measured.grid[0])
    reach = max(1, round(2.0 * INSTRUMENT_DEG / step))
    window = np.ones(2 * reach + 1)
    residual = np.convolve(measured.counts - calculated, window, mode="same")
    noise = np.sqrt(np.convolve(np.maximum(measured.counts, 1.0), window, mode="same"))
    model = np.convolve(np.maximum(calculated, 0.0), window, mode="same")
    unknown = (residual > _PEAK_SIGMAS * noise) & (residual > 0.25 * model)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], unknown.astype(np.int8), [0]])))
    peaks, counts = [], 0.0
    for start, end in edges.reshape(-1, 2):
        top = start + int(np.argmax(residual[start:end]))
        peaks.append(float(measured.grid[top]))
        inside = slice(max(0, start - reach), end + reach)
        counts += float(np.maximum(measured.counts - calculated, 0.0)[inside].sum())
    return counts, tuple(peaks)


def _read(phase: str, part: Floats) -> tuple[Floats, float, float]:
    """Scales of a, b, c, crystallite size and March parameter."""
    free = PHASES[phase].free_axes
    axes = sorted(set(free))
    scales = np.array([1.0 + part[axes.index(axis)] for axis in free])
    march = float(part[len(axes) + 1]) if uniaxial(phase) else 1.0
    return scales, float(np.exp(part[len(axes)])), march
