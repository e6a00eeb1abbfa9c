"""Symmetry and reduced cells against textbook values; failures that are values."""

import numpy as np
import pytest
import spglib

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.symmetry import (
    attempt,
    conventional_cell,
    niggli_lattice,
    space_group,
)
from tests.crystals.examples import perovskite, rock_salt, supercell, zinc_blende

pytestmark = pytest.mark.filterwarnings("error")

STACKED = Crystal(4.0 * np.eye(3), [[0, 0, 0], [0, 0, 0]], [29, 29])
"""Two atoms in one place: spglib finds no symmetry."""


@pytest.mark.parametrize(
    ("crystal", "expected"),
    [
        (rock_salt(), ("Fm-3m", 225)),
        (zinc_blende(), ("F-43m", 216)),
        (perovskite(), ("Pm-3m", 221)),
    ],
)
def test_space_groups(crystal: Crystal, expected: tuple[str, int]) -> None:
    assert space_group(crystal, 0.01) == expected


def test_the_conventional_cell_of_rock_salt_is_its_cube() -> None:
    cube = conventional_cell(supercell(rock_salt(a=5.64), [[1, 1, 0], [0, 1, 0], [0, 0, 2]]), 0.01)
    assert cube is not None
    assert len(cube) == 8
    assert cube.lattice == pytest.approx(5.64 * np.eye(3))


def test_the_niggli_cell_of_fcc_is_its_primitive_cell() -> None:
    skewed = np.array([[1, 0, 0], [3, 1, 0], [0, -2, 1]]) @ rock_salt(a=5.64).lattice
    reduced = niggli_lattice(skewed)
    assert reduced is not None
    assert np.linalg.norm(reduced, axis=1) == pytest.approx(np.full(3, 5.64 / np.sqrt(2)))


def test_failures_are_values() -> None:
    assert space_group(STACKED, 0.01) is None
    assert conventional_cell(STACKED, 0.01) is None
    endless = np.array([[1.0, 0.0, 0.0], [1e8, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert niggli_lattice(endless) is None


def test_nobody_else_in_the_process_notices() -> None:
    before = spglib.error.OLD_ERROR_HANDLING
    with pytest.raises(TypeError):
        attempt(spglib.niggli_reduce, no_such_option=1)  # a slip of the caller is no failure
    assert space_group(STACKED, 0.01) is None
    assert spglib.error.OLD_ERROR_HANDLING is before
