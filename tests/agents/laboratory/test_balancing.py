from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.agents.laboratory.balancing import (
    BadFormula,
    Unbalanced,
    atoms_of,
    balance,
    balance_in,
    molar_mass,
)

GASES = ("CO2", "H2O", "NH3", "CO", "O2")


@pytest.mark.parametrize(
    ("formula", "atoms"),
    [
        ("BaTiO3", {"Ba": 1, "Ti": 1, "O": 3}),
        ("Fe3(PO4)2(H2O)8", {"Fe": 3, "P": 2, "O": 16, "H": 16}),
        ("(NH4)2HPO4", {"N": 2, "H": 9, "P": 1, "O": 4}),
        ("Li2Fe0.8Ni0.2Cl4", {"Li": 2, "Fe": Fraction(4, 5), "Ni": Fraction(1, 5), "Cl": 4}),
    ],
)
def test_formulas_are_read_exactly(formula: str, atoms: dict[str, object]) -> None:
    assert atoms_of(formula) == atoms


@pytest.mark.parametrize(
    "text", ["", "ba", "Xx2", "Fe(", "Fe)2", "2Fe", "Fe-O", "Fe 2", "H0", "D2O", "Fe(s)", "Fe3+"]
)
def test_what_is_no_formula_is_named(text: str) -> None:
    with pytest.raises(BadFormula, match="is no formula"):
        atoms_of(text)


def test_molar_masses_are_those_of_the_tables() -> None:
    assert molar_mass("BaCO3") == pytest.approx(197.34, abs=0.01)
    assert molar_mass("FeC2O4(H2O)2") == pytest.approx(179.89, abs=0.01)


@pytest.mark.parametrize(
    ("precursors", "target", "supplied", "equation"),
    [
        (["BaCO3", "TiO2"], "BaTiO3", (), "BaCO3 + TiO2 -> CO2 + BaTiO3"),
        (
            ["Li2CO3", "Co3O4"],
            "LiCoO2",
            ("O2",),
            "6 Li2CO3 + 4 Co3O4 + O2 -> 6 CO2 + 12 LiCoO2",
        ),
        (
            ["LiCl", "FeCl2", "NiCl2"],
            "Li2Fe0.8Ni0.2Cl4",
            (),
            "10 LiCl + 4 FeCl2 + NiCl2 -> 5 Li2Fe0.8Ni0.2Cl4",
        ),
        (
            ["FePO4", "Li2CO3", "C"],
            "LiFePO4",
            (),
            "4 FePO4 + 2 Li2CO3 + C -> 3 CO2 + 4 LiFePO4",
        ),
        (
            ["Li2CO3", "FeC2O4(H2O)2", "NH4H2PO4"],
            "LiFePO4",
            (),
            "Li2CO3 + 2 FeC2O4(H2O)2 + 2 NH4H2PO4 -> 3 CO2 + 7 H2O + 2 NH3 + 2 CO + 2 LiFePO4",
        ),
    ],
)
def test_equations_are_those_of_the_textbook(
    precursors: list[str], target: str, supplied: tuple[str, ...], equation: str
) -> None:
    assert str(balance_in(precursors, target, GASES, supplied)) == equation


def test_what_cannot_be_balanced_is_said() -> None:
    with pytest.raises(Unbalanced, match=r"BaCO3 \+ NaCl cannot give BaTiO3"):
        balance(["BaCO3", "NaCl"], "BaTiO3", GASES)


def test_oxygen_is_taken_up_only_where_there_is_some() -> None:
    assert balance_in(["CoO", "Li2O"], "LiCoO2", GASES, ("O2",)).consumed["O2"] == Fraction(1, 4)
    with pytest.raises(Unbalanced):
        balance(["CoO", "Li2O"], "LiCoO2", GASES)


OXIDES = ("Li2O", "MgO", "BaO", "Al2O3", "Fe2O3", "TiO2", "SiO2", "Nb2O5")


@given(
    chosen=st.lists(st.sampled_from(OXIDES), min_size=2, max_size=4, unique=True),
    amounts=st.lists(st.integers(1, 7), min_size=4, max_size=4),
)
def test_whatever_oxides_make_is_balanced_again(chosen: list[str], amounts: list[int]) -> None:
    """A compound made of oxides gives the amounts it was made of."""
    made: dict[str, Fraction] = {}
    for oxide, n in zip(chosen, amounts, strict=False):
        for symbol, count in atoms_of(oxide).items():
            made[symbol] = made.get(symbol, Fraction(0)) + n * count
    target = "".join(f"{symbol}{count}" for symbol, count in made.items())
    reaction = balance(chosen, target)
    assert reaction.consumed == dict(zip(chosen, amounts, strict=False))
    assert reaction.produced == {target: 1}
