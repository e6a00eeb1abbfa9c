"""SevenNet-l3i5 (Park et al., J. Chem. Theory Comput. 20, 4857 (2024)) as a potential.

Trained on the same crystals as CHGNet (MPtrj), by another architecture and on uncorrected energies:
a second opinion on what CHGNet relaxed. Network and weights come with the ``sevenn`` package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.checks import checked_point, overlapping_atoms
from ray_matdesign.potentials.neighbors import PairCandidates
from ray_matdesign.potentials.pair_session import PairSession
from ray_matdesign.potentials.protocol import EnergyScale, Failed, SinglePoint
from ray_matdesign.potentials.sevennet_network import Bonds, SevennetNetwork

ATOMS_PER_BATCH = 64
"""Atoms evaluated together on a CPU. An atom takes about 4 MB, and more of them save no time."""


@dataclass(frozen=True)
class _Neighbors:
    """The bonds of one crystal, each once, as :class:`Bonds` has them."""

    crystal: Crystal
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
        cutoff_ang: How far the network looks from an atom, Angstrom.

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
        self.cutoff_ang = self.network.cutoff_ang
        self.atoms_per_batch = atoms_per_batch

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        """Evaluates each crystal; same order and length as given.

        A crystal fails if it holds an element outside :attr:`elements`, an atom without a
        neighbour within 5 Angstrom, two atoms closer than 0.5 Angstrom, or a cell too flat to
        list neighbours in.
        """
        return PairSession(self, skin_ang=0.0).evaluate(range(len(crystals)), crystals)

    def session(self) -> PairSession[_Neighbors]:
        """Evaluates crystals that move a little between calls, without searching anew."""
        return PairSession(self)

    def graph(self, crystal: Crystal, pairs: PairCandidates) -> _Neighbors | Failed:
        """The crystal's bonds, or why it has none.

        Args:
            crystal: As it is now.
            pairs: Those that cover it.
        """
        coords, cutoff = crystal.frac_coords, self.cutoff_ang
        vectors = (coords[pairs.second] - coords[pairs.first] + pairs.images) @ crystal.lattice
        lengths = np.linalg.norm(vectors, axis=1)
        near = lengths < cutoff
        first, second = pairs.first[near], pairs.second[near]
        if len(np.union1d(first, second)) < len(crystal):
            return Failed(f"an atom without a neighbour within {cutoff:g} Angstrom")
        overlap = overlapping_atoms(float(lengths.min()))
        return overlap or _Neighbors(crystal, first, second, vectors[near])

    def predict(self, graphs: Sequence[_Neighbors]) -> list[SinglePoint | Failed]:
        """One pass of the network over crystals with at least one bond each."""
        sizes = np.array([len(graph.crystal) for graph in graphs])
        starts = np.cumsum(sizes) - sizes
        first = np.concatenate([g.first + s for g, s in zip(graphs, starts, strict=True)])
        second = np.concatenate([g.second + s for g, s in zip(graphs, starts, strict=True)])
        vectors = np.concatenate([graph.vectors for graph in graphs])
        prediction = self.network.predict(
            Bonds(
                numbers=np.concatenate([graph.crystal.numbers for graph in graphs]),
                atom_crystal=np.repeat(np.arange(len(graphs)), sizes),
                first=np.concatenate([first, second]),
                second=np.concatenate([second, first]),
                vectors=np.concatenate([vectors, -vectors]),
            )
        )
        return [
            checked_point(
                SinglePoint(
                    energy_ev_per_atom=float(prediction.energies[k]) / int(sizes[k]),
                    forces_ev_per_ang=prediction.forces[starts[k] : starts[k] + sizes[k]],
                    stress_ev_per_ang3=prediction.virials[k] / graph.crystal.volume,
                )
            )
            for k, graph in enumerate(graphs)
        ]
