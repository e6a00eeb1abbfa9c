"""Evaluations of the same crystals as they move, for potentials that look at pairs of atoms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.batching import batches_of_atoms
from ray_matdesign.potentials.checks import unknown_elements
from ray_matdesign.potentials.neighbors import CellTooFlat, PairCandidates, find_pairs
from ray_matdesign.potentials.protocol import Failed, SinglePoint

Graph = TypeVar("Graph")

SKIN_ANG = 1.0
"""Extra reach of the neighbour search: larger means rarer searches and more distances a step."""


class PairPotential(Protocol[Graph]):
    """A potential whose network takes graphs made from a list of pairs.

    Attributes:
        elements: Atomic numbers it knows.
        atoms_per_batch: Atoms evaluated together.
        cutoff_ang: How far it looks from an atom, Angstrom.
    """

    elements: frozenset[int]
    atoms_per_batch: int
    cutoff_ang: float

    def graph(self, crystal: Crystal, pairs: PairCandidates) -> Graph | Failed:
        """What the network takes of a crystal, made from pairs that cover it; or why nothing."""
        ...

    def predict(self, graphs: Sequence[Graph]) -> list[SinglePoint | Failed]:
        """One pass of the network; same order and length."""
        ...


class PairSession(Generic[Graph]):
    """Evaluations that search for neighbours only when atoms have moved far enough.

    Args:
        potential: Whose session it is.
        skin_ang: Extra reach of the neighbour search, Angstrom.
    """

    def __init__(self, potential: PairPotential[Graph], *, skin_ang: float = SKIN_ANG) -> None:
        self._potential = potential
        self._skin = skin_ang
        self._candidates: dict[int, PairCandidates] = {}

    def evaluate(
        self, keys: Sequence[int], crystals: Sequence[Crystal]
    ) -> list[SinglePoint | Failed]:
        """Evaluates crystals.

        Args:
            keys: One per crystal. A key seen in the call before means the same atoms, moved.
            crystals: Same length.
        """
        given = dict(zip(keys, crystals, strict=True))
        self._candidates = {k: found for k, found in self._candidates.items() if k in given}
        points: dict[int, SinglePoint | Failed] = {}
        graphs: dict[int, Graph] = {}
        for key, crystal in given.items():
            graph = self._graph(key, crystal)
            if isinstance(graph, Failed):
                points[key] = graph
            else:
                graphs[key] = graph
        evaluable = {key: given[key] for key in graphs}
        for batch in batches_of_atoms(evaluable, self._potential.atoms_per_batch):
            found = self._potential.predict([graphs[key] for key in batch])
            points |= zip(batch, found, strict=True)
        return [points[key] for key in keys]

    def _graph(self, key: int, crystal: Crystal) -> Graph | Failed:
        """The crystal's graph as it is now, or why it cannot be evaluated."""
        unknown = unknown_elements(crystal, self._potential.elements)
        if unknown is not None:
            return unknown
        lattice, coords = crystal.lattice, crystal.frac_coords
        pairs = self._candidates.get(key)
        if pairs is None or not pairs.covers(lattice, coords):
            cutoff = self._potential.cutoff_ang
            try:
                pairs = find_pairs(lattice, coords, cutoff=cutoff, skin=self._skin)
            except CellTooFlat as error:
                return Failed(str(error))
            self._candidates[key] = pairs
        return self._potential.graph(crystal, pairs)
