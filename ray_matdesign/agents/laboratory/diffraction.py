"""Powder diffraction patterns of phases, as they are measured and as they are compared.

Which reflections a phase has and how strong they are comes from pymatgen's calculator; where they
lie for a slightly different cell, and the shape they are seen with, is worked out here, so that
cells and widths can be refined without going back to the structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ray_matdesign.agents.laboratory.phases import PHASES, structure

Floats = NDArray[np.float64]

WAVELENGTH_ANGSTROM = 1.540593
"""Copper K-alpha 1."""
INSTRUMENT_DEG = 0.09
"""Full width at half maximum of a large crystal's reflections at low angles."""
_SPREAD = 0.05
"""Growth of that width with the tangent of theta, in degrees."""
_SCHERRER = 0.9
_LORENTZIAN = 0.5
"""Share of the Lorentzian in the profile."""
_TAIL_DEG = 3.0
_FAINTEST = 0.002
"""Reflections weaker than this, against the strongest, are left out."""
_MOST_TWO_THETA = 95.0


@dataclass(frozen=True)
class Reflections:
    """Reflections of a phase.

    Attributes:
        phase: Its name.
        hkl: Miller indices, one of each family, shape ``(n, 3)``.
        strengths: Intensity per mass of the phase: ``m |F|^2 L_p / (V M)`` with the mass ``M`` of
            the cell and its volume ``V``, electrons squared per Angstrom cubed and dalton.
        reciprocal: Metric of the reciprocal cell, without 2 pi, 1/Angstrom squared, shape (3, 3).
    """

    phase: str
    hkl: Floats
    strengths: Floats
    reciprocal: Floats

    def angles(self, scales: ArrayLike = (1.0, 1.0, 1.0)) -> Floats:
        """Diffraction angles 2 theta in degrees, shape ``(n,)``.

        Args:
            scales: Of the lengths a, b and c; angles of the cell stay.
        """
        hkl = self.hkl / np.asarray(scales)
        squares = np.einsum("ni,ij,nj->n", hkl, self.reciprocal, hkl)
        sines = 0.5 * WAVELENGTH_ANGSTROM * np.sqrt(squares)
        return np.asarray(np.degrees(2.0 * np.arcsin(np.minimum(sines, 1.0))))

    def oriented(self, march: float) -> Floats:
        """Strengths for plates or needles that lie along c, shape ``(n,)``.

        Args:
            march: Parameter of March and Dollase (Dollase, J. Appl. Cryst. 19, 267 (1986)): below 1
                for plates, 1 for none.
        """
        inverse = np.linalg.inv(self.reciprocal)
        along = self.hkl[:, 2] / np.sqrt(inverse[2, 2])
        squares = np.einsum("ni,ij,nj->n", self.hkl, self.reciprocal, self.hkl)
        cosines2 = np.clip(along**2 / squares, 0.0, 1.0)
        return np.asarray(self.strengths * (march**2 * cosines2 + (1.0 - cosines2) / march) ** -1.5)


@cache
def reflections(phase: str) -> Reflections:
    """Reflections of a reference phase up to 95 degrees.

    Raises:
        KeyError: There is no such phase.
    """
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    cell = structure(phase)
    calculator = XRDCalculator(wavelength=WAVELENGTH_ANGSTROM)
    pattern = calculator.get_pattern(cell, scaled=False, two_theta_range=(3.0, _MOST_TWO_THETA))
    strengths = np.asarray(pattern.y, dtype=np.float64)
    kept = strengths > _FAINTEST * strengths.max()
    hkl = np.array([_three(families[0]["hkl"]) for families in pattern.hkls], dtype=np.float64)
    rows = cell.lattice.reciprocal_lattice_crystallographic.matrix
    mass = float(cell.composition.weight)
    return Reflections(
        phase=phase,
        hkl=hkl[kept],
        strengths=strengths[kept] / (cell.volume * mass),
        reciprocal=np.asarray(rows @ rows.T, dtype=np.float64),
    )


def uniaxial(phase: str) -> bool:
    """Whether c is an axis of its own, along which crystals may lie."""
    return PHASES[phase].free_axes == (0, 0, 2)


def widths(angles: Floats, size_angstrom: float) -> Floats:
    """Full widths at half maximum in degrees of reflections at angles 2 theta.

    Args:
        angles: In degrees.
        size_angstrom: Of the crystallites (Scherrer).
    """
    theta = np.radians(angles / 2.0)
    of_size = np.degrees(_SCHERRER * WAVELENGTH_ANGSTROM / (size_angstrom * np.cos(theta)))
    return np.asarray(INSTRUMENT_DEG + _SPREAD * np.tan(theta) + of_size)


def profile(grid: Floats, angles: Floats, strengths: Floats, full_widths: Floats) -> Floats:
    """Reflections seen as pseudo-Voigt curves of unit area, summed; shape of the grid.

    Curves end three degrees from their middle, where they are next to nothing.

    Args:
        grid: Evenly spaced angles 2 theta in degrees, shape ``(m,)``.
        angles: Of the reflections, shape ``(n,)``.
        strengths: Their areas, shape ``(n,)``.
        full_widths: At half maximum, shape ``(n,)``.
    """
    step = float(grid[1] - grid[0])
    reach = int(np.ceil(_TAIL_DEG / step))
    nearest = np.rint((angles - grid[0]) / step).astype(np.int64)
    points = nearest[:, None] + np.arange(-reach, reach + 1)
    half = 0.5 * full_widths[:, None]
    offsets = ((grid[0] + step * points - angles[:, None]) / half) ** 2
    lorentz = (_LORENTZIAN / np.pi) / (1.0 + offsets)
    gauss = (1.0 - _LORENTZIAN) * np.sqrt(np.log(2.0) / np.pi) * np.exp(-np.log(2.0) * offsets)
    heights = (lorentz + gauss) * (strengths[:, None] / half)
    inside = (points >= 0) & (points < len(grid))
    summed = np.bincount(points[inside], weights=heights[inside], minlength=len(grid))
    return np.asarray(summed, dtype=np.float64)


def powder(
    grid: Floats,
    phase: str,
    *,
    scales: ArrayLike = (1.0, 1.0, 1.0),
    size_angstrom: float = 1000.0,
    march: float = 1.0,
    shift_deg: float = 0.0,
) -> Floats:
    """Pattern of a unit mass of a phase on a grid of angles, shape ``(m,)``.

    Args:
        grid: Angles 2 theta in degrees, shape ``(m,)``.
        phase: Name of a reference phase.
        scales: Of its lengths a, b, c.
        size_angstrom: Of crystallites.
        march: See :meth:`Reflections.oriented`.
        shift_deg: Error of the instrument's zero, added to every angle.
    """
    lines = reflections(phase)
    angles = lines.angles(scales)
    full = widths(angles, size_angstrom)
    return profile(grid, angles + shift_deg, lines.oriented(march), full)


def _three(indices: tuple[int, ...]) -> tuple[int, int, int]:
    """Miller indices without the redundant one of hexagonal cells."""
    return indices[0], indices[1], indices[-1]
