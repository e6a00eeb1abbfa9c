from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition

from ray_matdesign.agents.chemistry.formulas import InvalidFormula, parse_formula
from ray_matdesign.crystals.elements import SYMBOLS


@pytest.mark.parametrize(
    ("text", "counts", "charge"),
    [
        ("Fe2(SO4)3", {"Fe": 2, "S": 3, "O": 12}, 0),
        ("K4[Fe(CN)6]", {"K": 4, "Fe": 1, "C": 6, "N": 6}, 0),
        ("CuSO4·5H2O", {"Cu": 1, "S": 1, "O": 9, "H": 10}, 0),
        ("CuSO4.5H2O", {"Cu": 1, "S": 1, "O": 9, "H": 10}, 0),
        ("CuSO4*5H2O", {"Cu": 1, "S": 1, "O": 9, "H": 10}, 0),
        ("CaSO4·0.5H2O", {"Ca": 1, "S": 1, "O": Fraction(9, 2), "H": 1}, 0),
        ("CaSO4·1/2H2O", {"Ca": 1, "S": 1, "O": Fraction(9, 2), "H": 1}, 0),
        ("3CdSO4·8H2O", {"Cd": 3, "S": 3, "O": 20, "H": 16}, 0),
        ("LiNi0.8Co0.1Mn0.1O2", {"Li": 1, "Ni": Fraction(4, 5), "Co": Fraction(1, 10),
                                 "Mn": Fraction(1, 10), "O": 2}, 0),
        ("Fe0.95O", {"Fe": Fraction(19, 20), "O": 1}, 0),
        ("SO4^2-", {"S": 1, "O": 4}, -2),
        ("SO₄²⁻", {"S": 1, "O": 4}, -2),
        ("SO4-2", {"S": 1, "O": 4}, -2),
        ("SO4--", {"S": 1, "O": 4}, -2),
        ("SO4 2-", {"S": 1, "O": 4}, -2),
        ("[Cu(NH3)4]^{2+}", {"Cu": 1, "N": 4, "H": 12}, 2),
        ("NH4+", {"N": 1, "H": 4}, 1),
        ("Fe3+", {"Fe": 1}, 3),
        ("Hg2^2+", {"Hg": 2}, 2),
        ("e-", {}, -1),
        ("CO", {"C": 1, "O": 1}, 0),
        ("Co", {"Co": 1}, 0),
        ("D2O", {"D": 2, "O": 1}, 0),
    ],
)  # fmt: skip
def test_formulas_are_counted(text: str, counts: dict[str, Fraction], charge: int) -> None:
    formula = parse_formula(text)
    assert formula.counts == counts
    assert formula.charge == charge


def test_the_phase_is_told_apart_from_a_bracket() -> None:
    formula = parse_formula("Cu(OH)2(s)")
    assert (formula.phase, formula.counts) == ("s", {"Cu": 1, "O": 2, "H": 2})


@pytest.mark.parametrize("text", ["SO42-", "PO43-", "Cr2O72-", "I3-", "O2-", "N3-"])
def test_what_can_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(InvalidFormula, match="two ways"):
        parse_formula(text)


@pytest.mark.parametrize(
    "text", ["", "xyz", "Fe2(SO4", "Fe)2", "Fe(SO4]3", "2", "Qq2", "fe2o3", "Fe..O", "H2O·", "Fe0"]
)
def test_nonsense_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InvalidFormula) as caught:
        parse_formula(text)
    assert "\n" not in str(caught.value)


counted = st.dictionaries(
    st.sampled_from([s for s in SYMBOLS[1:104] if s]), st.integers(1, 40), min_size=1, max_size=6
)


@settings(deadline=None)
@given(counted)
def test_counts_and_masses_agree_with_pymatgen(counts: dict[str, int]) -> None:
    text = "".join(f"{symbol}{n}" for symbol, n in counts.items())
    formula = parse_formula(text)
    assert formula.counts == counts
    # Atomic weights of the abridged table against pymatgen's newer edition.
    assert formula.molar_mass_g_per_mol == pytest.approx(Composition(counts).weight, rel=2e-3)


@settings(deadline=None)
@given(counted, st.integers(-4, 4))
def test_what_is_written_is_read_back(counts: dict[str, int], charge: int) -> None:
    text = "".join(f"{symbol}{n}" for symbol, n in counts.items())
    formula = parse_formula(text if not charge else f"{text}^{abs(charge)}{'-+'[charge > 0]}")
    assert parse_formula(formula.hill).key == formula.key


def test_known_molar_masses() -> None:
    for text, mass in {"H2O": 18.015, "CuSO4·5H2O": 249.68, "KMnO4": 158.03, "C6H12O6": 180.16,
                       "D2O": 20.028}.items():  # fmt: skip
        assert parse_formula(text).molar_mass_g_per_mol == pytest.approx(mass, abs=0.01)
