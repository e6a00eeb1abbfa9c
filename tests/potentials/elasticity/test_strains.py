"""Symmetry-reduced strains, and stiffness from made-up stresses."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from scipy.spatial.transform import Rotation

from ray_matdesign.crystals.convert import from_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.elasticity.strains import (
    fit_stiffness,
    independent_strains,
    point_group,
)
from ray_matdesign.potentials.mandel import rotation_of_mandel

GROUPS = {
    # Space group, lattice, order of the point group, strains needed.
    "triclinic": (1, Lattice.from_parameters(3.1, 4.2, 5.3, 80, 95, 107), 1, 12),
    "monoclinic": (14, Lattice.monoclinic(4.1, 5.2, 6.3, 101), 4, 10),
    "orthorhombic": (62, Lattice.orthorhombic(4.1, 5.2, 6.3), 8, 9),
    "tetragonal": (136, Lattice.tetragonal(4.1, 5.2), 16, 6),
    "trigonal": (167, Lattice.hexagonal(4.1, 9.2), 12, 6),
    "hexagonal": (186, Lattice.hexagonal(4.1, 6.2), 12, 5),
    "cubic": (225, Lattice.cubic(4.1), 48, 3),
}


def crystal_in(system: str, seed: int = 0) -> Crystal:
    """A primitive cell of two kinds of atoms in general positions, turned at random."""
    group, lattice, _, _ = GROUPS[system]
    structure = Structure.from_spacegroup(
        group, lattice, ["Mg", "O"], [[0.0, 0.0, 0.0], [0.13, 0.27, 0.41]]
    )
    crystal = from_pymatgen(structure.get_primitive_structure())
    turn = Rotation.random(random_state=seed).as_matrix()
    return crystal.with_cell(crystal.lattice @ turn.T, crystal.frac_coords)


@pytest.mark.parametrize("system", GROUPS)
def test_rotations_are_those_of_the_point_group(system: str) -> None:
    rotations = point_group(crystal_in(system), 0.01).rotations
    assert len(rotations) == GROUPS[system][2]
    np.testing.assert_allclose(rotations[0], np.eye(3), atol=1e-9)
    products = np.einsum("aij,bjk->abik", rotations, rotations).reshape(-1, 1, 3, 3)
    assert np.abs(products - rotations).max(axis=(2, 3)).min(axis=1).max() < 1e-6


@pytest.mark.parametrize("system", GROUPS)
def test_symmetry_saves_strains(system: str) -> None:
    assert len(independent_strains(point_group(crystal_in(system), 0.01))) == GROUPS[system][3]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("system", GROUPS)
def test_the_strains_suffice_for_any_stiffness_of_that_symmetry(system: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    group = point_group(crystal_in(system, seed), 0.01)
    turns = rotation_of_mandel(group.rotations)
    matrix = rng.standard_normal((6, 6))
    stiffness = (turns @ (matrix + matrix.T) @ np.swapaxes(turns, 1, 2)).mean(axis=0)
    residual = (turns @ rng.standard_normal(6)).mean(axis=0)
    # Third-order constants: symmetric in all three indices, and invariant.
    third = np.einsum("gai,gbj,gck,ijk->abc", turns, turns, turns, rng.standard_normal((6, 6, 6)))
    strains = 0.02 * independent_strains(group)
    stresses = (
        residual
        + strains @ stiffness
        + np.einsum("abc,nb,nc->na", third / len(turns), strains, strains)
    )
    np.testing.assert_allclose(fit_stiffness(strains, stresses, group), stiffness, atol=1e-8)


def test_where_spglib_fails_nothing_is_saved() -> None:
    coincident = Crystal(3.0 * np.eye(3), [[0, 0, 0], [0, 0, 0]], [12, 12])
    group = point_group(coincident, 0.01)
    np.testing.assert_array_equal(group.rotations, [np.eye(3)])
    assert len(independent_strains(group)) == 12


def test_nearly_symmetric_crystals_count_as_symmetric() -> None:
    crystal = crystal_in("cubic")
    strain = 3e-4 * np.random.default_rng(0).standard_normal((3, 3))
    nearly = crystal.with_cell(crystal.lattice @ (np.eye(3) + strain), crystal.frac_coords)
    assert len(independent_strains(point_group(nearly, 0.05))) == 3
