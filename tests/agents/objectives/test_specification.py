from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ray_matdesign.agents.objectives.specification import ObjectiveSpec

BASE: dict[str, Any] = {
    "name": "stiff",
    "description": "Crystals that are hard to compress.",
    "kind": "candidate",
    "direction": "maximize",
    "quantity": "bulk modulus",
    "unit": "GPa",
    "inputs": ["composition", "structure"],
}


def spec(**changes: Any) -> ObjectiveSpec:
    return ObjectiveSpec.model_validate({**BASE, **changes})


@pytest.mark.parametrize(
    "wording",
    [
        {"name": "incompressible"},
        {"description": "Another text altogether."},
        {"weight": 3.0},
        {"range": {"low": 0.0}},
        {"quantity": "the Hill bulk modulus"},
        {"quantity": "Incompressibility"},
        {"unit": " GPa "},
        {"inputs": ["structure", "composition"]},
        {"method": "from the elastic tensor"},
    ],
)
def test_wording_does_not_make_another_objective(wording: dict[str, Any]) -> None:
    assert spec(**wording).hash == spec().hash


@pytest.mark.parametrize(
    "change",
    [
        {"direction": "minimize"},
        {"unit": "eV/A^3"},
        {"kind": "population"},
        {"inputs": ["composition"]},
        {"quantity": "shear modulus"},
        {"method": "at a pressure of 10 GPa"},
        {"intensive": False},
    ],
)
def test_meaning_makes_another_objective(change: dict[str, Any]) -> None:
    assert spec(**change).hash != spec().hash


def shares(*names: str) -> dict[str, Any]:
    leaves = [{"op": "share", "of": [name]} for name in names]
    return {"op": "add", "args": leaves} if len(leaves) > 1 else leaves[0]


@given(st.permutations(["B", "C", "N", "O"]))
def test_the_order_of_terms_does_not_matter(names: list[str]) -> None:
    pure = {"unit": "", "inputs": ["composition"]}
    assert spec(formula=shares(*names), **pure).hash == spec(formula=shares(*"BCNO"), **pure).hash


def test_a_comparison_may_be_written_either_way() -> None:
    energy = {"op": "property", "scorer": "e_above_hull"}
    limit = {"op": "number", "value": 100.0, "unit": "meV/atom"}
    tenth = {"op": "number", "value": 0.1, "unit": "eV/atom"}
    gate = {
        "kind": "filter",
        "direction": "none",
        "unit": "",
        "inputs": ["e_above_hull"],
        "quantity": "stability",
    }
    one = spec(formula={"op": "less", "left": energy, "right": tenth}, **gate)
    other = spec(formula={"op": "greater", "left": tenth, "right": energy}, **gate)
    assert one.hash == other.hash
    with pytest.raises(ValidationError, match="apart by a factor of"):
        spec(formula={"op": "less", "left": energy, "right": limit}, **gate)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "filter"}, "direction must be 'none' for a filter"),
        ({"direction": "none"}, "direction must be 'maximize' or 'minimize'"),
        ({"weight": 0.0}, "greater than 0"),
        ({"range": {"low": 5.0, "high": 1.0}}, "must be below high"),
        ({"unit": "furlong"}, "'furlong' is unknown"),
        ({"inputs": ["os.system"]}, "neither composition nor structure"),
        ({"inputs": ["structure", "structure"]}, "each once"),
        ({"name": "Bad Name"}, "match"),
        ({"surprise": 1}, "Extra inputs"),
        ({"examples": [{"crystals": ["Cu", "Al"], "value": 1.0}]}, "has one crystal"),
        (
            {"range": {"high": 500.0}, "examples": [{"crystals": ["diamond"], "value": 900.0}]},
            "outside the range",
        ),
        ({"formula": {"op": "structure", "property": "density"}}, "comes out in"),
        ({"kind": "filter", "direction": "none", "unit": ""} | {"weight": 1.0}, "no weight"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        spec(**change)


def test_every_third_example_is_held_back() -> None:
    names = ("diamond", "Si", "Ge", "Cu")
    known = [{"crystals": [name], "value": 1.0} for name in names]
    assert [one.crystals[0] for one in spec(examples=known).shown] == ["diamond", "Si", "Cu"]
    assert len(spec(examples=known[:2]).shown) == 2
