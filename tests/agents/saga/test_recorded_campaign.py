"""A campaign that the packaged 1.5-billion-parameter model steered, played again.

What the model said is on the cassette, and what the runs of the rounds and the scorers found lies
beside it: the potential's last digits differ between machines, and half a minute a round is long.
Everything between the two runs for real: prompts, checks of answers, matching and examining of
objectives, statistics, selection, and the log of events.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from ray_matdesign.agents.llm.building import build_llm
from ray_matdesign.agents.llm.cassette import Replayer
from ray_matdesign.agents.llm.protocol import Answer, Request
from ray_matdesign.agents.saga.controller import run_campaign
from ray_matdesign.agents.saga.events import Event, fold, read_events
from ray_matdesign.agents.saga.protocol import (
    Evaluated,
    EvaluateRequest,
    Optimized,
    OptimizeRequest,
)
from ray_matdesign.agents.saga.roles import LocalRoles
from ray_matdesign.agents.saga.settings import load_campaign
from ray_matdesign.report.saga_page import build_saga_report

RECORDED = Path(__file__).parent / "recorded" / "superhard"
EVENTS = read_events(RECORDED / "events.jsonl")


def told(kind: str, number: int = 0) -> Event:
    """What is on record of a step."""
    return next(one for one in EVENTS if (one.kind, one.round) == (kind, number))


class Remembering(LocalRoles):
    """Local roles whose crystals were found before."""

    def optimize(self, asked: OptimizeRequest) -> Optimized:
        where = Path(asked.directory)
        where.mkdir(parents=True, exist_ok=True)
        name = "population.parquet"
        shutil.copy(RECORDED / "rounds" / where.name / name, where / name)
        return Optimized.model_validate(told("optimized", asked.round).data)

    def evaluate(self, asked: EvaluateRequest) -> Evaluated:
        output = Path(asked.output)
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(RECORDED / output.name, output)
        return Evaluated.model_validate(told("judged" if asked.held_out else "rescored").data)


class Counting:
    """A model that counts its questions."""

    def __init__(self, model: Replayer) -> None:
        self.asked: Counter[str] = Counter()
        self._model = model

    def ask(self, request: Request) -> Answer:
        answer = self._model.ask(request)
        self.asked[request.purpose] += 1
        return answer


def test_it_comes_out_as_it_was_recorded(tmp_path: Path) -> None:
    settings = load_campaign(RECORDED / "saga.yaml")
    model = Counting(Replayer(RECORDED / "llm-cassette.jsonl"))
    campaign = tmp_path / "again"
    campaign.mkdir()
    roles = Remembering(build_llm(settings.llm, campaign, model))
    try:
        state = run_campaign(settings, campaign, roles)
    finally:
        roles.close()
    recorded = fold(EVENTS)
    assert state.digest == recorded.digest
    assert len(state.rounds) >= 3
    added = {
        one.objective.spec.name: one.outcome
        for finished in state.rounds
        for one in finished.objectives
        if one.objective.origin == "planner"
    }
    assert added, "the model added no objective that could be had"
    asked = (RECORDED / "llm-cassette.jsonl").read_text().splitlines()
    assert sum(model.asked.values()) == len(asked)
    assert model.asked["analyzer"] >= len(state.rounds)
    page = build_saga_report(campaign).read_text()
    assert all(name in page for name in added)
