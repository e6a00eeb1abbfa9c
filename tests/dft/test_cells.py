import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.dft.cells import (
    band_count,
    initial_moments,
    is_polarised,
    kpoint_mesh,
    primitive_cell,
    symmetry_lines,
)


def supercell(crystal: Crystal) -> Crystal:
    shifts = np.array([[i, j, 0] for i in (0, 1) for j in (0, 1)])
    coords = (crystal.frac_coords[None] + shifts[:, None]).reshape(-1, 3) / [2, 2, 1]
    return Crystal(crystal.lattice * [[2], [2], [1]], coords, np.tile(crystal.numbers, 4))


def test_a_supercell_off_its_sites_becomes_the_primitive_cell(silicon: Crystal) -> None:
    large = supercell(silicon)
    noise = np.random.default_rng(0).normal(scale=1e-4, size=(8, 3))
    noisy = Crystal(large.lattice, large.frac_coords + noise, large.numbers)
    cell = primitive_cell(noisy, 0.01)
    assert len(cell) == 2
    assert cell.volume == pytest.approx(silicon.volume, rel=1e-3)


@given(
    lengths=st.tuples(*[st.floats(2.0, 30.0)] * 3),
    spacing=st.floats(0.05, 2.0),
)
def test_the_mesh_is_the_coarsest_that_is_fine_enough(
    lengths: tuple[float, float, float], spacing: float
) -> None:
    mesh = kpoint_mesh(Crystal(np.diag(lengths), [[0, 0, 0]], [1]), spacing)
    for length, points in zip(lengths, mesh, strict=True):
        reciprocal = 2.0 * np.pi / length
        assert reciprocal / points <= spacing * (1 + 1e-5)
        assert points == 1 or reciprocal / (points - 1) > spacing * (1 - 1e-5)


def test_the_mesh_of_silicon_at_a_spacing_known_from_its_lattice_constant(silicon: Crystal) -> None:
    # Reciprocal vectors of the primitive fcc cell have length 2 pi sqrt(3) / a = 2.004/Angstrom.
    assert kpoint_mesh(silicon, 2.005 / 4) == (4, 4, 4)


def test_the_lines_of_an_fcc_lattice_visit_its_corners(silicon: Crystal) -> None:
    points = symmetry_lines(silicon, 0.1)
    for corner in ([0, 0, 0], [0.5, 0, 0.5], [0.5, 0.5, 0.5]):
        assert np.abs(points - corner).sum(axis=1).min() < 1e-9
    steps = np.linalg.norm(np.diff(points @ np.linalg.inv(silicon.lattice).T, axis=0), axis=1)
    assert np.median(steps) * 2 * np.pi == pytest.approx(0.1, rel=0.1)
    assert len(symmetry_lines(silicon, 0.0)) == 0


def test_spin_is_for_open_shells_and_odd_electrons(silicon: Crystal) -> None:
    iron = Crystal(np.eye(3) * 2.87, [[0, 0, 0]], [26])
    assert is_polarised(iron, "auto", 8)
    assert not is_polarised(iron, "none", 8)
    assert not is_polarised(silicon, "auto", 8)
    assert is_polarised(silicon, "auto", 9)
    assert initial_moments(iron) == [5.0]


@pytest.mark.parametrize("electrons", [1, 8, 9, 200])
def test_there_are_at_least_four_empty_bands(electrons: int) -> None:
    assert band_count(electrons) >= electrons / 2 + 4
