from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_server import TinyServer

from ray_matdesign.agents.llm.building import BUDGET_NAME, CASSETTE_NAME, LOG_NAME, build_llm
from ray_matdesign.agents.llm.protocol import (
    BudgetSpent,
    Message,
    NotRecorded,
    Request,
    Unreachable,
)
from ray_matdesign.agents.llm.scripted import Scripted
from ray_matdesign.config.llm import LlmSettings
from ray_matdesign.config.loading import load_settings

QUESTION = Request("planner.first", "3", (Message("user", "say yes"),), temperature=0.25, seed=4)


def settings(text: str = "{default: {}}") -> LlmSettings:
    return load_settings(LlmSettings, text, "test")


def lines(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (directory / LOG_NAME).read_text().splitlines()]


def test_each_role_asks_its_own(tmp_path: Path) -> None:
    with TinyServer(["big"]) as big, TinyServer(["small"]) as small:
        text = f"default: {{url: {small.url}}}\nroles:\n  planner: {{url: {big.url}}}\n"
        llm = build_llm(settings(text), tmp_path)
        assert llm.ask(QUESTION).model == "big"
        assert llm.ask(replace(QUESTION, purpose="planner")).model == "big"
        assert llm.ask(replace(QUESTION, purpose="analyzer")).model == "small"
        assert llm.ask(replace(QUESTION, purpose="planners")).model == "small"


def test_every_word_and_its_cost_is_in_the_run_directory(tmp_path: Path) -> None:
    script = Scripted(["boron carbide", Unreachable("gone")])
    llm = build_llm(settings(), tmp_path, script)
    llm.ask(QUESTION)
    with pytest.raises(Unreachable):
        llm.ask(replace(QUESTION, seed=5))
    answered, failed = lines(tmp_path)
    assert answered.pop("time")
    assert answered == {
        "purpose": "planner.first",
        "prompt_version": "3",
        "messages": [{"role": "user", "content": "say yes"}],
        "schema": None,
        "max_tokens": 1024,
        "temperature": 0.25,
        "seed": 4,
        "stop": [],
        "text": "boron carbide",
        "model": "scripted",
        "prompt_tokens": 2,
        "completion_tokens": 2,
        "seconds": 0.0,
        "finish": "stop",
    }
    assert (failed["seed"], failed["error"], failed["reason"]) == (5, "Unreachable", "gone")


def test_a_resumed_campaign_neither_asks_nor_pays_twice(tmp_path: Path) -> None:
    script = Scripted(["first", "second"])
    build_llm(settings(), tmp_path, script).ask(QUESTION)
    resumed = build_llm(settings(), tmp_path, script)
    assert resumed.ask(QUESTION).text == "first"
    assert resumed.ask(replace(QUESTION, seed=9)).text == "second"
    assert len(script.asked) == len(lines(tmp_path)) == 2
    assert json.loads((tmp_path / BUDGET_NAME).read_text())["requests"] == 2


def test_a_replay_takes_the_same_course_and_asks_nobody(tmp_path: Path) -> None:
    budget = "budget: {requests: 2}"
    questions = [replace(QUESTION, seed=seed) for seed in (1, 2, 1, 3)]

    def course(llm: object) -> list[str]:
        said = []
        for question in questions:
            try:
                said.append(llm.ask(question).text)  # type: ignore[attr-defined]
            except BudgetSpent:
                said.append("spent")
        return said

    live, again = tmp_path / "live", tmp_path / "again"
    live.mkdir()
    again.mkdir()
    told = course(build_llm(settings(budget), live, Scripted(["a", "b"])))
    assert told == ["a", "b", "a", "spent"]
    replay = settings(f"{budget}\nreplay: {live / CASSETTE_NAME}\n")
    assert course(build_llm(replay, again)) == told
    spent = [json.loads((folder / BUDGET_NAME).read_text()) for folder in (live, again)]
    assert spent[0] == spent[1]
    with pytest.raises(NotRecorded):
        build_llm(settings(f"replay: {live / CASSETTE_NAME}"), again).ask(replace(QUESTION, seed=8))
