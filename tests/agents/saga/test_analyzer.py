from __future__ import annotations

import json

import campaigns
import pytest

from ray_matdesign.agents.llm.protocol import BadAnswer
from ray_matdesign.agents.llm.scripted import Scripted
from ray_matdesign.agents.saga.analyzer import analyze
from ray_matdesign.agents.saga.protocol import (
    AnalyzeRequest,
    Leader,
    SelectRequest,
    Statistic,
    Statistics,
)
from ray_matdesign.agents.saga.selector import ranked, select

ASKED = AnalyzeRequest(
    goal="Dense crystals.",
    round=1,
    rounds=3,
    objectives=(),
    statistics=Statistics(
        round=1, figures=(Statistic(id="reward.mean", value=0.5, meaning="mean reward"),)
    ),
)


def test_findings_cite_figures_that_exist() -> None:
    model = Scripted([campaigns.analysis(cites="reward.median"), campaigns.analysis()])
    found = analyze(ASKED, model)
    assert found.performance[0].cites == ("reward.mean",)
    assert "there is no figure 'reward.median'" in model.asked[1].messages[-1].content
    assert model.asked[0].schema is not None
    cites = model.asked[0].schema["$defs"]["CitedFinding"]["properties"]["cites"]
    assert cites["items"]["enum"] == ["reward.mean"]


def test_what_says_how_crystals_did_rests_on_something() -> None:
    bare = json.loads(campaigns.analysis())
    bare["performance"] = [{"text": "Splendid.", "cites": []}]
    with pytest.raises(BadAnswer, match=r"performance\.0\.cites: name the figures"):
        analyze(ASKED, Scripted([json.dumps(bare)] * 3))


CRYSTALS = tuple(Leader(id=f"01-{i}", formula=f"C{i}") for i in range(1, 6))
CHOICE = SelectRequest(goal="Any.", objectives=(), candidates=CRYSTALS, count=2)


def chosen(*ids: str) -> str:
    return json.dumps({"chosen": [{"id": one, "why": "Good."} for one in ids]})


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (chosen("01-1", "01-9"), "there is no crystal '01-9'"),
        (chosen("01-1", "01-1"), "picked more than once"),
        (chosen("01-1"), "2 are asked for"),
    ],
)
def test_only_crystals_of_the_list_are_picked_each_once(bad: str, complaint: str) -> None:
    model = Scripted([bad, chosen("01-5", "01-2")])
    assert [one.id for one in select(CHOICE, model).chosen] == ["01-5", "01-2"]
    assert complaint in model.asked[1].messages[-1].content


def test_nobody_is_asked_where_there_is_no_choice() -> None:
    few = CHOICE.model_copy(update={"candidates": CRYSTALS[:2]})
    assert select(few, Scripted([])) == ranked(few)
