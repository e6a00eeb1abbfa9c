"""The crystal every layer speaks of: three arrays, frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ray_matdesign.crystals.elements import ATOMIC_MASSES_AMU, formula_from_counts

AMU_PER_CUBIC_ANGSTROM_IN_G_PER_CM3 = 1.66053906660
"""One atomic mass unit per cubic Angstrom, in g/cm3 (CODATA 2018)."""


class InvalidCrystal(ValueError):
    """Arrays that do not describe a periodic crystal."""


@dataclass(frozen=True, eq=False)
class Crystal:
    """A periodic crystal: a cell and the atoms in it.

    Attributes:
        lattice: Cell vectors as rows, shape ``(3, 3)``, Angstrom.
        frac_coords: Fractional coordinates, shape ``(n_atoms, 3)``; not necessarily in [0, 1).
        numbers: Atomic numbers, shape ``(n_atoms,)``, each in 1..118.

    The arrays are copied on construction and made read-only, so that a crystal may be shared
    between threads and kept as a dictionary value without anyone changing it underneath.

    Raises:
        InvalidCrystal: A shape is wrong, a number is not finite, an element is unknown or the
            cell has no volume.
    """

    lattice: NDArray[np.float64]
    frac_coords: NDArray[np.float64]
    numbers: NDArray[np.int64]

    def __init__(self, lattice: ArrayLike, frac_coords: ArrayLike, numbers: ArrayLike) -> None:
        cell = np.array(lattice, dtype=np.float64)
        coords = np.array(frac_coords, dtype=np.float64)
        elements = np.array(numbers, dtype=np.int64)
        if cell.shape != (3, 3):
            raise InvalidCrystal(f"lattice has shape {cell.shape}, expected (3, 3)")
        if elements.ndim != 1 or len(elements) == 0:
            raise InvalidCrystal("a crystal needs at least one atom")
        if coords.shape != (len(elements), 3):
            raise InvalidCrystal(
                f"frac_coords has shape {coords.shape}, expected ({len(elements)}, 3)"
            )
        if not (np.isfinite(cell).all() and np.isfinite(coords).all()):
            raise InvalidCrystal("lattice or coordinates hold a value that is not finite")
        if elements.min() < 1 or elements.max() > 118:
            raise InvalidCrystal(
                f"unknown element: atomic numbers {sorted(set(elements.tolist()))}"
            )
        if abs(np.linalg.det(cell)) < 1e-6:
            raise InvalidCrystal("the cell has no volume")
        for name, array in (("lattice", cell), ("frac_coords", coords), ("numbers", elements)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def volume(self) -> float:
        """Cell volume, cubic Angstrom."""
        return float(abs(np.linalg.det(self.lattice)))

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """Cell lengths a, b, c, Angstrom."""
        return np.asarray(np.linalg.norm(self.lattice, axis=1))

    @cached_property
    def positions(self) -> NDArray[np.float64]:
        """Cartesian coordinates, shape ``(n_atoms, 3)``, Angstrom."""
        return np.asarray(self.frac_coords @ self.lattice)

    @cached_property
    def density(self) -> float:
        """Mass density, g/cm3."""
        mass = float(ATOMIC_MASSES_AMU[self.numbers].sum())
        return mass / self.volume * AMU_PER_CUBIC_ANGSTROM_IN_G_PER_CM3

    @cached_property
    def counts(self) -> dict[int, int]:
        """Atoms of each element in the cell, by atomic number, ascending."""
        values, counts = np.unique(self.numbers, return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))

    @cached_property
    def formula(self) -> str:
        """Reduced formula, electropositive elements first, e.g. ``BaTiO3``."""
        return formula_from_counts(self.counts)

    @cached_property
    def elements(self) -> frozenset[int]:
        """Atomic numbers present."""
        return frozenset(self.counts)

    def with_cell(self, lattice: ArrayLike, frac_coords: ArrayLike) -> Crystal:
        """The same atoms, in the same order, elsewhere (after a relaxation, say)."""
        return Crystal(lattice, frac_coords, self.numbers)

    def permuted(self, order: Sequence[int]) -> Crystal:
        """The same crystal with its atoms listed in another order."""
        index = np.asarray(order)
        return Crystal(self.lattice, self.frac_coords[index], self.numbers[index])
