from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.agents.objectives.units import SYMBOLS, Unit, UnitError


@pytest.mark.parametrize(
    ("one", "other", "factor"),
    [
        ("g/cm3", "kg/m^3", 1000.0),
        ("eV/A^3", "GPa", 160.21766208),  # CODATA
        ("u/A^3", "g/cm3", 1.66053906660),
        ("GPa", "J/cm^3", 1000.0),
        ("meV/atom", "eV/atom", 1e-3),
        ("%", "", 0.01),
        ("A^3/atom", "angstrom^3", 1.0),
        ("J/g/K", "J K^-1 kg^-1", 1000.0),
    ],
)
def test_conversion(one: str, other: str, factor: float) -> None:
    assert Unit.parse(one).factor_to(Unit.parse(other)) == pytest.approx(factor, rel=1e-8)


def test_what_measures_another_thing_is_not_converted() -> None:
    with pytest.raises(UnitError, match="cannot be expressed"):
        Unit.parse("GPa").factor_to(Unit.parse("g/cm3"))


def test_an_unknown_symbol_is_named() -> None:
    with pytest.raises(UnitError, match="'furlong' is unknown"):
        Unit.parse("furlong/s")


@pytest.mark.parametrize("text", ["meV^-99", "g99/nm99", "eV2024"])
def test_absurd_powers_are_an_error_and_no_crash(text: str) -> None:
    with pytest.raises(UnitError, match=r"no number a computer holds|is unknown"):
        Unit.parse(text)


def test_a_factor_out_of_range_is_an_error() -> None:
    small, large = Unit.parse("meV^9"), Unit.parse("kJ^9")
    assert small.factor_to(large) == pytest.approx(1.602176634e-25**9, rel=1e-9)
    with pytest.raises(UnitError, match=r"the factor is e\^-1"):
        (small**3).factor_to(large**3)


def test_logarithms_and_nothing_are_pure_numbers() -> None:
    assert Unit.parse("").is_number
    assert Unit.parse("log10 ppm").is_number
    assert not Unit.parse("%").is_number


@given(st.lists(st.tuples(st.sampled_from(sorted(SYMBOLS)), st.integers(-3, 3)), max_size=4))
def test_roots_undo_powers(factors: list[tuple[str, int]]) -> None:
    unit = Unit()
    for symbol, power in factors:
        unit = unit * Unit.parse(symbol) ** power
    assert ((unit**3) ** (1 / 3)).like(unit)
    assert (unit * unit**-1).like(Unit())
