from __future__ import annotations

from typing import Any

import pytest

from ray_matdesign.agents.skills.lifting import (
    NotASkill,
    function_of,
    parameters_of,
    substituted,
)
from ray_matdesign.agents.skills.static_check import check_skill
from ray_matdesign.agents.skills.variants import resampled

QUESTION = (
    "What is the density in g/cm3 of NaCl with a = 5.64 Angstrom and 4 formula units in the cell, "
    "of masses [22.99, 35.45]?"
)
PROGRAM = """
import math

formula = "NaCl"
masses = [22.99, 35.45]


def grams(total):
    return total / 6.02214076e23


def run():
    volume = math.pow(5.64, 3) * 1e-24
    count = 4
    return round(grams(count * sum(masses)) / volume, 4)


if __name__ == "__main__":
    print(f"{formula}: 5.64")
    answer = run() * 4 / 4 + 0 * len("NaCl")
    print(answer)
"""


def _called(source: str, name: str, **inputs: Any) -> Any:
    module: dict[str, Any] = {}
    exec(source, module)  # noqa: S102 - written above
    return module[name](**inputs)


def test_constants_of_the_question_become_arguments() -> None:
    found = parameters_of(PROGRAM, QUESTION)
    assert [(one.name, one.value, one.annotation, len(one.places)) for one in found] == [
        ("formula", "NaCl", "str", 2),
        ("masses", [22.99, 35.45], "list[float]", 1),
        ("number", 5.64, "float", 1),
        ("count_value", 4, "int", 1),
    ]


def test_the_function_computes_what_the_program_did() -> None:
    found = parameters_of(PROGRAM, QUESTION)
    source = function_of(PROGRAM, found, "density", 'Density of "a" salt.\n\nMore.', "number")
    entry = check_skill(source, "density")
    assert entry.returns == "float"
    assert entry.required == {"formula", "masses", "number", "count_value"}
    # NaCl: 58.44 u, 4 formula units in (5.64 Angstrom)^3: 2.164 g/cm3.
    own = {one.name: one.value for one in found}
    assert _called(source, "density", **own) == pytest.approx(2.164, abs=1e-3)
    assert _called(source, "density", **own | {"number": 5.64 / 2 ** (1 / 3)}) == pytest.approx(
        2 * 2.164, abs=2e-3
    )
    assert "print" not in source
    assert "formula = formula" not in source


def test_the_program_with_other_constants_is_the_reference() -> None:
    found = parameters_of(PROGRAM, QUESTION)
    values = {"formula": "KCl", "masses": [39.1, 35.45], "number": 6.29, "count_value": 4}
    module: dict[str, Any] = {"__name__": "__main__"}
    exec(substituted(PROGRAM, found, values), module)  # noqa: S102 - written above
    source = function_of(PROGRAM, found, "density", "Density.", "number")
    assert module["answer"] == _called(source, "density", **values)
    assert module["answer"] == pytest.approx(1.99, abs=0.01)  # sylvite


def test_names_that_are_taken_are_not_used_for_arguments() -> None:
    program = "def f(a, list):\n    return a * list\n\na = f(a=3.5, list=2)\nanswer = a + 3.5\n"
    found = parameters_of(program, "3.5 and 2?")
    assert [one.name for one in found] == ["a_value", "list_value"]
    source = function_of(program, found, "product", "Product.", "number")
    assert _called(source, "product", a_value=2.0, list_value=4) == 10.0


def test_rows_of_numbers_are_one_argument_each() -> None:
    program = "hkl = (2, 2, 0)\ncell, n = [3.5, 3.5], 2\nanswer = sum(hkl) * sum(cell) * n\n"
    found = parameters_of(program, "planes 2 2 0, cell 3.5 and 3.5?")
    assert [(one.name, one.value) for one in found] == [("hkl", [2, 2, 0]), ("items", [3.5, 3.5])]
    source = function_of(program, found, "made_up", "Made up.", "number")
    assert "hkl = tuple(hkl)" in source
    assert _called(source, "made_up", hkl=[1, 0, 0], items=[1.0, 2.0]) == 6.0


def test_elements_of_a_formula_are_in_the_question() -> None:
    program = "species = ['Cs', 'Cl']\nother = ['He', 'Ne']\nanswer = round(2.5, 3)\n"
    found = parameters_of(program, "CsCl (Pm-3m) has 2.5 of them")
    assert [(one.name, one.value) for one in found] == [("species", ["Cs", "Cl"]), ("number", 2.5)]


def test_small_numbers_of_the_method_stay() -> None:
    program = "x = 7.5\ny = x ** 2 / 2\nanswer = [y][0]\n"
    found = parameters_of(program, "Half the square, of power 2, of 7.5; 0 is no answer")
    assert [one.name for one in found] == ["x"]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("answer = ", "is not Python"),
        ("x = 1", "assigns nothing to answer"),
        ("from math import *\nanswer = 1", "imports *"),
        ("def f():\n    global x\n    x = 1\nanswer = 1", "set globals"),
    ],
)
def test_what_no_function_can_be_made_of_is_told(program: str, says: str) -> None:
    with pytest.raises(NotASkill, match=says.replace("*", r"\*")):
        parameters_of(program, "1")


def test_other_values_are_near_and_of_the_same_kind() -> None:
    found = parameters_of(PROGRAM, QUESTION)
    drawn = list(resampled(found, 8, seed=3))
    assert len(drawn) == 8
    assert drawn == list(resampled(found, 8, seed=3))
    for values in drawn:
        assert 5.4 < values["number"] < 5.87  # type: ignore[operator]
        assert values["number"] != 5.64
        assert values["count_value"] in (5, 6)
        assert isinstance(values["formula"], str)
        assert values["formula"] != "NaCl"
        assert len(values["masses"]) == 2  # type: ignore[arg-type]
