"""What replicas of roles do, without a cluster around them; with one: ``test_saga.py``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import toy

from ray_matdesign.agents.saga.controller import run_campaign
from ray_matdesign.agents.saga.folder import Places, begin
from ray_matdesign.agents.saga.protocol import (
    Analysis,
    AnalyzeRequest,
    Evaluated,
    EvaluateRequest,
    Implementation,
    ImplementRequest,
    Optimized,
    OptimizeRequest,
    Plan,
    PlanRequest,
    RoleError,
    Selection,
    SelectRequest,
)
from ray_matdesign.config.settings import Settings
from ray_matdesign.serve.saga_roles import VERBS, RoleReplica
from ray_matdesign.serve.saga_settings import ServedSagaSettings
from tests.agents.saga import campaigns

FACTORY = ServedSagaSettings(folder="campaigns").factory


class ByReplicas:
    """Asks a replica of the role each time anew, by way of JSON."""

    def __init__(self, campaign: Path) -> None:
        self._campaign = str(campaign)

    def plan(self, asked: PlanRequest) -> Plan:
        return Plan.model_validate(self._answer("plan", asked))

    def implement(self, asked: ImplementRequest) -> Implementation:
        return Implementation.model_validate(self._answer("implement", asked))

    def optimize(self, asked: OptimizeRequest) -> Optimized:
        return Optimized.model_validate(self._answer("optimize", asked))

    def analyze(self, asked: AnalyzeRequest) -> Analysis:
        return Analysis.model_validate(self._answer("analyze", asked))

    def evaluate(self, asked: EvaluateRequest) -> Evaluated:
        return Evaluated.model_validate(self._answer("evaluate", asked))

    def select(self, asked: SelectRequest) -> Selection:
        return Selection.model_validate(self._answer("select", asked))

    def _answer(self, verb: str, asked: Settings) -> object:
        replica = RoleReplica(VERBS[verb].role, FACTORY)
        sent = json.loads(json.dumps(asked.model_dump(mode="json")))
        envelope = asyncio.run(replica.answer(verb, self._campaign, sent))
        if "error" in envelope:
            raise RoleError(VERBS[verb].role, **envelope["error"])
        return json.loads(json.dumps(envelope["answer"]))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a reference set of fcc metals on the toy potential's energy scale."""
    folder = tmp_path_factory.mktemp("reference") / "metals"
    toy.write_reference(folder, toy.solid())
    return folder


def test_replicas_come_to_what_one_process_comes_to(tmp_path: Path, reference: Path) -> None:
    told = campaigns.settings(tmp_path, reference, rounds=2)
    alone = campaigns.run(told, tmp_path / "alone")
    replay = str(tmp_path / "alone" / "llm-cassette.jsonl")
    shared = told.model_copy(update={"llm": told.llm.model_copy(update={"replay": replay})})
    folder = tmp_path / "shared"
    folder.mkdir()
    begin(shared, Places(folder))
    state = run_campaign(shared, folder, ByReplicas(folder), resume=True)
    assert (state.status, state.digest) == ("finished", alone.digest)
    # Every replica wrote to the same log, and nothing was asked twice.
    asked = [
        (tmp_path / name / "llm.jsonl").read_text().count("\n") for name in ("alone", "shared")
    ]
    assert asked[0] == asked[1]


def test_errors_of_a_role_cross_as_they_are(tmp_path: Path, reference: Path) -> None:
    told = campaigns.settings(tmp_path, reference)
    nobody = {"url": "http://127.0.0.1:9/v1", "model": "none", "retries": 0}
    for name, endpoint, reason in (
        ("unheard", nobody, "127.0.0.1:9"),
        ("unnamed", {**nobody, "token_env": "NO_SUCH_TOKEN"}, "NO_SUCH_TOKEN"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        llm = type(told.llm).model_validate({"default": endpoint})
        begin(told.model_copy(update={"llm": llm}), Places(folder))
        with pytest.raises(RoleError, match=reason) as raised:
            ByReplicas(folder).plan(PlanRequest(goal="dense", round=1, limit=3))
        assert (raised.value.role, raised.value.kind) == ("planner", "unreachable")


def test_a_replica_plays_no_role_but_its_own(tmp_path: Path) -> None:
    replica = RoleReplica("planner", FACTORY)
    for verb in ("select", "pickle"):
        with pytest.raises(ValueError, match=f"planner: cannot be asked to {verb}"):
            asyncio.run(replica.answer(verb, str(tmp_path), {}))
