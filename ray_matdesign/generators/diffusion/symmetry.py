"""Crystals as what symmetry leaves free: a scaffold, and the few numbers that fill it.

A *scaffold* is a space group with occupied Wyckoff positions. Every atom of the primitive cell is
an integer-linear function of the free coordinates of its orbit,

    ``frac[atom] = basis[atom] @ free[orbit[atom]] + offset[atom]``

and free coordinates have period 1. The cell is six logarithmic strains of the conventional cell, of
which the crystal family pins some (see :mod:`~ray_matdesign.generators.diffusion.lattice`). A
crystal without symmetry is the scaffold P1, in which nothing is pinned. Diffusion under given
Wyckoff positions follows DiffCSP++ (arXiv:2402.03992); the free coordinates, on which wrapped noise
is exact, are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import product
from math import gcd

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.symmetry import attempt, spglib_cell
from ray_matdesign.generators.diffusion.cells import niggli

SYMMETRY_TOLERANCE_ANG = 0.05
"""How far atoms may lie from the symmetry they are given."""
OFFSET_GRID = 48
"""Offsets are multiples of 1/48: every translation of the 230 groups in any primitive cell here."""
_MATCH = 2e-3

CENTRINGS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "P": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "A": ((1, 0, 0), (0, 0.5, 0.5), (0, -0.5, 0.5)),
    "C": ((0.5, 0.5, 0), (-0.5, 0.5, 0), (0, 0, 1)),
    "I": ((-0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, -0.5)),
    "F": ((0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)),
    "R": ((2 / 3, 1 / 3, 1 / 3), (-1 / 3, 1 / 3, 1 / 3), (-1 / 3, -2 / 3, 1 / 3)),
}
"""Primitive vectors in units of the conventional ones, rows; R in hexagonal axes, obverse."""


@dataclass(frozen=True, eq=False)
class Scaffold:
    """A space group and its occupied Wyckoff positions.

    Attributes:
        group: Number of the space group, 1 to 230.
        centring: Letter of the lattice, a key of :data:`CENTRINGS`.
        letters: Wyckoff letter of each orbit.
        orbit: Orbit of each atom, ascending from 0, shape ``(atoms,)``. The first atom of an orbit
            represents it.
        basis: Shape ``(atoms, 3, 3)``, integers; column k moves the atom along free coordinate k
            and is zero where there is none.
        offset: Shape ``(atoms, 3)``.
    """

    group: int
    centring: str
    letters: str
    orbit: NDArray[np.int64]
    basis: NDArray[np.int8]
    offset: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.orbit)

    @cached_property
    def representatives(self) -> NDArray[np.int64]:
        """Index of the first atom of each orbit."""
        return np.unique(self.orbit, return_index=True)[1]

    @cached_property
    def multiplicities(self) -> NDArray[np.int64]:
        """Atoms of each orbit in the primitive cell."""
        return np.bincount(self.orbit)

    @cached_property
    def movable(self) -> NDArray[np.bool_]:
        """Which free coordinates each orbit has, shape ``(orbits, 3)``."""
        return np.asarray((self.basis[self.representatives] != 0).any(axis=1))

    @cached_property
    def drift(self) -> NDArray[np.float64]:
        """Orthonormal directions, in free coordinates, that only translate the whole crystal.

        Shape ``(orbits, 3, 3)``, the last axis counting directions, zero beyond those there are:
        three in P1, one along a polar axis, none with an inversion centre.
        """
        invariant = self._polar_directions()
        orbits = len(self.representatives)
        moves = np.zeros((orbits * 3, 3))
        if invariant.shape[1]:
            inverse = np.linalg.pinv(self.basis[self.representatives].astype(float))
            stacked = (inverse @ invariant).reshape(orbits * 3, -1)
            moves[:, : invariant.shape[1]] = np.linalg.qr(stacked)[0]
        return moves.reshape(orbits, 3, 3)

    def _polar_directions(self) -> NDArray[np.float64]:
        """Vectors that every operation of the group leaves alone, columns, primitive fractional."""
        rotations, _ = operations(self.group, self.centring)
        values, vectors = np.linalg.eig(rotations.mean(axis=0))
        return np.linalg.qr(vectors[:, np.abs(values - 1.0) < 1e-6].real)[0]

    def place(self, free: NDArray[np.floating]) -> NDArray[np.float64]:
        """Fractional coordinates of all atoms, shape ``(atoms, 3)``, from ``(orbits, 3)``."""
        moved = np.einsum("aij,aj->ai", self.basis, np.asarray(free, dtype=float)[self.orbit])
        return np.asarray(np.remainder(moved + self.offset, 1.0))


@dataclass(frozen=True, eq=False)
class SymmetricCrystal:
    """A crystal as scaffold and free numbers.

    Attributes:
        scaffold: Its symmetry.
        cell: Conventional cell, rows, Angstrom.
        free: Free coordinates in [0, 1), shape ``(orbits, 3)``; 0 where there is none.
        types: Atomic number of each orbit.
    """

    scaffold: Scaffold
    cell: NDArray[np.float64]
    free: NDArray[np.float64]
    types: NDArray[np.int64]

    def crystal(self) -> Crystal:
        """The primitive cell with all its atoms."""
        return Crystal(
            np.array(CENTRINGS[self.scaffold.centring]) @ self.cell,
            self.scaffold.place(self.free),
            self.types[self.scaffold.orbit],
        )


def symmetrise(crystal: Crystal, tolerance_ang: float = SYMMETRY_TOLERANCE_ANG) -> SymmetricCrystal:
    """Finds the symmetry of a crystal and writes it in free numbers.

    Atoms move by up to the tolerance, onto the symmetry found. A crystal whose symmetry cannot be
    settled comes back in P1, exactly as it was.
    """
    import spglib

    cell = spglib_cell(crystal)
    found = attempt(spglib.get_symmetry_dataset, cell, symprec=tolerance_ang)
    if found is None or found.number == 1:
        return without_symmetry(crystal)
    centring = found.international[0]
    frac = np.asarray(found.std_positions) @ np.linalg.inv(np.array(CENTRINGS[centring]))
    kept = _distinct(np.remainder(frac, 1.0), found.std_types)
    letter_of = dict(zip(found.mapping_to_primitive, found.wyckoffs, strict=True))
    letters = [letter_of[found.std_mapping_to_primitive[k]] for k in kept]
    filled = _fill(found.number, centring, frac[kept], found.std_types[kept], letters)
    if filled is None or len(filled[0]) > len(crystal):
        return without_symmetry(crystal)
    scaffold, free, types = filled
    return SymmetricCrystal(scaffold, np.array(found.std_lattice), free, types)


def without_symmetry(crystal: Crystal) -> SymmetricCrystal:
    """The crystal in P1, in its Niggli-reduced cell."""
    reduced = niggli(crystal)
    atoms = len(crystal)
    scaffold = Scaffold(
        group=1,
        centring="P",
        letters="a" * atoms,
        orbit=np.arange(atoms),
        basis=np.broadcast_to(np.eye(3, dtype=np.int8), (atoms, 3, 3)),
        offset=np.zeros((atoms, 3)),
    )
    return SymmetricCrystal(scaffold, reduced.lattice, reduced.frac_coords, reduced.numbers)


@cache
def operations(group: int, centring: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Symmetry operations of a group in its primitive cell.

    Returns:
        Rotations ``(operations, 3, 3)``, which act on columns of fractional coordinates, and
        translations ``(operations, 3)``; one operation for each element of the point group.
    """
    import spglib

    table = attempt(spglib.get_symmetry_from_database, _first_settings()[group])
    if table is None:
        raise ValueError(f"there is no space group {group}")
    change = np.linalg.inv(np.array(CENTRINGS[centring]).T)
    rotations = np.rint(change @ table["rotations"] @ np.linalg.inv(change)).astype(np.int64)
    translations = np.remainder(table["translations"] @ change.T, 1.0)
    _, first = np.unique(rotations.reshape(-1, 9), axis=0, return_index=True)
    kept = np.sort(first)
    return rotations[kept], translations[kept]


@cache
def _first_settings() -> dict[int, int]:
    """Hall number of the setting spglib standardises each group to: its first."""
    import spglib

    first: dict[int, int] = {}
    for hall in range(1, 531):
        kind = attempt(spglib.get_spacegroup_type, hall)
        if kind is not None:
            first.setdefault(kind.number, hall)
    return first


def _distinct(frac: NDArray[np.float64], types: NDArray[np.integer]) -> NDArray[np.int64]:
    """One of each set of atoms that centring makes equal."""
    apart = frac[:, None] - frac
    apart -= np.rint(apart)
    same = (np.abs(apart).max(-1) < _MATCH) & (types[:, None] == types)
    return np.flatnonzero(same.argmax(axis=1) == np.arange(len(frac)))


def _fill(
    group: int,
    centring: str,
    frac: NDArray[np.float64],
    types: NDArray[np.integer],
    letters: list[str],
) -> tuple[Scaffold, NDArray[np.float64], NDArray[np.int64]] | None:
    """Scaffold, free coordinates and types of a standardised primitive cell; ``None`` if open."""
    rotations, translations = operations(group, centring)
    images = np.einsum("gij,aj->gai", rotations, frac) + translations[:, None]
    apart = images[:, :, None] - frac
    apart -= np.rint(apart)
    hits = np.abs(apart).max(-1) < _MATCH  # operation, atom, the atom it lands on
    if not (hits.sum(-1) == 1).all():
        return None
    landing = hits.argmax(-1)
    orbits: list[tuple[str, int, int]] = []
    seen: set[int] = set()
    for atom in range(len(frac)):
        if atom not in seen:
            members = set(landing[:, atom].tolist())
            seen |= members
            orbits.append((letters[atom], len(members), atom))
    parts = [
        _orbit(rotations, translations, landing[:, atom], atom, frac)
        for _, _, atom in sorted(orbits)
    ]
    scaffold = Scaffold(
        group=group,
        centring=centring,
        letters="".join(letter for letter, _, _ in sorted(orbits)),
        orbit=np.repeat(np.arange(len(parts)), [len(basis) for basis, _, _ in parts]),
        basis=np.concatenate([basis for basis, _, _ in parts]),
        offset=np.concatenate([offset for _, offset, _ in parts]),
    )
    free = np.stack([value for _, _, value in parts])
    chosen = np.array([types[atom] for _, _, atom in sorted(orbits)], dtype=np.int64)
    return scaffold, free, chosen


def _orbit(
    rotations: NDArray[np.int64],
    translations: NDArray[np.float64],
    landing: NDArray[np.int64],
    atom: int,
    frac: NDArray[np.float64],
) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float64]]:
    """Basis and offset of each atom of one orbit, and the orbit's free coordinates."""
    stay = np.flatnonzero(landing == atom)
    moved = rotations[stay] @ frac[atom] + translations[stay]
    # The mean of the operations that keep the atom in place projects onto its Wyckoff position.
    projector = rotations[stay].mean(axis=0)
    fixed = (translations[stay] - np.rint(moved - frac[atom])).mean(axis=0)
    fixed = np.rint(fixed * OFFSET_GRID) / OFFSET_GRID
    basis = integer_basis(tuple(np.rint(projector * 48).astype(int).ravel().tolist()))
    free = np.remainder(np.linalg.pinv(basis.astype(float)) @ (frac[atom] - fixed), 1.0)
    _, first = np.unique(landing, return_index=True)
    first = first[np.argsort(first)]
    bases = (rotations[first] @ basis).astype(np.int8)
    offsets = np.remainder(rotations[first] @ fixed + translations[first], 1.0)
    return bases, np.rint(offsets * OFFSET_GRID) / OFFSET_GRID, free


@lru_cache(maxsize=4096)
def integer_basis(projector: tuple[int, ...]) -> NDArray[np.int8]:
    """Shortest integer vectors that span all integer points of a projector's image.

    Args:
        projector: Nine entries of 48 times the matrix, by rows.

    Returns:
        Shape ``(3, 3)``; the vectors are the first columns, the others are zero.
    """
    matrix = np.array(projector).reshape(3, 3)
    rank = round(np.trace(matrix) / 48)
    basis = np.zeros((3, 3), dtype=np.int8)
    if rank == 3:
        return np.eye(3, dtype=np.int8)
    fixed = [
        np.array(v)
        for v in sorted(product(range(-3, 4), repeat=3), key=_by_length)
        if any(v) and np.array_equal(matrix @ np.array(v), 48 * np.array(v))
    ]
    if rank:
        basis[:, 0] = fixed[0]
    if rank == 2:
        basis[:, 1] = next(v for v in fixed[1:] if gcd(*np.cross(fixed[0], v).tolist()) == 1)
    return basis


def _by_length(vector: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    # Of a vector and its opposite, the one with the positive leading entries comes first.
    return sum(x * x for x in vector), tuple(-x for x in vector)
