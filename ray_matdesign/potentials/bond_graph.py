"""A batch of crystals as CHGNet sees it: atoms, bonds up to 6 Angstrom, angles up to 3 Angstrom.

Bonds are stored once, the short ones of all crystals first, and each counts as two directed bonds:
row ``k`` from its first atom and row ``n + k`` from its second. With that order one vector per bond
serves both directions, and everything that concerns angles is a leading slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ray_matdesign.potentials.neighbors import PairCandidates, find_pairs

ATOM_CUTOFF_ANG = 6.0
"""Longest bond of the atom graph (Deng et al. 2023, Methods)."""
BOND_CUTOFF_ANG = 3.0
"""Longest bond that takes part in angles."""
SKIN_ANG = 1.0
"""Extra reach of the neighbour search: larger means rarer searches and more distances a step."""


@dataclass(frozen=True)
class Topology:
    """Which atoms are bonded and which bonds form angles, for a batch; no geometry.

    Attributes:
        n_bonds: Undirected bonds.
        n_short: Undirected bonds below ``BOND_CUTOFF_ANG``; they come first.
        first: First atom of each bond, shape ``(n_bonds,)``.
        second: Second atom of each bond, shape ``(n_bonds,)``.
        bond_crystal: Crystal of each bond, shape ``(n_bonds,)``.
        center: First atom of each directed bond, shape ``(2 n_bonds,)``.
        center_neighbor: Row ``2 center`` and row ``2 neighbour + 1`` of each directed bond, shape
            ``(2 n_bonds, 2)``: where its two terms lie in a table of atoms with two entries each.
        angle_first: Directed short bond (below ``2 n_short``) of each angle, ascending, shape
            ``(n_angles,)``.
        angle_second: The other directed short bond; same shape.
        angle_second_bond: Undirected index of the other bond; same shape.
        angle_rows: Row ``angle_first`` and row ``2 n_short + angle_second_bond``, shape
            ``(n_angles, 2)``.
        short_center: Atom at which each directed short bond starts, shape ``(2 n_short,)``.
    """

    n_bonds: int
    n_short: int
    first: Tensor
    second: Tensor
    bond_crystal: Tensor
    center: Tensor
    center_neighbor: Tensor
    angle_first: Tensor
    angle_second: Tensor
    angle_second_bond: Tensor
    angle_rows: Tensor
    short_center: Tensor


@dataclass(frozen=True)
class BondGraph:
    """A batch's topology and its bond vectors.

    Attributes:
        topology: Indices.
        vectors: From the first atom of each bond to the second, shape ``(n_bonds, 3)``, Angstrom.
        numbers: Atomic numbers, shape ``(n_atoms,)``.
        atom_crystal: Crystal of each atom, shape ``(n_atoms,)``.
        n_crystals: Crystals in the batch.
        isolated: Which crystals hold an atom without a neighbour, shape ``(n_crystals,)``.
        shortest_ang: Each crystal's shortest bond, infinite without one, shape ``(n_crystals,)``.
    """

    topology: Topology
    vectors: Tensor
    numbers: Tensor
    atom_crystal: Tensor
    n_crystals: int
    isolated: NDArray[np.bool_]
    shortest_ang: NDArray[np.float64]


class GraphBuilder:
    """Builds the graph of a batch and, while the same batch moves, updates it.

    Args:
        numbers: Atomic numbers of each crystal.
        candidates: Pairs found for a crystal earlier, or ``None`` where there are none yet.
        device: Where the tensors go.
        skin_ang: Extra reach of the neighbour search, Angstrom; 0 for a single evaluation.

    Attributes:
        candidates: Pairs of each crystal, as of the last graph built.
    """

    def __init__(
        self,
        numbers: Sequence[NDArray[np.int64]],
        candidates: Sequence[PairCandidates | None],
        *,
        device: torch.device,
        skin_ang: float,
    ) -> None:
        counts = np.array([len(z) for z in numbers])
        self.candidates = list(candidates)
        self._offsets = np.cumsum(counts) - counts
        self._device = device
        self._skin = skin_ang
        self._atom_crystal = np.repeat(np.arange(len(counts)), counts)
        self._numbers_tensor = torch.as_tensor(np.concatenate(numbers), device=device)
        self._crystal_tensor = torch.as_tensor(self._atom_crystal, device=device)
        self._pairs: _PairTable | None = None
        self._reach_class = np.empty(0, dtype=np.int8)
        self._order = np.empty(0, dtype=np.int64)
        self._topology: Topology | None = None

    def build(
        self, lattices: NDArray[np.float64], frac_coords: Sequence[NDArray[np.float64]]
    ) -> BondGraph:
        """The graph of the crystals as they are now.

        Args:
            lattices: Shape ``(n_crystals, 3, 3)``, Angstrom.
            frac_coords: Of each crystal, shape ``(n_atoms, 3)``; between calls an atom must not
                be wrapped to the other side of its cell.

        Raises:
            CellTooFlat: A cell's neighbours cannot be listed.
        """
        pairs = self._current_pairs(lattices, frac_coords)
        coords = np.concatenate(frac_coords)
        separations = coords[pairs.second] - coords[pairs.first] + pairs.images
        vectors = np.matmul(separations[:, None, :], lattices[pairs.crystal])[:, 0, :]
        squared = np.einsum("bi,bi->b", vectors, vectors)
        reach_class = (squared < BOND_CUTOFF_ANG**2).astype(np.int8)
        reach_class += squared < ATOM_CUTOFF_ANG**2
        if self._topology is None or not np.array_equal(reach_class, self._reach_class):
            short, long = np.nonzero(reach_class == 2)[0], np.nonzero(reach_class == 1)[0]
            self._reach_class = reach_class
            self._order = np.concatenate([short, long])
            self._topology = self._connect(pairs, len(short))
        return BondGraph(
            topology=self._topology,
            vectors=torch.as_tensor(vectors[self._order], device=self._device),
            numbers=self._numbers_tensor,
            atom_crystal=self._crystal_tensor,
            n_crystals=len(lattices),
            isolated=self._isolated(pairs),
            shortest_ang=self._shortest(pairs, squared),
        )

    def _isolated(self, pairs: _PairTable) -> NDArray[np.bool_]:
        """Which crystals hold an atom without a neighbour."""
        bonded = np.zeros(len(self._atom_crystal), dtype=bool)
        bonded[pairs.first[self._order]] = True
        bonded[pairs.second[self._order]] = True
        lonely = np.zeros(len(self._offsets), dtype=bool)
        lonely[self._atom_crystal[~bonded]] = True
        return lonely

    def _shortest(self, pairs: _PairTable, squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each crystal's shortest distance, Angstrom."""
        shortest = np.full(len(self._offsets), np.inf)
        np.minimum.at(shortest, pairs.crystal, squared)
        return np.asarray(np.sqrt(shortest))

    def _current_pairs(
        self, lattices: NDArray[np.float64], frac_coords: Sequence[NDArray[np.float64]]
    ) -> _PairTable:
        """Searches again where atoms may have come within the cutoff unnoticed."""
        found: list[PairCandidates] = []
        changed = self._pairs is None
        for known, lattice, coords in zip(self.candidates, lattices, frac_coords, strict=True):
            if known is None or not known.covers(lattice, coords):
                known = find_pairs(lattice, coords, cutoff=ATOM_CUTOFF_ANG, skin=self._skin)
                changed = True
            found.append(known)
        if changed or self._pairs is None:
            self.candidates = list(found)
            first = np.concatenate([f.first + o for f, o in zip(found, self._offsets, strict=True)])
            second = [f.second + o for f, o in zip(found, self._offsets, strict=True)]
            self._pairs = _PairTable(
                first=first,
                second=np.concatenate(second),
                images=np.concatenate([f.images for f in found]),
                crystal=self._atom_crystal[first],
            )
            self._topology = None
        return self._pairs

    def _connect(self, pairs: _PairTable, n_short: int) -> Topology:
        """Turns the ordered bonds into index tensors."""
        first, second = pairs.first[self._order], pairs.second[self._order]
        center = np.concatenate([first, second])
        neighbor = np.concatenate([second, first])
        short_center = np.concatenate([first[:n_short], second[:n_short]])
        angle_first, angle_second = _bond_pairs(short_center)
        angle_second_bond = angle_second % max(n_short, 1)
        arrays = {
            "first": first,
            "second": second,
            "bond_crystal": pairs.crystal[self._order],
            "center": center,
            "center_neighbor": np.stack([2 * center, 2 * neighbor + 1], axis=1),
            "angle_first": angle_first,
            "angle_second": angle_second,
            "angle_second_bond": angle_second_bond,
            "angle_rows": np.stack([angle_first, 2 * n_short + angle_second_bond], axis=1),
            "short_center": short_center,
        }
        tensors = {
            name: torch.as_tensor(array, device=self._device) for name, array in arrays.items()
        }
        return Topology(n_bonds=len(first), n_short=n_short, **tensors)


@dataclass(frozen=True)
class _PairTable:
    """The candidate pairs of all crystals of a batch, atoms numbered through."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    images: NDArray[np.float64]
    crystal: NDArray[np.int64]


def _bond_pairs(centers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All ordered pairs of different directed bonds that start at the same atom.

    Args:
        centers: Atom at which each directed bond starts, shape ``(n,)``.

    Returns:
        First and second bond of each pair, sorted by the first.
    """
    by_atom = np.argsort(centers, kind="stable")
    counts = np.bincount(centers)
    starts = np.cumsum(counts) - counts
    partners = counts[centers]
    first = np.repeat(np.arange(len(centers)), partners)
    position = np.arange(len(first)) - np.repeat(np.cumsum(partners) - partners, partners)
    second = by_atom[starts[centers[first]] + position]
    different = first != second
    return first[different], second[different]
