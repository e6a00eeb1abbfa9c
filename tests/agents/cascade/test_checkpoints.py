"""What is on disk of a task, also after a real SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cascade_cases import COPPER, VOLUME

import ray_matdesign
from ray_matdesign.agents.cascade.checkpoints import BadCheckpoint, Checkpoints
from ray_matdesign.agents.cascade.phases import Coded, Recalled
from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.sandbox.box import Box

CHILD = Path(__file__).with_name("solving_child.py")
PACKAGE = Path(ray_matdesign.__file__).parents[1]


def solve_in_a_child(folder: Path, fatal: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{PACKAGE}:{CHILD.parent}"}
    return subprocess.run(
        [sys.executable, str(CHILD), str(folder), fatal],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def asked(folder: Path) -> list[dict[str, str]]:
    lines = (folder / "asked.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    "fatal",
    [
        pytest.param("research:asked", marks=pytest.mark.slow),
        pytest.param("code:began", marks=pytest.mark.slow),
        "code:asked",
        pytest.param("code:ran", marks=pytest.mark.slow),
        pytest.param("debug-2-direct:began", marks=pytest.mark.slow),
        "debug-3-documentation:ran",
        "process:began",
    ],
)
def test_a_kill_at_any_moment_costs_no_question_twice(
    sandbox: Box, tmp_path: Path, fatal: str
) -> None:
    killed = solve_in_a_child(tmp_path, fatal)
    assert killed.returncode == -signal.SIGKILL
    resumed = solve_in_a_child(tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    solution: dict[str, Any] = json.loads(resumed.stdout)
    assert solution["answer"] == pytest.approx(VOLUME)
    keys = [one["key"] for one in asked(tmp_path)]
    # A question is on record a moment after it was noted: those that were open at the kill,
    # of the debuggers beside, may be asked again, and no others.
    finished = {
        json.loads(line)["key"]
        for line in (tmp_path / "run/copper.volume/3/answers.jsonl").read_text().splitlines()
    }
    assert set(keys) == finished
    assert len(finished) == 5
    if not fatal.startswith("debug"):
        assert len(keys) == 5
    assert solution["cost"]["requests"] == 5
    assert solution["cost"]["runs"] == 4


def test_another_question_or_another_way_is_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path, COPPER, CascadeSettings())
    Checkpoints(tmp_path, COPPER, CascadeSettings(deadline_s=5.0, tokens=7))
    with pytest.raises(BadCheckpoint, match=r"task.json: another question, or other settings"):
        Checkpoints(tmp_path, COPPER, CascadeSettings(mode="native"))
    other = COPPER.model_copy(update={"question": "What is the volume of silver?"})
    with pytest.raises(BadCheckpoint, match=r"copper.volume/3/task.json"):
        Checkpoints(tmp_path, other, CascadeSettings())


def test_a_phase_is_done_once_and_damage_is_told(tmp_path: Path) -> None:
    done: list[str] = []

    def work() -> Recalled:
        done.append("once")
        return Recalled()

    kept = Checkpoints(tmp_path, COPPER, CascadeSettings())
    kept.phase("recall", Recalled, work)
    kept.phase("recall", Recalled, work)
    assert done == ["once"]
    with pytest.raises(BadCheckpoint, match=r"recall.json: run: Field required"):
        kept.phase("recall", Coded, lambda: Coded.model_validate({}))


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def work() -> Recalled:
        raise RuntimeError("lost")

    kept = Checkpoints(tmp_path, COPPER, CascadeSettings())
    with pytest.raises(RuntimeError, match="lost"):
        kept.phase("recall", Recalled, work)
    assert kept.phases() == {}
