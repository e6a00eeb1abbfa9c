"""Genomes and the crystals they stand for: there and back, symmetry kept, one code each."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.config.genetic import GeneticSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.matching import match
from ray_matdesign.crystals.prototypes import STRUCTURE_TYPES
from ray_matdesign.generators.genetic.breeding import Stock, distorted, immigrants
from ray_matdesign.generators.genetic.frames import frames
from ray_matdesign.generators.genetic.genomes import ForeignCrystal, Genomes, genomes_of

NAMES = list(STRUCTURE_TYPES)
EVERYTHING = Stock.of(np.arange(len(NAMES)), np.array([3, 6, 8, 12, 14, 22, 26, 40]), 4.0)
ROUGH = GeneticSettings(strain=0.05, displacement_ang=0.05)


def random_genomes(seed: int, n: int) -> Genomes:
    rng = np.random.default_rng(seed)
    drawn = immigrants(4 * n, EVERYTHING, rng)
    several = np.array(
        [len(set(row[row > 0].tolist())) == (row > 0).sum() for row in drawn.elements]
    )
    return distorted(drawn.take(several).take(np.arange(n)), ROUGH, rng)


def genome(name: str, *elements: int) -> Genomes:
    row = np.zeros((1, 3), dtype=np.int64)
    row[0, : len(elements)] = elements
    return Genomes.undistorted(np.array([NAMES.index(name)]), row)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_genomes_are_read_back_out_of_their_crystals(seed: int) -> None:
    genomes = random_genomes(seed, 8)
    read = genomes_of(genomes.crystals())
    np.testing.assert_array_equal(read.codes(), genomes.codes())
    np.testing.assert_allclose(read.strains, genomes.strains, atol=1e-9)
    np.testing.assert_allclose(read.shifts, genomes.shifts, atol=1e-9)


@pytest.mark.parametrize("kind", range(len(NAMES)), ids=NAMES)
def test_distortions_keep_the_symmetry(kind: int) -> None:
    rng = np.random.default_rng(kind)
    elements = np.where(np.arange(3) < frames()[kind].sites, [12, 22, 8], 0)
    plain = Genomes.undistorted(np.full(5, kind), np.tile(elements, (5, 1)))
    for crystal in distorted(plain, ROUGH, rng).crystals():
        cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
        found = spglib.get_symmetry_dataset(cell, symprec=1e-4)
        assert found.number == STRUCTURE_TYPES[NAMES[kind]].spacegroup


def test_undistorted_genomes_are_the_structure_types() -> None:
    for prototype in (frame.prototype for frame in frames()):
        elements = [12, 22, 8][: len(prototype.stoichiometry)]
        (crystal,) = genome(prototype.name, *elements).crystals()
        assert crystal.volume == pytest.approx(prototype.filled(elements).volume)
        assert match(crystal, prototype.filled(elements))


def test_equivalent_sites_count_as_one_order() -> None:
    for name, one, other in (
        ("rock_salt", (8, 12), (12, 8)),
        ("half_heusler", (22, 28, 50), (50, 28, 22)),
        ("full_heusler", (13, 25, 29), (25, 13, 29)),
    ):
        pair = Genomes.joined([genome(name, *one), genome(name, *other)])
        assert len(set(pair.canonical().codes().tolist())) == 1
        assert match(*pair.crystals())
    different = Genomes.joined(
        [genome("nickel_arsenide", 28, 33), genome("nickel_arsenide", 33, 28)]
    )
    assert len(set(different.canonical().codes().tolist())) == 2
    assert not match(*different.crystals())


def test_crystals_of_other_makers_are_refused_by_formula() -> None:
    (salt,) = genome("rock_salt", 11, 17).crystals()
    sheared = Crystal(
        salt.lattice @ np.array([[1, 0.1, 0], [0, 1, 0], [0, 0, 1]]), salt.frac_coords, salt.numbers
    )
    with pytest.raises(ForeignCrystal, match="NaCl, 2 atoms"):
        genomes_of([sheared])
