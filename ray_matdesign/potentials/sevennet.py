"""SevenNet-l3i5 (Park et al., J. Chem. Theory Comput. 20, 4857 (2024)) as a potential.

Trained on the same crystals as CHGNet (MPtrj), by another architecture and on uncorrected energies:
a second opinion on what CHGNet relaxed. Network and weights come with the ``sevenn`` package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.batching import batches_of_atoms
from ray_matdesign.potentials.checks import checked_point, overlapping_atoms, unknown_elements
from ray_matdesign.potentials.neighbors import CellTooFlat, PairCandidates, find_pairs
from ray_matdesign.potentials.protocol import EnergyScale, Failed, SinglePoint
from ray_matdesign.potentials.sevennet_network import Bonds, SevennetNetwork

SKIN_ANG = 1.0
"""Extra reach of the neighbour search: larger means rarer searches and more distances a step."""
ATOMS_PER_BATCH = 64
"""Atoms evaluated together on a CPU. An atom takes about 4 MB, and more of them save no time."""


@dataclass(frozen=True)
class _Neighbors:
    """The bonds of one crystal, each once, as :class:`Bonds` has them."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vectors: NDArray[np.float64]


class SevennetPotential:
    """SevenNet-l3i5 behind the :class:`Potential` protocol.

    Args:
        device: Torch device, e.g. ``cpu`` or ``cuda``.
        dtype: Precision of the network; ``torch.float64`` for finite differences.
        atoms_per_batch: Atoms evaluated together; a GPU wants thousands.

    Attributes:
        name: ``sevennet-l3i5``.
        elements: The 89 elements of its training set.
        energy_scale: Uncorrected.
        network: The network itself.
        atoms_per_batch: As given.

    Raises:
        ModuleNotFoundError: The ``sevenn`` package is not installed.
        ValueError: ``atoms_per_batch`` is not positive.
    """

    def __init__(
        self,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        atoms_per_batch: int = ATOMS_PER_BATCH,
    ) -> None:
        if atoms_per_batch < 1:
            raise ValueError(f"atoms_per_batch is {atoms_per_batch}, expected at least 1")
        self.name = "sevennet-l3i5"
        self.energy_scale = EnergyScale.MP_UNCORRECTED
        self.network = SevennetNetwork(device=torch.device(device), dtype=dtype)
        self.elements = self.network.elements
        self.atoms_per_batch = atoms_per_batch

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        """Evaluates each crystal; same order and length as given.

        A crystal fails if it holds an element outside :attr:`elements`, an atom without a
        neighbour within 5 Angstrom, two atoms closer than 0.5 Angstrom, or a cell too flat to
        list neighbours in.
        """
        return SevennetSession(self, skin_ang=0.0).evaluate(range(len(crystals)), crystals)

    def session(self) -> SevennetSession:
        """Evaluates crystals that move a little between calls, without searching anew."""
        return SevennetSession(self, skin_ang=SKIN_ANG)


class SevennetSession:
    """Evaluations of the same crystals as they move.

    Args:
        potential: Whose session it is.
        skin_ang: Extra reach of the neighbour search, Angstrom.
    """

    def __init__(self, potential: SevennetPotential, *, skin_ang: float) -> None:
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
        bonded: dict[int, _Neighbors] = {}
        for key, crystal in given.items():
            neighbors = self._neighbors(key, crystal)
            if isinstance(neighbors, Failed):
                points[key] = neighbors
            else:
                bonded[key] = neighbors
        evaluable = {key: given[key] for key in bonded}
        for batch in batches_of_atoms(evaluable, self._potential.atoms_per_batch):
            points |= self._evaluate_bonded(batch, bonded)
        return [points[key] for key in keys]

    def _neighbors(self, key: int, crystal: Crystal) -> _Neighbors | Failed:
        """The crystal's bonds as it is now, or why it cannot be evaluated."""
        unknown = unknown_elements(crystal, self._potential.elements)
        if unknown is not None:
            return unknown
        cutoff = self._potential.network.cutoff_ang
        lattice, coords = crystal.lattice, crystal.frac_coords
        pairs = self._candidates.get(key)
        if pairs is None or not pairs.covers(lattice, coords):
            try:
                pairs = find_pairs(lattice, coords, cutoff=cutoff, skin=self._skin)
            except CellTooFlat as error:
                return Failed(str(error))
            self._candidates[key] = pairs
        vectors = (coords[pairs.second] - coords[pairs.first] + pairs.images) @ lattice
        lengths = np.linalg.norm(vectors, axis=1)
        near = lengths < cutoff
        first, second = pairs.first[near], pairs.second[near]
        if len(np.union1d(first, second)) < len(crystal):
            return Failed(f"an atom without a neighbour within {cutoff:g} Angstrom")
        overlap = overlapping_atoms(float(lengths.min()))
        return overlap or _Neighbors(first, second, vectors[near])

    def _evaluate_bonded(
        self, batch: Mapping[int, Crystal], bonded: Mapping[int, _Neighbors]
    ) -> dict[int, SinglePoint | Failed]:
        """One pass of the network."""
        sizes = np.array([len(crystal) for crystal in batch.values()])
        starts = np.cumsum(sizes) - sizes
        parts = [bonded[key] for key in batch]
        first = np.concatenate([p.first + s for p, s in zip(parts, starts, strict=True)])
        second = np.concatenate([p.second + s for p, s in zip(parts, starts, strict=True)])
        vectors = np.concatenate([part.vectors for part in parts])
        prediction = self._potential.network.predict(
            Bonds(
                numbers=np.concatenate([crystal.numbers for crystal in batch.values()]),
                atom_crystal=np.repeat(np.arange(len(batch)), sizes),
                first=np.concatenate([first, second]),
                second=np.concatenate([second, first]),
                vectors=np.concatenate([vectors, -vectors]),
            )
        )
        return {
            key: checked_point(
                SinglePoint(
                    energy_ev_per_atom=float(prediction.energies[k]) / len(crystal),
                    forces_ev_per_ang=prediction.forces[starts[k] : starts[k] + sizes[k]],
                    stress_ev_per_ang3=prediction.virials[k] / crystal.volume,
                )
            )
            for k, (key, crystal) in enumerate(batch.items())
        }
