"""MatterSim (Yang et al., arXiv:2405.04967) as a potential.

Network and weights are those of the ``mattersim`` package; graphs are built here, with neighbour
lists kept from step to step, and handed to it in batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.checks import checked_point, overlapping_atoms
from ray_matdesign.potentials.mattersim_weights import load_network
from ray_matdesign.potentials.neighbors import PairCandidates
from ray_matdesign.potentials.pair_session import PairSession
from ray_matdesign.potentials.protocol import EnergyScale, Failed, SinglePoint

ATOMS_PER_BATCH = 64
"""Atoms evaluated together on a CPU: the fastest of 32 to 512 for a network of the 1M's size."""
UNTRAINED_ELEMENTS = frozenset({84, 85, 86, 87, 88})
"""Po, At, Rn, Fr, Ra: among the embeddings, but not among the 89 elements trained on."""


class MattersimPotential:
    """MatterSim behind the :class:`Potential` protocol, in single precision.

    Args:
        model: ``mattersim-v1.0.0-5M`` (MatInvent's), ``mattersim-v1.0.0-1M``, or the path of a
            checkpoint; see :func:`~ray_matdesign.potentials.mattersim_weights.load_network`.
        device: Torch device, e.g. ``cpu`` or ``cuda``.
        atoms_per_batch: Atoms evaluated together; a GPU wants thousands.

    Attributes:
        name: Of the checkpoint.
        elements: The 89 elements of its training set, as far as the network has embeddings.
        energy_scale: Uncorrected: it was trained on PBE and PBE+U calculations with the Materials
            Project's settings, as they came out (arXiv:2405.04967).
        atoms_per_batch: As given.
        cutoff_ang: How far the network looks from an atom, Angstrom.

    Raises:
        ModuleNotFoundError: The ``mattersim`` package is not installed.
        WeightsNotFound: No weights there, and none to be downloaded.
        InvalidWeights: The file is no checkpoint of MatterSim.
        ValueError: ``atoms_per_batch`` is not positive.
    """

    def __init__(
        self,
        *,
        model: str = "mattersim-v1.0.0-5M",
        device: str | torch.device = "cpu",
        atoms_per_batch: int = ATOMS_PER_BATCH,
    ) -> None:
        if atoms_per_batch < 1:
            raise ValueError(f"atoms_per_batch is {atoms_per_batch}, expected at least 1")
        loaded = load_network(model, torch.device(device))
        self.name = loaded.name
        self.energy_scale = EnergyScale.MP_UNCORRECTED
        self.elements = frozenset(range(1, loaded.max_number + 1)) - UNTRAINED_ELEMENTS
        self.atoms_per_batch = atoms_per_batch
        self.cutoff_ang = loaded.cutoff_ang
        self._loaded = loaded
        self._device = torch.device(device)

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        """Evaluates each crystal; same order and length as given.

        A crystal fails if it holds an element outside :attr:`elements`, an atom without a
        neighbour within the cutoff (5 Angstrom), two atoms closer than 0.5 Angstrom, or a cell
        too flat to list neighbours in.
        """
        return PairSession(self, skin_ang=0.0).evaluate(range(len(crystals)), crystals)

    def session(self) -> PairSession[_Graph]:
        """Evaluates crystals that move a little between calls, without searching anew."""
        return PairSession(self)

    def graph(self, crystal: Crystal, pairs: PairCandidates) -> _Graph | Failed:
        """The crystal's edges and triples, or why it has none.

        Args:
            crystal: As it is now.
            pairs: Those that cover it.
        """
        cutoff = self.cutoff_ang
        # Unwrapped coordinates may be large, and the network computes in single precision.
        cells = np.floor(crystal.frac_coords)
        images = pairs.images + cells[pairs.second] - cells[pairs.first]
        coords = crystal.frac_coords - cells
        vectors = (coords[pairs.second] - coords[pairs.first] + images) @ crystal.lattice
        lengths = np.linalg.norm(vectors, axis=1)
        near = lengths < cutoff
        first, second = pairs.first[near], pairs.second[near]
        if len(np.union1d(first, second)) < len(crystal):
            return Failed(f"an atom without a neighbour within {cutoff:g} Angstrom")
        if (overlap := overlapping_atoms(float(lengths.min()))) is not None:
            return overlap
        centers = np.concatenate([first, second])
        # The package's function for triples wants the edges of an atom one after another.
        order = np.argsort(centers, kind="stable")
        edges = np.stack([centers, np.concatenate([second, first])])[:, order]
        return _Graph(
            positions=coords @ crystal.lattice,
            lattice=crystal.lattice,
            numbers=crystal.numbers,
            edges=edges,
            images=np.concatenate([images[near], -images[near]])[order],
            **self._triples(edges, np.tile(lengths[near], 2)[order], crystal.numbers),
        )

    def _triples(
        self,
        edges: NDArray[np.int64],
        lengths: NDArray[np.float64],
        numbers: NDArray[np.int64],
    ) -> dict[str, NDArray[Any]]:
        """Pairs of edges that share an atom, and how many each edge begins."""
        from mattersim.datasets.utils.convertor import compute_threebody_indices

        triples, per_edge, _, _ = compute_threebody_indices(
            bond_atom_indices=edges.T,
            bond_length=lengths,
            n_atoms=len(numbers),
            atomic_number=numbers,
            threebody_cutoff=self._loaded.threebody_cutoff_ang,
        )
        return {"triples": triples.reshape(-1, 2), "triples_per_edge": per_edge.reshape(-1)}

    def predict(self, graphs: Sequence[_Graph]) -> list[SinglePoint | Failed]:
        """One pass of the network over crystals with at least one edge each."""
        inputs = _inputs(graphs, self._device)
        crystal_of_atom = inputs["batch"]
        strain = torch.zeros_like(inputs["cell"], requires_grad=True)
        positions = inputs["atom_pos"].requires_grad_(True)
        deformation = torch.eye(3, device=self._device) + strain
        inputs["cell"] = inputs["cell"] @ deformation
        inputs["atom_pos"] = torch.einsum("ai,aij->aj", positions, deformation[crystal_of_atom])
        energies = self._loaded.network(inputs)
        by_position, by_strain = torch.autograd.grad(energies.sum(), [positions, strain])
        sizes = [len(graph.numbers) for graph in graphs]
        forces = np.split((-by_position).double().cpu().numpy(), np.cumsum(sizes)[:-1])
        virials = by_strain.double().cpu().numpy()
        totals = energies.detach().double().cpu().numpy()
        return [
            checked_point(
                SinglePoint(
                    energy_ev_per_atom=float(totals[k]) / sizes[k],
                    forces_ev_per_ang=forces[k],
                    stress_ev_per_ang3=virials[k] / abs(np.linalg.det(graph.lattice)),
                )
            )
            for k, graph in enumerate(graphs)
        ]


@dataclass(frozen=True)
class _Graph:
    """One crystal as the network takes it.

    Attributes:
        positions: Atoms inside the cell, shape ``(n_atoms, 3)``, Angstrom.
        lattice: Shape ``(3, 3)``, Angstrom.
        numbers: Shape ``(n_atoms,)``.
        edges: Centre and neighbour, shape ``(2, n_edges)``, sorted by centre.
        images: Lattice translations of the neighbours, shape ``(n_edges, 3)``.
        triples: Two edges from the same atom, shape ``(n_triples, 2)``.
        triples_per_edge: Triples whose first edge this is, shape ``(n_edges,)``.
    """

    positions: NDArray[np.float64]
    lattice: NDArray[np.float64]
    numbers: NDArray[np.int64]
    edges: NDArray[np.int64]
    images: NDArray[np.float64]
    triples: NDArray[np.int32]
    triples_per_edge: NDArray[np.int32]


def _inputs(graphs: Sequence[_Graph], device: torch.device) -> dict[str, Any]:
    """What ``M3Gnet.forward`` reads, for several crystals.

    Atoms are counted through the batch; edges in the triples are counted from each crystal's first
    (the network adds the offsets from ``num_bonds`` and ``num_three_body``).
    """
    sizes = np.array([len(graph.numbers) for graph in graphs])
    starts = np.cumsum(sizes) - sizes
    edges = [graph.edges + start for graph, start in zip(graphs, starts, strict=True)]

    def integers(array: NDArray[Any]) -> torch.Tensor:
        return torch.as_tensor(array.astype(np.int64), device=device)

    def reals(parts: Sequence[NDArray[Any]]) -> torch.Tensor:
        return torch.as_tensor(np.concatenate(parts), dtype=torch.float32, device=device)

    return {
        "atom_pos": reals([graph.positions for graph in graphs]),
        "cell": reals([graph.lattice[None] for graph in graphs]),
        "pbc_offsets": reals([graph.images for graph in graphs]),
        "atom_attr": reals([graph.numbers[:, None] for graph in graphs]),
        "edge_index": integers(np.concatenate(edges, axis=1)),
        "three_body_indices": integers(np.concatenate([graph.triples for graph in graphs])),
        "num_three_body": integers(np.array([len(graph.triples) for graph in graphs])),
        "num_bonds": integers(np.array([graph.edges.shape[1] for graph in graphs])),
        "num_triple_ij": integers(
            np.concatenate([graph.triples_per_edge[:, None] for graph in graphs])
        ),
        "num_atoms": integers(sizes),
        "num_graphs": torch.tensor(len(graphs), device=device),
        "batch": integers(np.repeat(np.arange(len(graphs)), sizes)),
    }
