import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.crystals.convert import to_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import COVALENT_RADII_ANG
from ray_matdesign.crystals.geometry import (
    min_distance,
    nearest_contacts,
    nearest_distances,
    reduced_cell,
)
from tests.crystals.examples import crystals, perovskite, rock_salt


def test_known_distances():
    assert min_distance(rock_salt(a=5.64)) == pytest.approx(2.82)
    assert min_distance(perovskite(a=4.0)) == pytest.approx(2.0)
    distances, owners = nearest_distances(rock_salt(a=5.64), 18)
    # Six chlorines at a/2, twelve sodiums at a/sqrt(2).
    assert distances[0, :6] == pytest.approx(2.82)
    assert distances[0, 6:] == pytest.approx(5.64 / np.sqrt(2))
    assert set(owners[0, :6]) == {1}
    assert set(owners[0, 6:]) == {0}


def test_an_atom_meets_its_own_image():
    thin = Crystal(np.diag([0.4, 5.0, 5.0]), [[0, 0, 0]], [26])
    assert min_distance(thin) == pytest.approx(0.4)


def test_contacts_are_in_units_of_covalent_radii() -> None:
    # Na 1.66, Cl 1.02 (Cordero et al. 2008).
    assert nearest_contacts(rock_salt(a=5.64)) == pytest.approx(2.82 / 2.68)
    # One atom a cell meets its own images: fcc copper, 1.32.
    copper = Crystal(3.61 / 2 * (np.ones((3, 3)) - np.eye(3)), [[0, 0, 0]], [29])
    assert nearest_contacts(copper) == pytest.approx([3.61 / np.sqrt(2.0) / 2.64])
    # Each atom has its own nearest: Ti and O meet at 2 Angstrom, Ba and Ti at 2 sqrt 3.
    close, far = 2.0 / (1.60 + 0.66), 2.0 * np.sqrt(3.0) / (2.15 + 1.60)
    numbers = perovskite(a=4.0).numbers
    expected = np.where(numbers == 56, far, close)
    assert nearest_contacts(perovskite(a=4.0)) == pytest.approx(expected)


def test_covalent_radii_are_the_published_ones() -> None:
    from ase.data import covalent_radii

    np.testing.assert_allclose(COVALENT_RADII_ANG[1:], covalent_radii[1 : len(COVALENT_RADII_ANG)])


@settings(max_examples=40, deadline=None)
@given(crystals(), st.integers(1, 20))
def test_neighbours_agree_with_pymatgen(crystal, k):
    ours, _ = nearest_distances(crystal, k)
    found = to_pymatgen(crystal).get_neighbor_list(
        float(ours.max()) + 1e-6, numerical_tol=1e-12, exclude_self=True
    )
    for atom in range(len(crystal)):
        theirs = np.sort(found[3][found[0] == atom])
        # Coinciding atoms are what pymatgen's exclude_self may drop.
        if ours[atom, 0] > 1e-6:
            assert ours[atom] == pytest.approx(theirs[:k], abs=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_reduction_keeps_the_lattice_and_finds_its_shortest_vectors(seed):
    rng = np.random.default_rng(seed)
    start = 4.0 * np.eye(3) + rng.uniform(-1, 1, (3, 3))
    skewed = start.copy()
    for _ in range(4):
        i, j = rng.permutation(3)[:2]
        skewed[i] += rng.integers(-3, 4) * skewed[j]
    reduced, transform = reduced_cell(skewed)
    assert abs(round(np.linalg.det(transform))) == 1
    assert transform @ skewed == pytest.approx(reduced, abs=1e-8)
    expected, _ = reduced_cell(start)
    assert np.linalg.norm(reduced, axis=1) == pytest.approx(
        np.linalg.norm(expected, axis=1), abs=1e-7
    )
