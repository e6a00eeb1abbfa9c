"""Structure types in the numbers that a child may differ by, symmetry kept."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.geometry import Floats
from ray_matdesign.crystals.matching import fingerprint
from ray_matdesign.crystals.prototypes import Prototype, prototypes
from ray_matdesign.crystals.volumes import guessed_volumes
from ray_matdesign.generators.diffusion.symmetry import CENTRINGS, symmetrise

_LAST_ORTHORHOMBIC, _LAST_HEXAGONAL = 74, 194
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Frame:
    """A structure type whose cell and free coordinates can be changed without loss of symmetry.

    An atom lies at ``basis[atom] @ free[site] + offset[atom]``; see
    :mod:`~ray_matdesign.generators.diffusion.symmetry`.

    Attributes:
        prototype: Gives the name, the stoichiometry and the distances that volumes follow from.
        lattice: Primitive cell of one cubic Angstrom, rows, with the conventional axes along x, y
            and z as far as they are perpendicular.
        site: Of each atom, from 0, shape ``(atoms,)``.
        basis: Shape ``(atoms, 3, 3)``.
        offset: Shape ``(atoms, 3)``.
        free: Free coordinates of each site in the structure type itself, shape ``(sites, 3)``.
        movable: Which of them there are, same shape.
        ties: For each of x, y and z the first axis that it must be stretched like.
        exchanges: Orders of the sites in which the same elements make the same crystal; the given
            one is first.
    """

    prototype: Prototype
    lattice: Floats
    site: NDArray[np.int64]
    basis: NDArray[np.int8]
    offset: Floats
    free: Floats
    movable: NDArray[np.bool_]
    ties: tuple[int, int, int]
    exchanges: tuple[tuple[int, ...], ...]

    @property
    def sites(self) -> int:
        """Sites that take an element."""
        return len(self.free)

    def coordinates(self, shifts: Floats) -> Floats:
        """Fractional coordinates of the atoms.

        Args:
            shifts: What is added to the free coordinates, shape ``(n, sites, 3)``.

        Returns:
            Shape ``(n, atoms, 3)``, in [0, 1).
        """
        moved = (self.free + shifts)[:, self.site]
        placed = np.einsum("aij,naj->nai", self.basis, moved) + self.offset
        return np.asarray(np.remainder(placed, 1.0))

    def volumes(self, elements: NDArray[np.int64]) -> Floats:
        """Cell volumes that elements on the sites ask for, cubic Angstrom.

        Args:
            elements: Atomic numbers, shape ``(n, sites)``.
        """
        return guessed_volumes(self.prototype.atoms, self.prototype.distances, elements)


@cache
def frames() -> tuple[Frame, ...]:
    """The frame of every structure type, in the order of the table."""
    return tuple(_frame(prototype) for prototype in prototypes())


def _frame(prototype: Prototype) -> Frame:
    symmetric = symmetrise(prototype.cell)
    scaffold = symmetric.scaffold
    if sorted(symmetric.types) != list(range(1, len(prototype.stoichiometry) + 1)):
        raise ValueError(f"{prototype.name}: each site must be one Wyckoff position")
    orbit_of_site = np.argsort(symmetric.types)
    lattice = np.array(CENTRINGS[scaffold.centring]) @ symmetric.cell
    return Frame(
        prototype=prototype,
        lattice=lattice / np.cbrt(abs(np.linalg.det(lattice))),
        site=symmetric.types[scaffold.orbit] - 1,
        basis=scaffold.basis,
        offset=scaffold.offset,
        free=symmetric.free[orbit_of_site],
        movable=scaffold.movable[orbit_of_site],
        ties=_ties(scaffold.group),
        exchanges=_exchanges(prototype.cell, len(prototype.stoichiometry)),
    )


def _ties(group: int) -> tuple[int, int, int]:
    if group <= _LAST_ORTHORHOMBIC:
        return (0, 1, 2)
    return (0, 0, 2) if group <= _LAST_HEXAGONAL else (0, 0, 0)


def _exchanges(cell: Crystal, sites: int) -> tuple[tuple[int, ...], ...]:
    """Orders of sites that leave the distances between their atoms as they are."""
    counts = np.bincount(cell.numbers - 1)
    own = fingerprint(cell)
    alike = []
    for order in itertools.permutations(range(sites)):
        if (counts[list(order)] != counts).any():
            continue
        exchanged = Crystal(cell.lattice, cell.frac_coords, np.array(order)[cell.numbers - 1] + 1)
        if np.abs(fingerprint(exchanged) - own).max() < _SAME:
            alike.append(order)
    return tuple(alike)
