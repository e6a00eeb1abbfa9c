"""Where elements stand, and what is outlined."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.report.periodic_table import periodic_table_svg, place


@pytest.mark.parametrize(
    ("symbol", "row", "column"),
    [
        ("H", 0, 0), ("He", 0, 17), ("B", 1, 12), ("Al", 2, 12), ("Fe", 3, 7), ("Tc", 4, 6),
        ("La", 7, 2), ("Yb", 7, 15), ("Lu", 5, 2), ("Hf", 5, 3), ("Rn", 5, 17), ("U", 8, 5),
        ("Lr", 6, 2),
    ],
)  # fmt: skip
def test_places(symbol: str, row: int, column: int) -> None:
    assert place(ATOMIC_NUMBERS[symbol]) == (row, column)


def test_no_two_elements_share_a_place() -> None:
    assert len({place(z) for z in range(1, 119)}) == 118


def test_suspicious_elements_are_outlined_only_where_they_occur() -> None:
    picture = ET.fromstring(periodic_table_svg({26: 0.5, 54: 0.1, 94: 0.0}, 0.5, "a & b"))
    outlined = [r for r in picture.iter("rect") if "warned" in r.get("class", "")]
    assert len(outlined) == 1
    assert "Fe 50 %" in picture.get("aria-label", "")
