"""Crystals of a wanted make-up: no other may come out, whatever the network says."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.config.schema import ConstraintSettings
from ray_matdesign.generators.diffusion.constraints import ConstraintError, TypeDraw, _fillable

KNOWN = (3, 8, 11, 22, 25, 38)  # Li O Na Ti Mn Sr


def drawn(draw: TypeDraw, sizes: list[int], seed: int) -> list[int]:
    """Types of one crystal, its orbits revealed one or two at a time."""
    rng = torch.Generator().manual_seed(seed)
    multiplicity = torch.tensor([sizes])
    types = torch.zeros(1, len(sizes), dtype=torch.long)
    logits = 8.0 * torch.randn(1, len(sizes), 119, generator=rng)
    for start in range(0, len(sizes), 2):
        chosen = torch.zeros_like(types, dtype=torch.bool)
        chosen[:, start : start + 2] = True
        types = draw(logits, types, chosen, multiplicity, rng)
    return types[0].tolist()


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.lists(st.integers(0, 12), min_size=1, max_size=3),
)
def test_fillable_agrees_with_trying_every_assignment(sizes: list[int], counts: list[int]) -> None:
    ways = product(range(len(counts)), repeat=len(sizes))
    possible = any(
        all(
            sum(s for s, o in zip(sizes, way, strict=True) if o == k) == n
            for k, n in enumerate(counts)
        )
        for way in ways
    )
    assert _fillable(tuple(sorted(sizes)), tuple(counts)) == possible


@given(st.integers(0, 10_000))
def test_a_composition_is_met_exactly(seed: int) -> None:
    draw = TypeDraw(KNOWN, ConstraintSettings(composition="SrTiO3"), 20)
    sizes = [2, 4, 2, 2]
    assert draw.admits(tuple(sizes))
    types = drawn(draw, sizes, seed)
    totals = {z: sum(n for n, t in zip(sizes, types, strict=True) if t == z) for z in (38, 22, 8)}
    assert totals == {38: 2, 22: 2, 8: 6}


def test_a_composition_needs_a_scaffold_that_divides() -> None:
    draw = TypeDraw(KNOWN, ConstraintSettings(composition="SrTiO3"), 20)
    assert draw.admits((1, 1, 3))
    assert not draw.admits((1, 4))
    assert not draw.admits((1, 1, 1))


@given(st.integers(0, 10_000), st.integers(3, 7))
def test_a_chemical_system_holds_all_of_its_elements_and_no_other(seed: int, orbits: int) -> None:
    draw = TypeDraw(KNOWN, ConstraintSettings(chemical_system=("Li", "Mn", "O")), 20)
    assert set(drawn(draw, [1] * orbits, seed)) == {3, 25, 8}
    assert not draw.admits((4, 4))


@given(st.integers(0, 10_000))
def test_lists_of_elements(seed: int) -> None:
    only = TypeDraw(KNOWN, ConstraintSettings(allowed_elements=("Na", "O")), 20)
    assert set(drawn(only, [1] * 6, seed)) <= {11, 8}
    without = TypeDraw(KNOWN, ConstraintSettings(excluded_elements=("Na", "O")), 20)
    assert not set(drawn(without, [1] * 6, seed)) & {11, 8}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"composition": "NaCl"}, "were not trained on Cl"),
        ({"composition": "Li13O8"}, "21 atoms"),
        ({"composition": "Qq2"}, "no formula of whole atoms"),
        ({"composition": "Na("}, "no chemical formula"),
        ({"composition": "Na0.5O"}, "no formula of whole atoms"),
        ({"chemical_system": ("Li", "Pu")}, "were not trained on Pu"),
        ({"allowed_elements": ("Na",), "excluded_elements": ("Na",)}, "no element"),
        ({"excluded_elements": ("Xx",)}, "excluded_elements: Xx is no element"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConstraintError, match=message):
        TypeDraw(KNOWN, ConstraintSettings.model_validate(settings), 20)


def test_one_make_up_at_a_time() -> None:
    with pytest.raises(ValueError, match="not both"):
        ConstraintSettings(composition="NaCl", chemical_system=("Na", "Cl"))


def test_a_multiple_of_a_formula_is_that_formula() -> None:
    draw = TypeDraw(KNOWN, ConstraintSettings(composition="Sr8Ti8O24"), 20)
    assert draw.formula == {38: 1, 22: 1, 8: 3}
