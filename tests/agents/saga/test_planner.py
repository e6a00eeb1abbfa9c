from __future__ import annotations

import json
import re
from typing import Any

import campaigns
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ray_matdesign.agents.llm.protocol import BadAnswer
from ray_matdesign.agents.llm.scripted import Scripted
from ray_matdesign.agents.objectives.matching import Relation, builtin_entries, match
from ray_matdesign.agents.objectives.registered import REGISTERED
from ray_matdesign.agents.saga.drafting import (
    MEASURES,
    Draft,
    NotAnObjective,
    draft_schema,
    planned,
)
from ray_matdesign.agents.saga.planner import plan, plan_request
from ray_matdesign.agents.saga.protocol import Dropped, Planned, PlanRequest
from ray_matdesign.agents.saga.settings import Aim

INITIAL = Aim.model_validate(campaigns.DENSITY)
EARLIER = planned(Draft.model_validate(campaigns.CHEAP), 1)
ASKED = PlanRequest(
    goal="Dense crystals.",
    round=2,
    limit=3,
    initial=(INITIAL,),
    current=(
        Planned(spec=INITIAL.spec, low=5.0, high=20.0, origin="initial", since=1),
        EARLIER,
    ),
    dropped=(Dropped(name="taste", attempt=1, reason="no scorer of taste"),),
)


def answer(*add: dict[str, Any], keep: tuple[str, ...] = ()) -> str:
    return campaigns.plan(*add, keep=keep)


def test_a_plan_keeps_adds_and_retires() -> None:
    kept = plan(ASKED, Scripted([answer(campaigns.COPPER, keep=("cheap",))]))
    assert [one.spec.name for one in kept.objectives] == ["dense", "cheap", "copper"]
    assert kept.objectives[1] == EARLIER
    assert kept.objectives[2].why == "Common metals are wanted."
    retired = plan(ASKED, Scripted([answer()]))
    assert [one.spec.name for one in retired.objectives] == ["dense"]
    assert retired.retired == ("cheap",)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (answer(keep=("dense",)), "keep: 'dense' is none of cheap"),
        (answer({**campaigns.COPPER, "name": "dense"}), "there is an objective dense already"),
        (answer({**campaigns.CHEAP, "name": "dear"}, keep=("cheap",)), "the same as cheap"),
        (answer({**campaigns.COPPER, "elements": ["Xx"]}), "neither an element nor a group"),
        (answer({**campaigns.COPPER, "direction": "none"}), "direction must be 'maximize'"),
        (answer({**campaigns.MIXED, "low": None}), "a filter needs low, high, or both"),
        (answer({**campaigns.VARIED, "kind": "candidate"}), "diversity is of a population"),
        (answer({**campaigns.CHEAP, "name": "dear", "low": 9e4}), "low must be below high"),
        ("{}", "thoughts"),
    ],
)
def test_a_wrong_answer_goes_back_with_the_reason(bad: str, complaint: str) -> None:
    model = Scripted([bad, answer()])
    assert [one.spec.name for one in plan(ASKED, model).objectives] == ["dense"]
    assert complaint in model.asked[1].messages[-1].content


def test_one_wrong_objective_does_not_cost_the_others() -> None:
    model = Scripted([answer({**campaigns.COPPER, "name": "dense"}, campaigns.COPPER)])
    made = plan(ASKED, model)
    assert [one.spec.name for one in made.objectives] == ["dense", "copper"]
    assert [(one.name, one.reason) for one in made.refused] == [
        ("dense", "there is an objective dense already")
    ]


def test_a_second_answer_is_drawn_and_not_the_likeliest_again() -> None:
    model = Scripted(["{}", "{}", answer()])
    plan(ASKED, model)
    assert [one.temperature for one in model.asked] == [0.0, 0.7, 0.7]
    assert len({one.seed for one in model.asked}) == 3


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "low_price"),
        ({"kind": "population", "direction": "maximize"}, "high_mean_price"),
        ({"kind": "filter", "direction": "none", "low": None}, "price_to_60000"),
        ({"kind": "filter", "direction": "none", "low": -0.5}, "price_from_minus_0_5_to_60000"),
        ({"measure": "share_of_elements", "elements": ["B", "light"], "low": 0.0, "high": 1.0},
         "low_share_of_elements_b_light"),
        ({"measure": "other", "quantity": "3 x bond length", "unit": "A"}, "low_3_x_bond_length"),
    ],
)  # fmt: skip
def test_what_has_no_name_is_called_by_what_it_asks_for(changes: dict[str, Any], name: str) -> None:
    nameless = {key: value for key, value in campaigns.CHEAP.items() if key != "name"}
    assert planned(Draft.model_validate({**nameless, **changes}), 1).spec.name == name


def test_too_many_wrong_answers_are_an_error() -> None:
    with pytest.raises(BadAnswer, match="thoughts"):
        plan(ASKED, Scripted(["{}"] * 3))


def test_the_question_tells_what_could_not_be_had_and_what_may_be_kept() -> None:
    request = plan_request(ASKED)
    assert request.purpose == "planner.revise"
    assert "taste: no scorer of taste" in request.messages[1].content
    assert request.schema is not None
    assert request.schema["properties"]["keep"]["items"]["enum"] == ["cheap"]
    assert request.schema["properties"]["add"]["maxItems"] == 2


def test_replacements_keep_what_stands() -> None:
    again = ASKED.model_copy(update={"attempt": 2})
    made = plan(again, Scripted([answer(campaigns.COPPER)]))
    assert [one.spec.name for one in made.objectives] == ["dense", "cheap", "copper"]


def under(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a model may write under a JSON schema, as far as that of drafts goes."""
    if "anyOf" in schema:
        return st.one_of([under(one) for one in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    sizes = {"min_size": schema.get("minLength", 0), "max_size": schema.get("maxLength")}
    match schema["type"]:
        case "object":
            assert schema["required"] == list(schema["properties"])
            return st.fixed_dictionaries({k: under(v) for k, v in schema["properties"].items()})
        case "array":
            ends = {"min_size": schema["minItems"], "max_size": schema["maxItems"]}
            return st.lists(under(schema["items"]), **ends)
        case "string":
            return st.text("aGP^3/ ", **sizes)
        case "number":
            return st.floats(-1e6, 1e6)
    return st.none()


@settings(max_examples=200, deadline=None)
@given(written=under(draft_schema()))
@example(
    {
        "why": "3",
        "kind": "filter",
        "measure": "other",
        "quantity": "3333",
        "unit": "",
        "inputs": ["composition"],
        "low": -1.5987151246418925e-275,
        "high": -1.5987151246418925e-275,
    }
)
def test_what_the_schema_allows_is_a_draft_and_mostly_an_objective(written: dict[str, Any]) -> None:
    draft = Draft.model_validate(written)
    try:
        outcome: str = planned(draft, 1).spec.kind
    except NotAnObjective as error:
        outcome = str(error)
    of_values = "low must be below high|a filter needs|unit|says nothing|say in"
    assert outcome == draft.kind or re.search(of_values, outcome)


drafts = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["a1", "b2", "dense", "cheap", "Not a name"]),
        "kind": st.sampled_from(["candidate", "filter", "population"]),
        "direction": st.sampled_from(["maximize", "minimize", "none"]),
        "measure": st.sampled_from([*MEASURES, "nonsense"]),
        "elements": st.lists(st.sampled_from(["B", "light", "Xx"]), max_size=2),
        "quantity": st.sampled_from(["", "atoms per cell"]),
        "unit": st.sampled_from(["", "GPa", "not a unit"]),
        "inputs": st.lists(st.sampled_from(["composition", "hhi", "soul"]), max_size=2),
        "low": st.none() | st.floats(-1e3, 1e3),
        "high": st.none() | st.floats(-1e3, 1e3),
        "why": st.just("For a reason."),
    }
)


@settings(max_examples=150, deadline=None)
@given(
    add=st.lists(drafts, max_size=4),
    keep=st.lists(st.sampled_from(["cheap", "dense", "x"]), max_size=2),
)
def test_whatever_a_model_says_a_plan_is_sound(add: list[Any], keep: list[str]) -> None:
    said = json.dumps({"thoughts": "So.", "keep": keep, "add": add})
    try:
        made = plan(ASKED, Scripted([said] * 3))
    except BadAnswer:
        return
    names = [one.spec.name for one in made.objectives]
    assert len(names) == len(set(names)) <= ASKED.limit
    assert made.objectives[0].spec == INITIAL.spec
    assert (made.objectives[0].low, made.objectives[0].high) == (5.0, 20.0)
    assert all((o.spec.direction == "none") == (o.spec.kind == "filter") for o in made.objectives)
    assert type(made).model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize("measure", list(REGISTERED))
def test_a_registered_measure_is_reused_and_not_written(measure: str) -> None:
    draft = Draft(
        name="one",
        kind="candidate",
        direction="maximize",
        measure=measure,
        low=None,
        high=None,
        why="It matters.",
    )
    found = match(planned(draft, 1).spec, builtin_entries())
    assert found.relation is Relation.REUSE
    assert found.entry is not None
    assert found.entry.scorer == measure


def test_a_contradiction_makes_no_objective() -> None:
    with pytest.raises(NotAnObjective, match="a filter has no weight"):
        planned(Draft.model_validate({**campaigns.MIXED, "weight": 2.0}), 1)
