from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from ray_matdesign.agents.llm.protocol import (
    Answer,
    BadAnswer,
    Message,
    NotRecorded,
    Request,
    Truncated,
    Unreachable,
    ask_for,
    parsed,
)
from ray_matdesign.agents.llm.scripted import Scripted


class Objective(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    direction: Literal["maximize", "minimize"]
    weight: float


class Plan(BaseModel):
    model_config = ConfigDict(extra="forbid")

    objectives: list[Objective]


GOOD = '{"objectives": [{"name": "hardness", "direction": "maximize", "weight": 1}]}'
QUESTION = Request("planner", "1", (Message("user", "Which objectives?"),))


def answer(text: str, finish: str = "stop") -> Answer:
    return Answer(text, "model", 3, 5, 0.1, finish)


@pytest.mark.parametrize("text", [GOOD, f"```json\n{GOOD}\n```", f"\n```\n{GOOD}```\n"])
def test_json_is_read_with_or_without_a_fence(text: str) -> None:
    plan = parsed(answer(text), Plan)
    assert plan.objectives == [Objective(name="hardness", direction="maximize", weight=1.0)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Sure! Here you are.", "the answer is not JSON: Expecting value"),
        ('{"objectives": [', "the answer is not JSON"),
        ("[]", r"must be a mapping of keys to values, got \[\]"),
        ("{}", "objectives: missing"),
        (GOOD.replace("maximize", "up"), "objectives.0.direction: must be 'maximize' or 'minimi"),
        (GOOD.replace(" 1}", ' "1"}'), "objectives.0.weight: must be a valid number, got '1'"),
        (GOOD.replace("weight", "wieght"), "did you mean objectives.0.weight"),
        ("[" * 5000, "the answer is not JSON"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_that_names_the_key(
    text: str, reason: str
) -> None:
    with pytest.raises(BadAnswer, match=reason) as caught:
        parsed(answer(text), Plan)
    assert "\n" not in str(caught.value)


def test_an_answer_that_was_cut_off_is_never_read() -> None:
    with pytest.raises(Truncated, match="cut off after 5 tokens"):
        parsed(answer(GOOD, finish="length"), Plan)


def test_the_reason_goes_back_to_the_model() -> None:
    wrong = GOOD.replace("maximize", "up")
    llm = Scripted([wrong, GOOD])
    assert len(ask_for(llm, QUESTION, Plan).objectives) == 1
    first, second = llm.asked
    assert first.schema == Plan.model_json_schema()
    assert second.messages[: len(first.messages)] == first.messages
    said, told = second.messages[-2:]
    assert (said.role, said.content) == ("assistant", wrong)
    assert told.role == "user"
    assert "objectives.0.direction: must be 'maximize' or 'minimize'" in told.content


def test_repairs_come_to_an_end() -> None:
    llm = Scripted(["no"] * 5)
    with pytest.raises(BadAnswer):
        ask_for(llm, QUESTION, Plan, repairs=2)
    assert len(llm.asked) == 3
    with pytest.raises(BadAnswer):
        ask_for(llm, QUESTION, Plan, repairs=0)
    assert len(llm.asked) == 4


def test_only_bad_answers_are_repaired() -> None:
    llm = Scripted([answer(GOOD, "length"), Unreachable("gone")])
    with pytest.raises(Truncated):
        ask_for(llm, QUESTION, Plan)
    with pytest.raises(Unreachable):
        ask_for(llm, QUESTION, Plan)


def test_a_script_by_purpose_keeps_each_in_order() -> None:
    llm = Scripted({"planner": ["a", "b"], "analyzer": ["c"]})
    asked = [Request(p, "1", ()) for p in ("planner", "analyzer", "planner")]
    assert [llm.ask(request).text for request in asked] == ["a", "c", "b"]
    with pytest.raises(NotRecorded, match="analyzer"):
        llm.ask(asked[1])
