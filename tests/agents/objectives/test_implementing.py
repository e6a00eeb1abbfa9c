from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scorer_cases.specs import CASES, Case

from ray_matdesign.agents.llm.protocol import Answer, BudgetSpent, Unreachable
from ray_matdesign.agents.llm.scripted import Scripted
from ray_matdesign.agents.objectives.artifact import State, load_artifact
from ray_matdesign.agents.objectives.implementing import Outcome, Workshop, implement
from ray_matdesign.agents.objectives.matching import builtin_entries
from ray_matdesign.agents.objectives.specification import ObjectiveSpec
from ray_matdesign.agents.sandbox.box import Box


def _case(name: str) -> Case:
    return next(case for case in CASES if case.spec.name == name)


def _program(expression: dict[str, Any]) -> str:
    return json.dumps({"version": 1, "expression": expression})


DENSITY = _case("si_density")


def test_a_known_quantity_is_reused_without_a_word_from_the_model(tmp_path: Path) -> None:
    gap = ObjectiveSpec(
        name="insulating",
        description="Insulators.",
        kind="candidate",
        direction="maximize",
        quantity="band gap",
        unit="eV",
        inputs=("composition", "structure"),
    )
    llm = Scripted([])
    found = implement(gap, builtin_entries(), Workshop(llm, tmp_path))
    assert found.outcome is Outcome.REUSED
    assert found.entry is not None
    assert found.entry.scorer == "band_gap"
    assert llm.asked == []


def test_the_first_right_answer_is_registered(tmp_path: Path) -> None:
    llm = Scripted([_program(DENSITY.expression)])
    found = implement(DENSITY.spec, builtin_entries(), Workshop(llm, tmp_path))
    assert found.outcome is Outcome.WRITTEN
    assert found.entry is not None
    ((key, path),) = found.entry.options
    assert key == "artifact"
    assert load_artifact(path).spec == DENSITY.spec
    assert llm.asked[0].schema is not None
    again = implement(DENSITY.spec, [found.entry], Workshop(Scripted([]), tmp_path))
    assert again.outcome is Outcome.REUSED


def test_errors_are_fed_back_until_it_is_right(tmp_path: Path) -> None:
    wrong_unit = _program({"op": "structure", "property": "number_density"})
    wrong_value = _program(
        {
            "op": "multiply",
            "args": [{"op": "number", "value": 2}, {"op": "structure", "property": "density"}],
        }
    )
    llm = Scripted(["no JSON", wrong_unit, wrong_value, _program(DENSITY.expression)])
    found = implement(DENSITY.spec, builtin_entries(), Workshop(llm, tmp_path))
    assert found.outcome is Outcome.WRITTEN
    assert [one.state for one in found.attempts] == [
        State.REJECTED,
        State.REJECTED,
        State.REGISTERED,
    ]
    said = [request.messages[-1].content for request in llm.asked[1:]]
    assert "not JSON" in said[0]
    assert "it comes out in length^-3" in said[1]
    assert "diamond must have 3515 within 30, got 7031" in said[2]


def test_examples_that_are_held_back_are_told_nowhere(tmp_path: Path) -> None:
    llm = Scripted(["{}"] * 4)
    implement(DENSITY.spec, builtin_entries(), Workshop(llm, tmp_path))
    told = "".join(m.content for request in llm.asked for m in request.messages)
    assert "3515" in told
    assert "19300" not in told


def test_python_is_asked_for_when_the_language_fails(tmp_path: Path, sandbox: Box) -> None:
    lines = {
        "implementer.declarative": ["{}"] * 2,
        "implementer.python": [
            "```python\nimport os\ndef score(crystals):\n    return []\n```",
            f"It is mass over volume.\n```python\n{DENSITY.source}\n```",
        ],
    }
    llm = Scripted(lines)
    found = implement(DENSITY.spec, builtin_entries(), Workshop(llm, tmp_path, sandbox, repairs=1))
    assert found.outcome is Outcome.WRITTEN
    assert found.attempts[-1].form == "python"
    assert "os may not be imported" in llm.asked[-1].messages[-1].content


def test_what_cannot_be_computed_is_dropped_with_the_reason(tmp_path: Path) -> None:
    cut_off = Answer("{", "scripted", 1, 1, 0.0, "length")
    llm = Scripted([_program({"op": "structure", "property": "space_group"}), cut_off])
    found = implement(DENSITY.spec, builtin_entries(), Workshop(llm, tmp_path, repairs=1))
    assert found.outcome is Outcome.DROPPED
    assert "cut off" in found.reason
    assert found.entry is None
    assert list(tmp_path.iterdir()) == []


def test_an_objective_nobody_can_check_is_dropped_unasked(tmp_path: Path) -> None:
    spec = DENSITY.spec.model_copy(update={"ordering": ("unobtainium", "Cu")})
    llm = Scripted([])
    found = implement(spec, builtin_entries(), Workshop(llm, tmp_path))
    assert found.outcome is Outcome.DROPPED
    assert "'unobtainium' is no sample crystal" in found.reason


@pytest.mark.parametrize("error", [BudgetSpent("spent"), Unreachable("down")])
def test_what_is_wrong_with_the_model_is_not_held_against_the_objective(
    tmp_path: Path, error: Exception
) -> None:
    with pytest.raises(type(error)):
        implement(DENSITY.spec, builtin_entries(), Workshop(Scripted([error]), tmp_path))


def test_a_formula_needs_no_model(tmp_path: Path) -> None:
    fields = {**DENSITY.spec.model_dump(), "formula": DENSITY.expression}
    spec = ObjectiveSpec.model_validate(fields)
    found = implement(spec, builtin_entries(), Workshop(None, tmp_path))
    assert found.outcome is Outcome.WRITTEN
    bare = implement(DENSITY.spec, builtin_entries(), Workshop(None, tmp_path))
    assert bare.outcome is Outcome.DROPPED
    assert "no language model" in bare.reason
