"""Pictures of crystals whose drawing every textbook shows."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.report.picture import LEGEND, conventional_cell, crystal_svg, space_group

FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
TWO = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
ROCK_SALT = Crystal(FCC * 5.64, TWO, [11, 17])
CAESIUM_CHLORIDE = Crystal(np.eye(3) * 4.12, TWO, [55, 17])
COPPER = Crystal(FCC * 3.61, [[0, 0, 0]], [29])
DIAMOND = Crystal(FCC * 3.567, [[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]], [6, 6])
PEROVSKITE = Crystal(
    np.eye(3) * 3.905,
    [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]],
    [38, 22, 8, 8, 8],
)


def shown(crystal: Crystal) -> tuple[int, int]:
    """Atoms and bonds drawn in the conventional cell, the legend's spheres not counted."""
    picture = ET.fromstring(crystal_svg(conventional_cell(crystal), name="t"))
    atoms = len(list(picture.iter("circle"))) - len(crystal.elements)
    bonds = [path for path in picture.iter("path") if path.get("class") == "stick"]
    return atoms, len(bonds)


@pytest.mark.parametrize(
    ("crystal", "symbol", "number", "atoms", "bonds"),
    [
        (ROCK_SALT, "Fm-3m", 225, 27, 54),
        (CAESIUM_CHLORIDE, "Pm-3m", 221, 9, 8),
        (COPPER, "Fm-3m", 225, 14, 36),
        # spglib's origin puts atoms on the midpoints of the edges: 12 + 1 + 4, not 8 + 6 + 4.
        (DIAMOND, "Fd-3m", 227, 17, 16),
        (PEROVSKITE, "Pm-3m", 221, 15, None),
    ],
)
def test_textbook_cells(
    crystal: Crystal, symbol: str, number: int, atoms: int, bonds: int | None
) -> None:
    assert space_group(crystal) == (symbol, number)
    found = shown(crystal)
    assert found[0] == atoms
    assert bonds is None or found[1] == bonds


def test_everything_lies_within_the_picture() -> None:
    svg = crystal_svg(conventional_cell(PEROVSKITE), name="t")
    picture = ET.fromstring(svg)
    width, height = (float(size) for size in picture.get("viewBox", "").split()[2:])
    for circle in picture.iter("circle"):
        x, y, r = (float(circle.get(key, "nan")) for key in ("cx", "cy", "r"))
        assert r <= x <= width - r
        assert r <= y <= height - r
    assert height > LEGEND


def test_a_big_cell_without_symmetry_is_drawn_as_it_is_and_stays_small() -> None:
    rng = np.random.default_rng(0)
    crowd = Crystal(
        [[11, 0, 0], [1, 12, 0], [-2, 1, 13]], rng.random((80, 3)), rng.integers(1, 100, 80)
    )
    assert space_group(crowd)[1] == 1
    svg = crystal_svg(conventional_cell(crowd), name="t")
    assert len(svg) < 60_000
    ET.fromstring(svg)


def test_the_same_crystal_gives_the_same_picture() -> None:
    assert crystal_svg(ROCK_SALT, name="t") == crystal_svg(ROCK_SALT, name="t")


@pytest.mark.parametrize("number", [1, 54, 94, 110, 118])
def test_every_element_has_a_colour_and_a_size(number: int) -> None:
    ET.fromstring(crystal_svg(Crystal(np.eye(3) * 3, [[0, 0, 0]], [number]), name="t"))


def test_a_crystal_in_which_no_symmetry_can_be_sought_is_drawn_as_it_is() -> None:
    overlapping = Crystal(np.eye(3) * 4, [[0.0, 0.0, 0.0], [0.0, 0.0, 0.001]], [9, 9])
    assert space_group(overlapping) == ("P1", 1)
    assert conventional_cell(overlapping) is overlapping
    ET.fromstring(crystal_svg(overlapping, name="t"))
