"""Neighbour search and graph updates against brute force and against starting anew."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.potentials.bond_graph import GraphBuilder
from ray_matdesign.potentials.neighbors import CellTooFlat, find_pairs


def _distances(lattice, coords, pairs):
    vectors = (coords[pairs.second] - coords[pairs.first] + pairs.images) @ lattice
    return np.linalg.norm(vectors, axis=1)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_lists_the_pairs_ase_lists(seed: int) -> None:
    from ase.geometry import minkowski_reduce
    from ase.neighborlist import primitive_neighbor_list

    rng = np.random.default_rng(seed)
    lattice = np.diag(rng.uniform(2.5, 6.0, 3)) + rng.uniform(-2.0, 2.0, (3, 3))
    lattice = minkowski_reduce(lattice)[0] if abs(np.linalg.det(lattice)) < 5 else lattice
    coords = rng.uniform(-1.5, 1.5, (4, 3))
    pairs = find_pairs(lattice, coords, cutoff=5.0, skin=0.0)
    reference = primitive_neighbor_list("d", [True] * 3, lattice, coords @ lattice, 5.0)
    ours = np.sort(np.repeat(_distances(lattice, coords, pairs), 2))
    np.testing.assert_allclose(ours, np.sort(reference), atol=1e-9)


def test_a_flat_cell_is_refused() -> None:
    with pytest.raises(CellTooFlat, match="too small"):
        find_pairs(np.diag([1e-4, 5.0, 5.0]), np.zeros((1, 3)), cutoff=6.0, skin=0.0)


def test_candidates_cover_small_moves_only() -> None:
    lattice, coords = 4.0 * np.eye(3), np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]])
    pairs = find_pairs(lattice, coords, cutoff=6.0, skin=1.0)
    assert pairs.covers(lattice, coords)
    assert pairs.covers(lattice * 0.95, coords + 0.02)
    assert pairs.covers(lattice, coords + 3.0)
    assert not pairs.covers(lattice * 0.8, coords)
    assert not pairs.covers(lattice, coords + np.array([[0.15, 0, 0], [-0.15, 0, 0]]))


def test_an_updated_graph_equals_a_new_one(shapes: SimpleNamespace) -> None:
    crystals = [shapes.perovskite(56, 22, 8, 4.0), shapes.rock_salt(12, 8, 4.2)]
    numbers = [crystal.numbers for crystal in crystals]
    cpu = torch.device("cpu")
    kept = GraphBuilder(numbers, [None, None], device=cpu, skin_ang=1.0)
    rng = np.random.default_rng(0)
    lattices = np.stack([crystal.lattice for crystal in crystals])
    coords = [crystal.frac_coords for crystal in crystals]
    for _ in range(20):
        lattices = lattices @ (np.eye(3) + 0.01 * rng.standard_normal((3, 3)))
        coords = [f + 0.01 * rng.standard_normal(f.shape) for f in coords]
        updated = kept.build(lattices, coords)
        fresh = GraphBuilder(numbers, [None, None], device=cpu, skin_ang=0.0).build(
            lattices, coords
        )
        assert updated.topology.n_short == fresh.topology.n_short
        assert len(updated.topology.angle_first) == len(fresh.topology.angle_first)
        kept_lengths, new_lengths = (
            np.sort(graph.vectors.norm(dim=1).numpy()) for graph in (updated, fresh)
        )
        np.testing.assert_allclose(kept_lengths, new_lengths, atol=1e-9)
