import numpy as np
import pytest
from hypothesis import given, settings

from ray_matdesign.crystals.cif import element_number, parse_cif, write_cif_text
from ray_matdesign.crystals.convert import from_pymatgen, to_pymatgen
from ray_matdesign.crystals.crystal import InvalidCrystal
from ray_matdesign.crystals.matching import match
from tests.crystals.examples import crystals, perovskite, rock_salt

SYMMETRIC = """data_NaCl
_symmetry_space_group_name_H-M 'F m -3 m'
_cell_length_a 5.64(2)
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na1 Na1+ 0 0 0
Cl1 Cl1- 0.5 0.5 0.5
"""


@settings(max_examples=30, deadline=None)
@given(crystals())
def test_written_cifs_read_back_with_the_same_geometry(crystal):
    back = parse_cif(write_cif_text(crystal, "a name"))
    assert np.array_equal(back.numbers, crystal.numbers)
    assert back.frac_coords == pytest.approx(crystal.frac_coords, abs=1e-9)
    metric = crystal.lattice @ crystal.lattice.T
    assert back.lattice @ back.lattice.T == pytest.approx(metric, abs=1e-6)


def test_pymatgen_reads_and_writes_the_same_crystal():
    from pymatgen.core import Structure

    crystal = perovskite()
    theirs = from_pymatgen(Structure.from_str(write_cif_text(crystal), fmt="cif"))
    ours = parse_cif(to_pymatgen(crystal).to(fmt="cif"))
    assert match(theirs, crystal)
    assert match(ours, crystal)


def test_symmetry_is_expanded():
    crystal = parse_cif(SYMMETRIC)
    assert crystal.formula == "NaCl"
    assert len(crystal) == 8
    assert match(crystal, rock_salt())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("hello", "does not parse|holds no crystal"),
        (SYMMETRIC.replace("5.64(2)", "long"), "does not parse"),
        (write_cif_text(rock_salt()).replace("  Cl  ", "  Xq  "), "unknown element 'Xq'"),
        (write_cif_text(rock_salt()).replace("  Cl  ", "  D  "), "'D'; write H"),
        (write_cif_text(rock_salt()).replace("0000  1\n", "0000  0.5\n"), "disordered"),
        (write_cif_text(rock_salt()).split("loop_\n _atom")[0], "does not parse|no crystal"),
        (write_cif_text(rock_salt()).replace("60.0000000000", "170.0"), "no cell|does not parse"),
    ],
)
def test_bad_cifs_get_one_line(text, reason):
    with pytest.raises(InvalidCrystal, match=reason) as caught:
        parse_cif(text)
    assert "\n" not in str(caught.value)


def test_symbols_as_found_in_files():
    assert [element_number(s) for s in ("Fe", "FE", "Fe3+", "O2-", "Cl1", "C4", "W")] == [
        26, 26, 26, 8, 17, 6, 74,
    ]  # fmt: skip
    for symbol in ("Xq", "Xyz", "", "1", "Wat"):
        with pytest.raises(InvalidCrystal, match="unknown element"):
            element_number(symbol)
