"""Scaffolds against the space-group tables, and against pymatgen's own symmetric crystals."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import spglib
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from ray_matdesign.crystals.convert import from_pymatgen, to_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.symmetry import attempt
from ray_matdesign.generators.diffusion.batch import collate
from ray_matdesign.generators.diffusion.lattice import (
    free_strains,
    lattice_from_log_strain,
    log_strain,
    pinned_strains,
)
from ray_matdesign.generators.diffusion.scaffolds import ScaffoldLibrary, collect_scaffolds
from ray_matdesign.generators.diffusion.symmetry import (
    CENTRINGS,
    Scaffold,
    integer_basis,
    operations,
    symmetrise,
    without_symmetry,
)

ALL_GROUPS = range(1, 231)


@cache
def settings() -> dict[int, int]:
    """The first Hall number of every group."""
    kinds = {h: attempt(spglib.get_spacegroup_type, h) for h in range(530, 0, -1)}
    return {kind.number: hall for hall, kind in kinds.items() if kind is not None}


@pytest.mark.parametrize("group", ALL_GROUPS)
def test_every_cell_of_a_family_has_the_symmetry_of_its_groups(group: int) -> None:
    rng = np.random.default_rng(group)
    free, pinned = np.array(free_strains(group)), np.array(pinned_strains(group))
    strain = torch.tensor(np.where(free, rng.normal(scale=0.3, size=6), pinned)).unsqueeze(0)
    conventional = lattice_from_log_strain(strain, torch.ones(1)).numpy()[0]
    hall = settings()[group]
    centring = attempt(spglib.get_spacegroup_type, hall).international_short[0]
    cell = np.array(CENTRINGS[centring]) @ conventional
    rotations, translations = operations(group, centring)
    # A rotation W of fractional columns keeps all distances: W^T G W = G, G the metric tensor.
    metric = cell @ cell.T
    assert np.allclose(np.swapaxes(rotations, 1, 2) @ metric @ rotations, metric)
    assert np.allclose(translations * 48, np.rint(translations * 48))
    whole = len(attempt(spglib.get_symmetry_from_database, hall)["rotations"])
    assert len(rotations) == round(whole * np.linalg.det(np.array(CENTRINGS[centring])))


SYMMETRIC = [
    (2, Lattice.from_parameters(4.1, 4.9, 5.7, 81, 97, 103), [[0, 0, 0], [0.21, 0.37, 0.11]]),
    (5, Lattice.monoclinic(7.1, 4.2, 5.3, 108), [[0, 0.1, 0], [0.13, 0.31, 0.27]]),
    (8, Lattice.monoclinic(7.1, 4.2, 5.3, 108), [[0, 0, 0], [0.31, 0, 0.27]]),
    (14, Lattice.monoclinic(5.1, 5.2, 5.3, 99), [[0, 0, 0], [0.13, 0.31, 0.27]]),
    (38, Lattice.orthorhombic(3.9, 5.7, 5.8), [[0, 0, 0], [0.5, 0, 0.53], [0, 0.25, 0.3]]),
    (43, Lattice.orthorhombic(9.0, 11.0, 5.8), [[0, 0, 0], [0.11, 0.07, 0.3]]),
    (62, Lattice.orthorhombic(5.4, 7.6, 5.3), [[0.03, 0.25, 0.99], [0, 0, 0.5]]),
    (79, Lattice.tetragonal(5.2, 8.1), [[0, 0, 0], [0.17, 0.29, 0.11]]),
    (99, Lattice.tetragonal(3.9, 4.2), [[0, 0, 0], [0.5, 0.5, 0.54], [0.5, 0, 0.02]]),
    (136, Lattice.tetragonal(4.6, 2.95), [[0, 0, 0], [0.305, 0.305, 0]]),
    (139, Lattice.tetragonal(3.8, 12.9), [[0, 0, 0.36], [0, 0, 0], [0, 0.5, 0.25]]),
    (146, Lattice.hexagonal(5.9, 7.3), [[0, 0, 0], [0.2, 0.33, 0.17]]),
    (148, Lattice.hexagonal(5.9, 17.3), [[0, 0, 0.2], [0.31, 0.02, 0.09]]),
    (166, Lattice.hexagonal(2.9, 14.2), [[0, 0, 0], [0, 0, 0.5], [0, 0, 0.24]]),
    (186, Lattice.hexagonal(3.8, 6.2), [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.375]]),
    (198, Lattice.cubic(4.5), [[0.14, 0.14, 0.14], [0.84, 0.84, 0.84]]),
    (205, Lattice.cubic(5.4), [[0, 0, 0], [0.385, 0.385, 0.385]]),
    (216, Lattice.cubic(5.4), [[0, 0, 0], [0.25, 0.25, 0.25]]),
    (227, Lattice.cubic(8.1), [[0, 0, 0], [0.625, 0.625, 0.625], [0.389, 0.389, 0.389]]),
    (229, Lattice.cubic(3.2), [[0, 0, 0]]),
]


def symmetric_crystal(group: int, lattice: Lattice, sites: list[list[float]]) -> Crystal:
    species = ["Ti", "O", "Ba"][: len(sites)]
    return from_pymatgen(Structure.from_spacegroup(group, lattice, species, sites))


@pytest.mark.parametrize(("group", "lattice", "sites"), SYMMETRIC)
def test_a_crystal_survives_the_way_through_its_scaffold(
    group: int, lattice: Lattice, sites: list[list[float]]
) -> None:
    crystal = symmetric_crystal(group, lattice, sites)
    symmetric = symmetrise(crystal)
    assert symmetric.scaffold.group == group
    matcher = StructureMatcher(scale=False, ltol=1e-3, stol=1e-3, angle_tol=0.1)
    assert matcher.fit(to_pymatgen(symmetric.crystal()), to_pymatgen(crystal))


@pytest.mark.parametrize(("group", "lattice", "sites"), SYMMETRIC)
def test_free_coordinates_go_anywhere_and_the_symmetry_stays(
    group: int, lattice: Lattice, sites: list[list[float]]
) -> None:
    assert_symmetric(symmetrise(symmetric_crystal(group, lattice, sites)).scaffold)


def assert_symmetric(scaffold: Scaffold) -> None:
    """Every operation of the group takes each orbit to itself, wherever its coordinates are."""
    free = np.random.default_rng(0).uniform(size=scaffold.movable.shape) * scaffold.movable
    frac = scaffold.place(free)
    rotations, translations = operations(scaffold.group, scaffold.centring)
    for rotation, translation in zip(rotations, translations, strict=True):
        apart = (frac @ rotation.T + translation)[:, None] - frac
        apart -= np.rint(apart)
        nearest = np.abs(apart).max(-1)
        assert np.allclose(nearest.min(1), 0.0, atol=1e-9)
        assert np.array_equal(scaffold.orbit[nearest.argmin(1)], scaffold.orbit)
    assert np.allclose(scaffold.place(free + 1.0), frac)


@pytest.mark.parametrize(("group", "lattice", "sites"), SYMMETRIC)
def test_drift_translates_the_whole_crystal_and_nothing_else_does(
    group: int, lattice: Lattice, sites: list[list[float]]
) -> None:
    scaffold = symmetrise(symmetric_crystal(group, lattice, sites)).scaffold
    drift = scaffold.drift.reshape(-1, 3)
    directions = np.flatnonzero(np.square(drift).sum(0))
    axes = {5: 1, 8: 2, 38: 1, 43: 1, 79: 1, 99: 1, 146: 1, 186: 1}
    assert len(directions) == axes.get(group, 0)
    assert np.allclose(drift[:, directions].T @ drift[:, directions], np.eye(len(directions)))
    free = np.full(scaffold.movable.shape, 0.2) * scaffold.movable
    for k in directions:
        moved = scaffold.place(free + 0.05 * scaffold.drift[:, :, k]) - scaffold.place(free)
        moved -= np.rint(moved)
        assert np.allclose(moved, moved[0])
        assert np.abs(moved[0]).max() > 1e-3


def test_in_p1_three_directions_drift(perovskite: Crystal) -> None:
    scaffold = without_symmetry(perovskite).scaffold
    assert np.allclose(np.square(scaffold.drift).sum((0, 1)), 1.0)


def test_a_small_distortion_is_snapped_and_a_large_one_kept(rutile: Crystal) -> None:
    nudged = rutile.frac_coords.copy()
    nudged[0, 2] += 0.01 / rutile.lengths[2]
    assert symmetrise(rutile.with_cell(rutile.lattice, nudged)).scaffold.group == 136
    nudged[0] += [0.05, 0.08, 0.11]
    bent = symmetrise(rutile.with_cell(rutile.lattice, nudged))
    assert bent.scaffold.group == 1
    assert bent.crystal().volume == pytest.approx(rutile.volume)


def test_the_choice_of_cell_does_not_matter(rutile: Crystal) -> None:
    sheared = np.array([[1, 1, 0], [0, 1, 2], [0, 0, 1]])
    frac = rutile.frac_coords @ np.linalg.inv(sheared)
    other = rutile.with_cell(sheared @ rutile.lattice, np.remainder(frac + 0.13, 1.0))
    ours, theirs = symmetrise(rutile), symmetrise(other)
    # Where the origin lies, on one of two positions of equal symmetry, is left open.
    assert {ours.scaffold.letters, theirs.scaffold.letters} <= {"af", "bf"}
    strains = [
        log_strain(torch.tensor(s.cell).unsqueeze(0), torch.tensor([6.0])) for s in (ours, theirs)
    ]
    assert torch.allclose(strains[0], strains[1], atol=1e-6)


def test_rutile_has_one_free_coordinate_and_two_strains(rutile: Crystal) -> None:
    batch = collate([symmetrise(rutile)])
    assert batch.scaffold.freedom.tolist() == [1]
    assert batch.scaffold.strain_free.sum().item() == 2
    sizes = batch.scaffold.multiplicity[0].tolist()
    assert dict(zip(batch.types[0].tolist(), sizes, strict=True)) == {8: 4, 22: 2}


def test_integer_bases_span_every_lattice_point_of_the_plane() -> None:
    # The plane x + y + z = 0, projected onto along (1, 1, 1).
    projector = np.rint((np.eye(3) - np.ones((3, 3)) / 3) * 48).astype(int)
    basis = integer_basis(tuple(projector.ravel().tolist()))[:, :2].astype(float)
    for point in ([1, -1, 0], [2, -3, 1], [0, 5, -5]):
        coefficients = np.linalg.lstsq(basis, np.array(point, dtype=float), rcond=None)[0]
        assert np.allclose(coefficients, np.rint(coefficients))
        assert np.allclose(basis @ coefficients, point)


def test_a_library_gives_back_the_scaffolds_it_was_made_of() -> None:
    crystals = [symmetric_crystal(*case) for case in SYMMETRIC]
    scaffolds = [symmetrise(crystal).scaffold for crystal in crystals]
    library = ScaffoldLibrary.from_json(collect_scaffolds([*scaffolds, scaffolds[0]]).to_json())
    assert library.counts[scaffolds[0].group, scaffolds[0].letters] == 2
    for scaffold in scaffolds:
        rebuilt = library.scaffold(scaffold.group, scaffold.letters)
        assert library.multiplicities((scaffold.group, scaffold.letters)) == tuple(
            scaffold.multiplicities
        )
        assert np.array_equal(rebuilt.orbit, scaffold.orbit)
        assert np.array_equal(rebuilt.movable, scaffold.movable)
        assert_symmetric(rebuilt)
    with pytest.raises(KeyError):
        library.scaffold(229, "l")
