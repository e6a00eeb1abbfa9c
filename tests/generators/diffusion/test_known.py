"""Crystals the training data held are recognised before their geometry is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.geometry import nearest_contacts
from ray_matdesign.generators.diffusion.artifact import load_artifact
from ray_matdesign.generators.diffusion.batch import collate
from ray_matdesign.generators.diffusion.known import KnownCrystals, crystal_keys
from ray_matdesign.generators.diffusion.policy import DiffusionPolicy
from ray_matdesign.generators.diffusion.sampler import SamplerOptions
from ray_matdesign.generators.diffusion.symmetry import symmetrise


def key(crystal: Crystal) -> int:
    return next(crystal_keys(collate([symmetrise(crystal)])))


@settings(max_examples=25, deadline=None)
@given(
    shift=st.tuples(*[st.floats(0.0, 1.0)] * 3),
    scale=st.floats(0.8, 1.3),
    order=st.permutations(range(5)),
)
def test_a_key_depends_on_symmetry_and_elements_alone(
    shift: tuple[float, ...], scale: float, order: list[int]
) -> None:
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    numbers = np.array([56, 22, 8, 8, 8])
    perovskite = Crystal(4.0 * np.eye(3), sites, numbers)
    moved = Crystal(
        scale * perovskite.lattice, np.remainder(sites + shift, 1.0)[order], numbers[order]
    )
    doubled = Crystal(
        np.diag([8.0, 4.0, 4.0]),
        np.concatenate([sites * [0.5, 1, 1], sites * [0.5, 1, 1] + [0.5, 0, 0]]),
        np.tile(numbers, 2),
    )
    other = Crystal(perovskite.lattice, sites, np.array([38, 22, 8, 8, 8]))
    assert key(moved) == key(perovskite) == key(doubled)
    assert key(other) != key(perovskite)


def test_a_set_knows_its_own_and_comes_back_from_bytes(
    rocksalt: Crystal, perovskite: Crystal, rutile: Crystal
) -> None:
    batch = collate([symmetrise(rocksalt), symmetrise(rutile)])
    known = KnownCrystals.from_bytes(KnownCrystals.of([batch]).to_bytes())
    everything = collate([symmetrise(c) for c in (rutile, perovskite, rocksalt)])
    assert known.holds(everything).tolist() == [True, False, True]


@pytest.fixture(scope="module")
def drawn() -> dict[bool, list[Crystal]]:
    """Crystals from the packaged weights, with and without the options that rule some out."""
    anything = SamplerOptions(steps=20, avoid_known=False, min_contact=0.0, max_contact=99.0)
    artifact = load_artifact("packaged")
    return {
        options.avoid_known: DiffusionPolicy(artifact, options).sample(48, seed=3)
        for options in (SamplerOptions(steps=20), anything)
    }


def test_what_the_data_held_is_not_drawn(drawn: dict[bool, list[Crystal]]) -> None:
    known = load_artifact("packaged").known

    def share(crystals: list[Crystal]) -> float:
        batch = collate([symmetrise(crystal) for crystal in crystals])
        return float(known.holds(batch).to(torch.float64).mean())

    assert len(drawn[True]) == len(drawn[False]) == 48
    assert share(drawn[False]) > 0.1
    assert share(drawn[True]) < 0.05  # one that lands on a higher symmetry than its scaffold's


def test_atoms_neither_overlap_nor_float(drawn: dict[bool, list[Crystal]]) -> None:
    def share_within(crystals: list[Crystal]) -> float:
        contacts = [nearest_contacts(crystal) for crystal in crystals]
        return float(np.mean([c.min() >= 0.8 and c.max() <= 1.2 for c in contacts]))

    assert share_within(drawn[False]) < 0.8
    assert share_within(drawn[True]) > 0.9  # the last attempt takes whatever comes
