"""Toy campaigns: fcc metals, a closed-form potential, and a language model that says its lines."""

from __future__ import annotations

import json
import os
import re
import signal
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import toy

from ray_matdesign.agents.llm.building import build_llm
from ray_matdesign.agents.llm.protocol import Answer, Llm, LlmError, NotRecorded, Request
from ray_matdesign.agents.saga.controller import run_campaign
from ray_matdesign.agents.saga.course import Unwatched
from ray_matdesign.agents.saga.events import CampaignState, Event
from ray_matdesign.agents.saga.roles import LocalRoles
from ray_matdesign.agents.saga.settings import SagaSettings
from ray_matdesign.config.loading import dump
from ray_matdesign.rl.progress import Progress, Silent

DENSITY = {
    "spec": {
        "name": "dense",
        "description": "Heavy.",
        "kind": "candidate",
        "direction": "maximize",
        "quantity": "density",
        "unit": "g/cm3",
        "inputs": ["composition", "structure"],
    },
    "low": 5.0,
    "high": 20.0,
}

CHEAP = {
    "name": "cheap",
    "kind": "candidate",
    "direction": "minimize",
    "measure": "price",
    "low": 1.0,
    "high": 60000.0,
    "why": "Dense crystals are all of platinum and gold.",
}
MIXED = {
    "name": "mixed",
    "kind": "filter",
    "direction": "none",
    "measure": "number_of_elements",
    "low": 2,
    "high": None,
    "why": "Pure metals are known.",
}
COPPER = {
    "name": "copper",
    "kind": "candidate",
    "direction": "maximize",
    "measure": "share_of_elements",
    "elements": ["Cu", "Ni"],
    "low": 0.0,
    "high": 1.0,
    "why": "Common metals are wanted.",
}
VARIED = {
    "name": "varied",
    "kind": "population",
    "direction": "maximize",
    "measure": "diversity",
    "low": None,
    "high": None,
    "why": "They are all alike.",
}


LOOPS = {"rl.loops": 2, "rl.samples": 12, "rl.evaluations": 8, "stability.require": ["unique"]}


def settings(
    folder: Path, reference: Path, run: dict[str, Any] | None = None, **changes: Any
) -> SagaSettings:
    """A campaign of three rounds of two small loops.

    ``run`` replaces dotted keys of the base, ``changes`` keys of the campaign.
    """
    base = toy.config(reference, **LOOPS, **(run or {}))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "base-run.yaml"
    path.write_text(dump(base))
    told: dict[str, Any] = {
        "name": "toy",
        "goal": "Dense crystals of common metals.",
        "base": {"recipe": str(path)},
        "objectives": [DENSITY],
        "rounds": 3,
        "restart_ratio": 0.5,
        "population": 10,
        "select": 3,
        "stopping": {"rounds": None},
        "held_out": [{"name": "canary_property", "scorer": "hhi", "max": 4000.0}],
        **changes,
    }
    return SagaSettings.model_validate_json(json.dumps(told))


def plan(*add: dict[str, Any], keep: tuple[str, ...] = ()) -> str:
    return json.dumps({"thoughts": "Because.", "keep": keep, "add": add})


def analysis(stop: bool = False, cites: str = "reward.mean") -> str:
    finding = [{"text": "The mean reward is what it is.", "cites": [cites]}]
    sections = dict.fromkeys(("overview", "performance", "issues", "recommendations"), finding)
    return json.dumps({**sections, "stop": stop, "reason": "More is to be had."})


def picks(request: Request) -> str:
    """The first crystals of the list, as many as are asked for."""
    assert request.schema is not None
    ids = request.schema["$defs"]["Choice"]["properties"]["id"]["enum"]
    count = request.schema["properties"]["chosen"]["minItems"]
    return json.dumps({"chosen": [{"id": one, "why": "Good."} for one in ids[:count]]})


Line = str | LlmError | Callable[[Request], str]

EVOLVING: Mapping[tuple[str, int], Line] = {
    ("planner.begin", 1): plan(),
    ("planner.revise", 2): plan(CHEAP, MIXED),
    ("planner.revise", 3): plan(COPPER, VARIED, keep=("cheap", "mixed")),
    ("analyzer", 0): analysis(),
    ("selector", 0): picks,
}
"""What the model says in a campaign that evolves, by purpose and round; 0 for any round."""


class Actor:
    """A model whose answer depends on purpose and round alone, so that it may be killed any time.

    Args:
        lines: By purpose and round.
    """

    def __init__(self, lines: Mapping[tuple[str, int], Line] = EVOLVING) -> None:
        self.asked: list[Request] = []
        self._lines = lines

    def ask(self, request: Request) -> Answer:
        self.asked.append(request)
        told = re.search(r"Round (\d+)", request.messages[1].content)
        number = int(told[1]) if told else 0
        line = self._lines.get((request.purpose, number), self._lines.get((request.purpose, 0)))
        if line is None:
            raise NotRecorded(f"{request.purpose}: nothing to say in round {number}")
        if isinstance(line, LlmError):
            raise line
        text = line if isinstance(line, str) else line(request)
        return Answer(text, "actor", 100, 50, 0.0, "stop")


def run(
    told: SagaSettings,
    directory: Path,
    source: Llm | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> CampaignState:
    """Runs a campaign with a model behind its cassette, its log and its budget."""
    directory.mkdir(parents=True, exist_ok=True)
    llm = build_llm(told.llm, directory, source or Actor())
    roles = LocalRoles(llm, progress=progress)
    try:
        return run_campaign(told, directory, roles, **options)
    finally:
        roles.close()


class KilledAfterAStep(Unwatched):
    """Kills its process as soon as a step is on record."""

    def happened(self, event: Event) -> None:
        if event.key:
            os.kill(os.getpid(), signal.SIGKILL)


class KilledIn(Silent):
    """Kills its process in a stage of a loop of a round's run."""

    def __init__(self, loop: int, stage: str) -> None:
        self.loop, self.where, self.now = loop, stage, 0

    def loop_started(self, loop: int) -> None:
        self.now = loop

    def stage(self, name: str, done: int, total: int) -> None:
        if self.now == self.loop and name == self.where and done > 0:
            os.kill(os.getpid(), signal.SIGKILL)


def in_a_child(work: Callable[[], object]) -> bool:
    """Does something in a process of its own; says whether it was killed, and not done."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    return status == signal.SIGKILL
