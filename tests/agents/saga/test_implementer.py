"""Failures of written scorers (B5): the campaign goes on, and says what was wrong."""

from __future__ import annotations

import time
from pathlib import Path

import campaigns
import pytest
from campaigns import Actor, analysis, plan

from ray_matdesign.agents.llm.scripted import Scripted
from ray_matdesign.agents.objectives.python_scorer import PRELOAD
from ray_matdesign.agents.saga.drafting import Draft, planned
from ray_matdesign.agents.saga.implementer import implement_all
from ray_matdesign.agents.saga.protocol import Implementation, ImplementRequest, Planned
from ray_matdesign.agents.sandbox.box import Box, SandboxUnavailable
from ray_matdesign.agents.sandbox.tiers import best_tier

WANTED = {
    "name": "light",
    "kind": "candidate",
    "direction": "maximize",
    "measure": "other",
    "quantity": "lightness",
    "unit": "",
    "inputs": ["composition"],
    "low": 0,
    "high": 1,
    "why": "Heavy is bad.",
}
GOOD = """
from ray_matdesign.crystals.elements import ATOMIC_MASSES_AMU

def score(crystals):
    masses = [float(ATOMIC_MASSES_AMU[crystal.numbers].mean()) for crystal in crystals]
    return [1.0 / (1.0 + mass / 50.0) for mass in masses]
"""
FAULTS = {
    "raises": "def score(crystals):\n    return [1 / 0 for c in crystals]",
    "nan": "def score(crystals):\n    return [float('nan') for c in crystals]",
    "wrong length": "def score(crystals):\n    return [0.5]",
    "out of range": "def score(crystals):\n    return [float(len(c)) for c in crystals]",
    "constant": "def score(crystals):\n    return [0.5 for c in crystals]",
    "fork": "import os\ndef score(crystals):\n    return [float(os.fork()) for c in crystals]",
    "socket": "import socket\ndef score(crystals):\n    return [socket.AF_INET for c in crystals]",
    "file": "def score(crystals):\n    open('x', 'w')\n    return [0.5 for c in crystals]",
    "secret": "import os\ndef score(crystals):\n    return [len(os.environ) for c in crystals]",
    "no Python": "def score(crystals)",
    "no function": "x = 1",
}
SLOW_FAULTS = {
    "hangs": "def score(crystals):\n    while True:\n        pass",
    "memory": "def score(crystals):\n    held = [0.0] * 10 ** 10\n    return held[: len(crystals)]",
}


@pytest.fixture(scope="module")
def sandbox():  # type: ignore[no-untyped-def]
    try:
        tier = best_tier()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with Box(tier, PRELOAD) as box:
        yield box


def wanted() -> Planned:
    spec = planned(Draft.model_validate(WANTED), 1)
    held = spec.spec.model_copy(update={"ordering": ("diamond", "Si", "Au")})
    return spec.model_copy(update={"spec": held})


def implemented(code: str, folder: Path, sandbox: Box) -> Implementation:
    model = Scripted({"implementer.declarative": ["{}"], "implementer.python": [_said(code)]})
    asked = ImplementRequest(round=1, objectives=(wanted(),), scorers=str(folder), repairs=0)
    return implement_all(asked, model, sandbox)


def _said(code: str) -> str:
    return f"```python\n{code}\n```"


def test_what_works_is_registered_and_then_reused(tmp_path: Path, sandbox: Box) -> None:
    (one,) = implemented(GOOD, tmp_path, sandbox).implemented
    assert (one.outcome, one.column, one.low, one.high) == ("written", "light", 0.0, 1.0)
    assert (tmp_path / one.artifact).exists()
    asked = ImplementRequest(round=2, objectives=(wanted(),), scorers=str(tmp_path))
    (again,) = implement_all(asked, Scripted([]), None).implemented
    assert (again.outcome, again.artifact) == ("reused", one.artifact)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_is_dropped_with_the_reason(fault: str, tmp_path: Path, sandbox: Box) -> None:
    done = implemented(FAULTS[fault], tmp_path, sandbox)
    assert not done.implemented
    (lost,) = done.dropped
    assert lost.name == "light"
    assert lost.reason
    assert "\n" not in lost.reason
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.slow
@pytest.mark.parametrize("fault", SLOW_FAULTS)
def test_what_takes_too_much_is_ended_in_time(fault: str, tmp_path: Path, sandbox: Box) -> None:
    begun = time.monotonic()
    done = implemented(SLOW_FAULTS[fault], tmp_path, sandbox)
    assert time.monotonic() - begun < 30.0 + 2.0 + 30.0  # two forms; each call has 30 s and 2 more
    assert [one.name for one in done.dropped] == ["light"]


def test_two_objectives_by_one_scorer_are_one(tmp_path: Path) -> None:
    twin = {**campaigns.CHEAP, "name": "dear", "direction": "maximize"}
    both = tuple(planned(Draft.model_validate(one), 1) for one in (campaigns.CHEAP, twin))
    done = implement_all(
        ImplementRequest(round=1, objectives=both, scorers=str(tmp_path)), Scripted([]), None
    )
    assert [one.name for one in done.implemented] == ["cheap"]
    assert done.dropped[0].reason == "it has the same scorer as cheap, price"


def test_a_campaign_survives_a_scorer_that_fails_on_every_crystal(
    tmp_path: Path, reference: Path
) -> None:
    """The share of what is no element of the run is always zero; a logarithm of it never is."""
    formula = {"op": "log10", "arg": {"op": "share", "of": ["B"]}}
    told = campaigns.settings(
        tmp_path,
        reference,
        rounds=2,
        objectives=[
            campaigns.DENSITY,
            {
                "spec": {
                    "name": "boron",
                    "description": "Undefined for every crystal of the run.",
                    "kind": "candidate",
                    "direction": "maximize",
                    "quantity": "logarithm of the share of boron",
                    "inputs": ["composition"],
                    "formula": formula,
                },
                "low": -2.0,
                "high": 0.0,
            },
        ],
    )
    lines = {
        ("planner.begin", 1): plan(),
        ("planner.replace", 1): plan(),
        ("planner.revise", 2): plan(),
        ("planner.replace", 2): plan(),
        ("analyzer", 0): analysis(),
        ("selector", 0): campaigns.picks,
    }
    state = campaigns.run(told, tmp_path / "campaign", Actor(lines))
    assert state.status == "finished"
    for played in state.rounds:
        assert played.dropped or (played.optimized and played.optimized.size == 0)
        assert len({one.name for one in played.dropped}) == len(played.dropped)
