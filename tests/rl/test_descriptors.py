from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.rewards.scorer import Specimen
from ray_matdesign.rl.descriptors import GEOMETRY, SPREAD, TYPICAL, blocks, describe

NACL_LATTICE = 5.64 * (np.ones((3, 3)) - np.eye(3)) / 2
NACL = Crystal(NACL_LATTICE, [[0.0] * 3, [0.5] * 3], [11, 17])


def at_rest(crystal, formation_energy=-2.0, hull_distance=0.0):
    return Specimen(crystal, -3.4, formation_energy, hull_distance)


def figures(crystal):
    """Figures of geometry by name, as they are before they are standardised."""
    row = describe([at_rest(crystal)])[0, blocks()["geometry"]]
    return dict(zip(GEOMETRY, row * SPREAD + TYPICAL, strict=True))


def test_blocks_cover_every_column_once():
    row = describe([at_rest(NACL)])[0]
    assert np.concatenate([row[block] for block in blocks().values()]).tolist() == row.tolist()


def test_rock_salt_is_described_by_what_is_known_of_it():
    found = figures(NACL)
    assert np.exp(found["log volume per atom"]) == pytest.approx(5.64**3 / 8)
    assert np.exp(found["log mass density"]) == pytest.approx(2.16, abs=0.01)  # CRC Handbook
    assert np.exp(found["log packing fraction"]) == pytest.approx(
        4 / 3 * np.pi * (1.66**3 + 1.02**3) / (5.64**3 / 4)
    )
    assert found["closest contact, mean"] == pytest.approx(2.82 / (1.66 + 1.02))
    assert found["closest contact, standard deviation"] == pytest.approx(0.0, abs=1e-9)
    # Six neighbours, and a little of the twelve next ones, 1.41 times as far.
    assert np.exp(found["log neighbours, mean"]) == pytest.approx(6.0, abs=0.5)
    assert found["bond polarity, mean"] == pytest.approx(3.16 - 0.93, rel=0.1)
    assert found["bonds between like atoms"] == pytest.approx(0.0, abs=0.1)


def test_a_metal_has_twelve_neighbours_of_its_own_kind():
    copper = Crystal(3.61 * (np.ones((3, 3)) - np.eye(3)) / 2, [[0.0] * 3], [29])
    found = figures(copper)
    assert np.exp(found["log neighbours, mean"]) == pytest.approx(12.0, abs=0.3)
    assert found["bonds between like atoms"] == pytest.approx(1.0)
    assert found["bond polarity, mean"] == pytest.approx(0.0, abs=1e-9)


def test_energies_are_in_the_last_block():
    rows = describe([at_rest(NACL, -2.0, 0.0), at_rest(NACL, -1.0, 0.05)])
    assert np.flatnonzero(rows[0] != rows[1]).tolist() == list(range(rows.shape[1]))[-2:]
    assert rows[1, -2:] - rows[0, -2:] == pytest.approx([1.0, 1.0])


def test_what_lies_beyond_the_tables_or_alone_in_space_is_described_too():
    lonely = Crystal(np.eye(3) * 60.0, [[0.0] * 3], [1])
    curium = Crystal(np.eye(3) * 3.0, [[0.0] * 3], [96])
    assert np.isfinite(describe([at_rest(lonely), at_rest(curium)])).all()


def test_nothing_is_described_by_no_rows():
    assert describe([]).shape == (0, describe([at_rest(NACL)]).shape[1])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_atoms=st.integers(1, 8),
    shear=st.lists(st.integers(-2, 2), min_size=3, max_size=3),
)
def test_the_choice_of_cell_origin_and_order_does_not_matter(seed, n_atoms, shear):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(1, 84, n_atoms)
    crystal = Crystal(
        np.eye(3) * 5.0 + rng.normal(0, 0.5, (3, 3)), rng.random((n_atoms, 3)), numbers
    )
    basis = np.eye(3)
    basis[[0, 0, 1], [1, 2, 2]] = shear
    other = Crystal(
        basis @ crystal.lattice,
        (crystal.frac_coords + rng.random(3)) @ np.linalg.inv(basis),
        numbers,
    ).permuted(rng.permutation(n_atoms))
    assert describe([at_rest(crystal)]) == pytest.approx(describe([at_rest(other)]), abs=1e-6)
