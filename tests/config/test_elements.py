"""The groups of elements that guards go by, against pymatgen's tables."""

from pymatgen.core import Element

from ray_matdesign.config.elements import NOBLE_GASES, RADIOACTIVE, SYMBOLS
from ray_matdesign.config.schema import PrefilterSettings


def test_groups_are_those_of_the_periodic_table() -> None:
    assert set(NOBLE_GASES) == {element.symbol for element in Element if element.is_noble_gas}
    assert set(RADIOACTIVE) == {element.symbol for element in Element if element.is_radioactive}
    assert [s for s in SYMBOLS[: SYMBOLS.index("Po")] if s in RADIOACTIVE] == ["Tc", "Pm"]


def test_guards_forbid_both_groups_by_default() -> None:
    forbidden = PrefilterSettings().forbidden_elements
    assert set(forbidden) == {*NOBLE_GASES, *RADIOACTIVE}
    assert len(forbidden) == 42
