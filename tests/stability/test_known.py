import numpy as np
import pytest

from ray_matdesign.crystals.dataset import load_dataset
from ray_matdesign.crystals.matching import Matcher, match
from ray_matdesign.stability.known import KnownCrystals
from tests.crystals.examples import perovskite, rock_salt, supercell


def test_packing_keeps_crystals_to_a_thousandth_of_an_angstrom():
    doubled = supercell(rock_salt(), [[2, 0, 0], [0, 1, 0], [0, 0, 1]])
    known = KnownCrystals.pack([("a", perovskite()), ("b", doubled)], Matcher())
    assert known.names == ["a", "b"]
    assert known.formulas == {"BaTiO3", "NaCl"}
    assert len(known.crystal(1)) == 2, "cells are made primitive"
    assert known.crystal(1).volume == pytest.approx(rock_salt().volume, rel=1e-5)
    assert match(known.crystal(0), perovskite())


def test_empty_table():
    known = KnownCrystals.pack([], Matcher())
    assert len(known) == 0
    assert known.find(rock_salt()) is None


def test_inconsistent_tables_are_refused():
    known = KnownCrystals.pack([("a", perovskite())], Matcher())
    arrays = dict(known._arrays)
    with pytest.raises(ValueError, match="shapes"):
        KnownCrystals({**arrays, "coords": arrays["coords"][:-1]}, Matcher())
    del arrays["coords"]
    with pytest.raises(ValueError, match="lacks coords"):
        KnownCrystals(arrays, Matcher())


def test_real_crystals_are_found_again(packaged, shared_data):
    dataset = load_dataset(shared_data / "crystals_le20.csv.gz", limit=60)
    rng = np.random.default_rng(0)
    for crystal in dataset.crystals:
        shaken = crystal.frac_coords + rng.normal(0, 1e-3, crystal.frac_coords.shape)
        assert not packaged.is_novel(crystal.with_cell(1.02 * crystal.lattice, shaken))
