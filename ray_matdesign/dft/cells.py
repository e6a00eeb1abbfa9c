"""What a code is given: a primitive cell, k-points, spins and bands."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.convert import to_ase
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.symmetry import attempt, spglib_cell

_OPEN_D_SHELL = frozenset((*range(23, 29), *range(42, 46), *range(74, 78)))
_OPEN_F_SHELL = frozenset((*range(58, 71), *range(91, 103)))
_HIGH_SPIN_MU_B, _WEAK_MU_B = 5.0, 0.6


def primitive_cell(crystal: Crystal, symprec_ang: float) -> Crystal:
    """The symmetrised primitive cell; the crystal as it is where spglib finds no symmetry.

    Args:
        crystal: Any cell of it.
        symprec_ang: How far atoms may be from their symmetric places.
    """
    import spglib

    standard = attempt(
        spglib.standardize_cell, spglib_cell(crystal), to_primitive=True, symprec=symprec_ang
    )
    return crystal if standard is None else Crystal(*standard)


def kpoint_mesh(crystal: Crystal, spacing_per_ang: float) -> tuple[int, int, int]:
    """The coarsest Gamma-centred mesh whose steps are no longer than the spacing.

    Args:
        crystal: Gives the reciprocal cell.
        spacing_per_ang: Largest step, 1/Angstrom, 2 pi included.
    """
    lengths = 2.0 * math.pi * np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    # The small number keeps a length that is a whole number of steps at that number of steps.
    a, b, c = (max(1, math.ceil(x / spacing_per_ang - 1e-6)) for x in lengths)
    return a, b, c


def symmetry_lines(crystal: Crystal, spacing_per_ang: float) -> NDArray[np.float64]:
    """K-points along the lines of high symmetry of the Bravais lattice.

    Lines and points are those of Setyawan and Curtarolo, Comput. Mater. Sci. 49, 299 (2010), as
    tabulated in ASE.

    Args:
        crystal: Gives the lattice.
        spacing_per_ang: Largest step, 1/Angstrom, 2 pi included; 0 for no lines.

    Returns:
        Fractions of the reciprocal vectors, shape ``(n, 3)``.
    """
    if spacing_per_ang == 0.0:
        return np.zeros((0, 3))
    path = to_ase(crystal).cell.bandpath(density=1.0 / spacing_per_ang, eps=1e-3)
    return np.asarray(path.kpts, dtype=np.float64)


def is_polarised(
    crystal: Crystal, spin: Literal["auto", "none", "collinear"], electrons: int
) -> bool:
    """Whether the two spins are treated apart.

    Args:
        crystal: Gives the elements.
        spin: The setting.
        electrons: Valence electrons of the cell.
    """
    if spin != "auto":
        return spin == "collinear"
    return electrons % 2 == 1 or bool(crystal.elements & (_OPEN_D_SHELL | _OPEN_F_SHELL))


def initial_moments(crystal: Crystal) -> list[float]:
    """Ferromagnetic start: 5 mu_B on atoms with open d or f shells, 0.6 on all others."""
    magnetic = _OPEN_D_SHELL | _OPEN_F_SHELL
    return [_HIGH_SPIN_MU_B if z in magnetic else _WEAK_MU_B for z in crystal.numbers.tolist()]


def band_count(electrons: int) -> int:
    """Bands to compute for so many valence electrons: enough empty ones above the gap."""
    occupied = (electrons + 1) // 2
    return occupied + max(4, math.ceil(0.2 * occupied))
