import numpy as np
import pytest
from hypothesis import given, settings

from ray_matdesign.crystals.convert import (
    from_ase,
    from_pymatgen,
    parse_extxyz_frame,
    parse_poscar,
    to_ase,
    to_pymatgen,
    write_extxyz_text,
    write_poscar_text,
)
from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from tests.crystals.examples import crystals, perovskite


def assert_same(first: Crystal, second: Crystal) -> None:
    assert np.array_equal(first.numbers, second.numbers)
    assert first.lattice == pytest.approx(second.lattice, abs=1e-9)
    assert first.frac_coords == pytest.approx(second.frac_coords, abs=1e-8)


@settings(max_examples=25, deadline=None)
@given(crystals())
def test_round_trips(crystal):
    grouped = crystal.permuted(np.argsort(crystal.numbers, kind="stable").tolist())
    assert_same(from_pymatgen(to_pymatgen(crystal)), crystal)
    assert_same(from_ase(to_ase(crystal)), crystal)
    assert_same(parse_extxyz_frame(write_extxyz_text(crystal, {}))[0], crystal)
    assert_same(parse_poscar(write_poscar_text(grouped)), grouped)


def test_extxyz_carries_values():
    info = {"name": 'with "quotes" and spaces', "e_above_hull": -0.125, "stable": True}
    _, back = parse_extxyz_frame(write_extxyz_text(perovskite(), info))
    assert back["name"] == info["name"]
    assert back["e_above_hull"] == -0.125
    assert back["stable"]


def test_what_is_no_ordered_crystal_is_refused():
    from ase.build import molecule
    from pymatgen.core import Lattice, Structure

    alloy = Structure(Lattice.cubic(3.6), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])
    with pytest.raises(InvalidCrystal, match="disordered"):
        from_pymatgen(alloy)
    with pytest.raises(InvalidCrystal, match="not periodic"):
        from_ase(molecule("H2O"))
    with pytest.raises(InvalidCrystal, match="empty"):
        parse_poscar("")
    with pytest.raises(InvalidCrystal, match="does not parse"):
        parse_poscar("nonsense\n1.0\n")
