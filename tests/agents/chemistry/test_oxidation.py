from __future__ import annotations

from fractions import Fraction

import pytest

from ray_matdesign.agents.chemistry.formulas import parse_formula
from ray_matdesign.agents.chemistry.oxidation import oxidation_states


@pytest.mark.parametrize(
    ("formula", "symbol", "state"),
    [
        ("KMnO4", "Mn", 7), ("K2Cr2O7", "Cr", 6), ("H2SO4", "S", 6), ("SO4^2-", "S", 6),
        ("H2O2", "O", -1), ("KO2", "O", Fraction(-1, 2)), ("OF2", "O", 2), ("NaH", "H", -1),
        ("LiAlH4", "H", -1), ("NH3", "N", -3), ("NH4+", "N", -3), ("HNO3", "N", 5),
        ("CH4", "C", -4), ("CO2", "C", 4), ("NaCl", "Cl", -1), ("NaClO", "Cl", 1),
        ("Fe3O4", "Fe", Fraction(8, 3)), ("BaTiO3", "Ti", 4), ("LiFePO4", "Fe", 2), ("O2", "O", 0),
        ("Cu2O", "Cu", 1), ("CuFeS2", "Fe", 3), ("Na2S2O3", "S", 2), ("CuSO4", "Cu", 2),
        ("CuSO4", "S", 6),
        ("Fe(ClO4)3", "Fe", 3), ("COCl2", "C", 4), ("LiPF6", "P", 5), ("BiOCl", "Bi", 3),
        ("CH4N2O", "C", 4), ("Li7La3Zr2O12", "Zr", 4), ("LiNi0.5Mn1.5O4", "O", -2),
    ],
)  # fmt: skip
def test_states_of_the_textbook(formula: str, symbol: str, state: Fraction) -> None:
    found = oxidation_states(parse_formula(formula))
    assert found is not None
    assert found.states[symbol] == state


def test_a_persulfide_is_pointed_at() -> None:
    found = oxidation_states(parse_formula("FeS2"))
    assert found is not None
    assert "common" in found.notes[0]
