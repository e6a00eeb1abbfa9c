"""Genomes: decorated structure types as arrays, and the crystals they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.geometry import Floats
from ray_matdesign.crystals.prototypes import MAX_SITES
from ray_matdesign.generators.genetic.frames import Frame, frames

Ints = NDArray[np.int64]

_ELEMENT_CODES = 128
_EXACT = 1e-6


class ForeignCrystal(ValueError):
    """A crystal that is no decorated structure type."""


@dataclass(frozen=True, eq=False)
class Genomes:
    """Any number of genomes, by rows.

    Attributes:
        kinds: Place of the structure type in :func:`frames`, shape ``(n,)``.
        elements: Atomic number on each site, shape ``(n, MAX_SITES)``; 0 where there is no site.
        strains: Logarithm of how much longer x, y and z are than in the structure type at the
            guessed volume, shape ``(n, 3)``.
        shifts: What is added to free coordinates, shape ``(n, MAX_SITES, 3)``, fractional.
    """

    kinds: Ints
    elements: Ints
    strains: Floats
    shifts: Floats

    def __len__(self) -> int:
        return len(self.kinds)

    @classmethod
    def undistorted(cls, kinds: Ints, elements: Ints) -> Genomes:
        """Structure types as the table has them, in their canonical order of sites."""
        n = len(kinds)
        return cls(kinds, elements, np.zeros((n, 3)), np.zeros((n, MAX_SITES, 3)))

    @classmethod
    def joined(cls, parts: Sequence[Genomes]) -> Genomes:
        """All of several; at least one."""
        return cls(
            *(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(cls))
        )

    def take(self, rows: Ints | NDArray[np.bool_]) -> Genomes:
        """Some of the genomes, by index or by mask."""
        return Genomes(*(getattr(self, field.name)[rows] for field in fields(self)))

    def canonical(self) -> Genomes:
        """The same crystals, but for distortions, with equivalent sites in ascending order.

        Where sites are exchanged, their shifts are forgotten: an exchange may also turn them.
        """
        elements, shifts = self.elements.copy(), self.shifts.copy()
        for kind in np.unique(self.kinds).tolist():
            exchanges = np.array(frames()[kind].exchanges)
            if len(exchanges) == 1:
                continue
            rows = np.flatnonzero(self.kinds == kind)
            sites = exchanges.shape[1]
            orders = self.elements[rows][:, exchanges]  # genome, order, site
            best = _codes(orders).argmin(axis=1)
            elements[rows, :sites] = orders[np.arange(len(rows)), best]
            shifts[rows[best != 0]] = 0.0
        return Genomes(self.kinds, elements, self.strains, shifts)

    def codes(self) -> Ints:
        """A number for each structure type with its elements, shape ``(n,)``.

        Distortions do not count: a relaxation undoes them. Of canonical genomes equal numbers mean
        equal crystals.
        """
        padded = np.concatenate([self.kinds[:, None], self.elements], axis=1)
        return _codes(padded)

    def crystals(self) -> list[Crystal]:
        """The crystals, in order."""
        built: list[Crystal | None] = [None] * len(self)
        for kind in np.unique(self.kinds).tolist():
            rows, frame = np.flatnonzero(self.kinds == kind), frames()[kind]
            elements = self.elements[rows, : frame.sites]
            lengths = np.cbrt(frame.volumes(elements))[:, None] * np.exp(self.strains[rows])
            lattices = frame.lattice * lengths[:, None, :]
            coords = frame.coordinates(self.shifts[rows, : frame.sites])
            numbers = elements[:, frame.site]
            for place, row in enumerate(rows.tolist()):
                built[row] = Crystal(lattices[place], coords[place], numbers[place])
        return [crystal for crystal in built if crystal is not None]


def genomes_of(crystals: Sequence[Crystal]) -> Genomes:
    """Reads the genomes out of crystals made by :meth:`Genomes.crystals`.

    Raises:
        ForeignCrystal: One was made otherwise.
    """
    found = [_genome_of(crystal) for crystal in crystals]
    return Genomes.joined(found) if found else no_genomes()


def no_genomes() -> Genomes:
    """None at all."""
    return Genomes.undistorted(np.zeros(0, np.int64), np.zeros((0, MAX_SITES), np.int64))


def _genome_of(crystal: Crystal) -> Genomes:
    fits = [
        genome
        for kind, frame in enumerate(frames())
        if len(frame.site) == len(crystal)
        and (genome := _in_frame(crystal, kind, frame)) is not None
    ]
    if fits:
        # Shifted far enough, cadmium iodide becomes aluminium diboride.
        return min(fits, key=lambda g: np.abs(g.shifts).max() + np.abs(g.strains).max())
    raise ForeignCrystal(
        f"{crystal.formula}, {len(crystal)} atoms, is no decorated structure type: a genetic "
        f"generator learns only from crystals of its own"
    )


def _in_frame(crystal: Crystal, kind: int, frame: Frame) -> Genomes | None:
    """The genome of a crystal in a structure type; ``None`` if it is of another."""
    stretch = np.linalg.inv(frame.lattice) @ crystal.lattice
    lengths = np.diag(stretch)
    rest = np.abs(stretch - np.diag(lengths)).max()
    tied = lengths[list(frame.ties)]
    if lengths.min() <= 0.0 or rest + np.abs(lengths - tied).max() > _EXACT * lengths.max():
        return None
    first = np.unique(frame.site, return_index=True)[1]
    elements = crystal.numbers[first]
    if (elements[frame.site] != crystal.numbers).any():
        return None
    (home,) = frame.coordinates(np.zeros((1, frame.sites, 3)))
    apart = crystal.frac_coords - home
    apart -= np.round(apart)
    inverse = np.linalg.pinv(frame.basis[first].astype(float))
    shifts = np.einsum("sij,sj->si", inverse, apart[first])
    missed = frame.coordinates(shifts[None])[0] - crystal.frac_coords
    if np.abs(missed - np.round(missed)).max() > _EXACT:
        return None
    (volume,) = frame.volumes(elements[None])
    genome = Genomes.undistorted(np.array([kind]), np.zeros((1, MAX_SITES), np.int64))
    genome.elements[0, : frame.sites] = elements
    genome.strains[0] = np.log(lengths / np.cbrt(volume))
    genome.shifts[0, : frame.sites] = shifts
    return genome


def _codes(digits: Ints) -> Ints:
    """Rows of numbers below 128 along the last axis as one number each."""
    powers = _ELEMENT_CODES ** np.arange(digits.shape[-1] - 1, -1, -1, dtype=np.int64)
    return np.asarray(digits @ powers)
