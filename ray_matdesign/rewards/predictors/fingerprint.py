"""Crystals as vectors: what CHGNet's last layers say of the atoms, pooled over the cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.bond_graph import BondGraph, GraphBuilder
from ray_matdesign.potentials.checks import overlapping_atoms, unknown_elements
from ray_matdesign.potentials.chgnet import ATOMS_PER_BATCH, UNTRAINED_ELEMENTS
from ray_matdesign.potentials.chgnet_network import WIDTH, ChgnetNetwork
from ray_matdesign.potentials.neighbors import CellTooFlat
from ray_matdesign.potentials.protocol import Failed

FINGERPRINT_LENGTH = 4 * 2 * WIDTH
"""Four statistics of two layers."""
_KNOWN = frozenset(range(1, 95)) - UNTRAINED_ELEMENTS


def fingerprints(
    network: ChgnetNetwork, crystals: Sequence[Crystal]
) -> list[NDArray[np.float32] | Failed]:
    """Mean, standard deviation, least and greatest of each atom feature over the cell.

    The features are those before and after CHGNet's last block, which its magnetic moments and
    energies are read from; their statistics do not depend on the choice of the cell.

    Args:
        network: CHGNet, single precision.
        crystals: To describe.

    Returns:
        For each crystal a vector of shape ``(FINGERPRINT_LENGTH,)``, or why there is none: an
        element CHGNet does not know, an atom without neighbours, overlapping atoms, a flat cell.
    """
    results: dict[int, NDArray[np.float32] | Failed] = {}
    batch: list[int] = []
    for k, crystal in enumerate(crystals):
        failure = unknown_elements(crystal, _KNOWN)
        if failure is not None:
            results[k] = failure
            continue
        if batch and len(crystal) + sum(len(crystals[i]) for i in batch) > ATOMS_PER_BATCH:
            results |= _described(network, crystals, batch)
            batch = []
        batch.append(k)
    if batch:
        results |= _described(network, crystals, batch)
    return [results[k] for k in range(len(crystals))]


def _described(
    network: ChgnetNetwork, crystals: Sequence[Crystal], batch: Sequence[int]
) -> dict[int, NDArray[np.float32] | Failed]:
    """Fingerprints by position; a cell too flat is told from the others by going one by one."""
    chosen = [crystals[k] for k in batch]
    builder = GraphBuilder(
        [crystal.numbers for crystal in chosen],
        [None] * len(chosen),
        device=network.device,
        skin_ang=0.0,
    )
    try:
        graph = builder.build(
            np.stack([crystal.lattice for crystal in chosen]),
            [crystal.frac_coords for crystal in chosen],
        )
    except CellTooFlat as error:
        if len(batch) == 1:
            return {batch[0]: Failed(str(error))}
        alone = [_described(network, crystals, [k]) for k in batch]
        return {k: result for part in alone for k, result in part.items()}
    atoms = _atom_features(network, graph)
    ends = np.cumsum([len(crystal) for crystal in chosen])[:-1]
    results: dict[int, NDArray[np.float32] | Failed] = {}
    for place, (k, features) in enumerate(zip(batch, np.split(atoms, ends), strict=True)):
        failure = overlapping_atoms(graph.shortest_ang[place])
        if failure is None and graph.isolated[place]:
            failure = Failed("an atom without a neighbour within 6 Angstrom")
        results[k] = pooled(features) if failure is None else failure
    return results


def _atom_features(network: ChgnetNetwork, graph: BondGraph) -> NDArray[np.float32]:
    """Both layers side by side, shape ``(n_atoms, 2 WIDTH)``; zeros if no atoms are bonded."""
    if graph.topology.n_bonds == 0:
        return np.zeros((len(graph.numbers), 2 * WIDTH), dtype=np.float32)
    with torch.inference_mode():
        layers = network.atom_features(graph, graph.vectors.to(network.dtype))
        return np.asarray(torch.cat(layers, dim=1).float().cpu().numpy())


def pooled(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Statistics over atoms, from shape ``(n_atoms, d)`` to ``(4 d,)``."""
    return np.concatenate(
        [features.mean(axis=0), features.std(axis=0), features.min(axis=0), features.max(axis=0)]
    )
