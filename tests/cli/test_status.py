"""``ray-matdesign status``: of runs finished, going on, and stopped."""

import fcntl
import json
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ray_matdesign.cli.status import duration
from tests.cli.test_run import long_run, loops, wait_for_loop


@pytest.fixture
def finished(command, campaign: Path) -> Path:
    assert command("run", campaign, "--out", "run").status == 0
    return Path("run")


def told(command, *arguments: object) -> tuple[int, dict]:
    outcome = command("status", *arguments, "--json")
    return outcome.status, json.loads(outcome.out)


def cut(run: Path, loop: int) -> None:
    """Leaves a run as if it had been killed after a loop."""
    rows = loops(run)
    lines = [json.dumps(row) + "\n" for row in rows if row["loop"] <= loop]
    (run / "metrics.jsonl").write_text("".join(lines))


def test_a_finished_run(command, finished: Path) -> None:
    status, state = told(command, finished)
    rows = loops(finished)
    assert status == 0
    assert (state["state"], state["loop"], state["loops"]) == ("finished", 2, 2)
    assert state["stage"] is None
    assert state["evaluations"] == rows[-1]["evaluations_total"]
    assert state["best_reward"] == max(row["reward_max"] for row in rows)
    (first,) = (finished / "best").glob("001-*.cif")
    assert state["best_formula"] in first.name
    assert state["sun_total"] == sum(row["sun"] for row in rows)
    assert state["remaining_s"] == 0.0
    wall = sum(row["wall_s"] for row in rows)
    assert state["loop_seconds"] == pytest.approx(wall / 2)
    assert state["evaluations_per_hour"] == pytest.approx(
        3600.0 * sum(row["evaluated"] for row in rows) / wall
    )
    assert state["checkpoint"]["loop"] == 2
    assert abs((datetime.now(UTC) - datetime.fromisoformat(state["seen"])).total_seconds()) < 600
    fallen = sum(n for row in rows for n in row["rejections"].values())
    assert sum(state["rejections"].values()) == fallen
    assert state["notices"] == []


def test_for_people(command, finished: Path) -> None:
    outcome = command("status", finished)
    assert (outcome.status, outcome.err) == (0, "")
    lines = {line[2:14].strip(): line[15:] for line in outcome.out.splitlines()[1:]}
    assert lines["state"].startswith("finished")
    assert lines["loops"] == "2 of 2 done"
    assert re.fullmatch(r"loop 2, \d+ s ago", lines["checkpoint"])
    best = max(row["reward_max"] for row in loops(finished))
    assert lines["reward"].startswith(f"best {best:.3f} (")


def test_a_run_that_stopped_has_a_status_of_its_own(command, finished: Path) -> None:
    cut(finished, 1)
    status, state = told(command, finished)
    (row,) = loops(finished)
    assert status == 3
    assert (state["state"], state["loop"]) == ("stopped", 1)
    assert state["remaining_s"] == pytest.approx(row["wall_s"])
    shown = command("status", finished)
    assert shown.status == 3
    assert shown.out.splitlines()[-1] == "go on with: ray-matdesign run run --resume"


def test_a_run_that_is_held_says_what_it_is_at(command, finished: Path) -> None:
    cut(finished, 1)
    with (finished / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert told(command, finished)[1]["stage"] is None  # the last logged loop has ended
        with (finished / "log.jsonl").open("a") as log:
            stage = {"event": "stage", "loop": 2, "stage": "relax", "done": 3, "total": 8}
            log.write(json.dumps(stage) + "\n")
            log.write('{"event": "stage", "loop": 2, "sta')  # being written
        status, state = told(command, finished)
        assert (status, state["state"]) == (0, "running")
        assert state["stage"] == {"loop": 2, "name": "relax", "done": 3, "total": 8}
        assert "loop 2: relax 3/8" in command("status", finished).out


def test_failures_are_told_by_reason(command, finished: Path) -> None:
    rows = loops(finished)
    rows[0]["rejections"] = {"relaxation_failed: no convergence": 2, "unstable: # eV/atom": 5}
    rows[1]["rejections"] = {"relaxation_failed: no convergence": 1, "unstable: limit": 1}
    (finished / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    state = told(command, finished)[1]
    assert state["rejections"] == {"unstable": 6, "relaxation_failed": 3}
    assert state["failures"] == {"relaxation_failed: no convergence": 3}
    assert "3 x relaxation_failed: no convergence" in command("status", finished).out


def test_before_the_first_loop_and_with_files_missing(command, finished: Path) -> None:
    for name in ("metrics.jsonl", "versions.json", "log.jsonl"):
        (finished / name).unlink()
    status, state = told(command, finished)
    assert (status, state["state"], state["loop"]) == (3, "stopped", 0)
    assert [state[key] for key in ("best_reward", "loop_seconds", "remaining_s")] == [None] * 3
    assert state["notices"] == [
        "versions.json is missing: package versions and start time are unknown."
    ]


def test_a_folder_that_is_no_run(command, tmp_path: Path) -> None:
    outcome = command("status", tmp_path)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"ray-matdesign: {tmp_path} is not a run directory")


def test_watching_ends_with_the_run(command, finished: Path) -> None:
    rows = loops(finished)
    cut(finished, 1)
    lock = (finished / ".lock").open()
    fcntl.flock(lock, fcntl.LOCK_EX)

    def go_on() -> None:
        time.sleep(1.0)
        (finished / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        lock.close()

    thread = threading.Thread(target=go_on)
    thread.start()
    outcome = command("status", finished, "--watch", "--json")
    thread.join()
    states = [json.loads(line)["state"] for line in outcome.out.splitlines()]
    assert outcome.status == 0
    assert states[0] == "running"
    assert states[-1] == "finished"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.6, "1 min"),
        (200.0, "3 min 20 s"),
        (3600.0, "1 h"),
        (12000.0, "3 h 20 min"),
        (90000.0, "1 d 1 h"),
        (-3.0, "0 s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_run_is_followed_from_another_process(campaign: Path, tmp_path: Path) -> None:
    run = tmp_path / "long"

    def ask() -> tuple[int, dict]:
        call = [sys.executable, "-m", "ray_matdesign", "status", str(run), "--json"]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout)

    with long_run(run, campaign) as process:
        assert wait_for_loop(run, 2, process)
        status, state = ask()
        assert (status, state["state"], state["loops"]) == (0, "running", 100000)
        assert state["loop"] >= 2
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    status, state = ask()
    assert (status, state["state"]) == (3, "stopped")
    assert state["checkpoint"]["loop"] == state["loop"]
