from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sums import adding, suite

import ray_matdesign
from ray_matdesign.agents.benchmark.attempts import LocalLanes, SolverStopped
from ray_matdesign.agents.benchmark.baselines import fixed_answers, memorised, oracle, perturbed
from ray_matdesign.agents.benchmark.journal import BadRun, Finished, Journal, read_run, recordable
from ray_matdesign.agents.benchmark.running import Key, run

ITEMS = suite().items()
PLAN = {"suite": "sums"}


def attempts(
    folder: Path, *, repetitions: int = 2, lanes: int = 2, deadline_s: float = 60.0, **manner: str
) -> list[Finished]:
    threads = LocalLanes(adding(manner), deadline_s=deadline_s, lanes=lanes)
    return run(ITEMS, threads, Journal(folder, PLAN), repetitions=repetitions)


def test_every_question_is_asked_so_many_times_and_judged(tmp_path: Path) -> None:
    finished = attempts(tmp_path)
    assert len(finished) == len({(f.task, f.repetition) for f in finished}) == 16
    assert {f.outcome for f in finished} == {"right"}
    assert {f.cost.prompt_tokens for f in finished} == {100}


def test_everything_is_asked_once_before_anything_is_asked_again(tmp_path: Path) -> None:
    repetitions = [f.repetition for f in attempts(tmp_path, lanes=1)]
    assert repetitions == 8 * [0] + 8 * [1]


def test_attempts_have_folders_and_seeds_of_their_own(tmp_path: Path) -> None:
    finished = attempts(tmp_path)
    notes = {path.read_text() for path in (tmp_path / "attempts").glob("*/*/note.txt")}
    assert notes == {f"{f.task} {f.repetition}" for f in finished}


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = attempts(tmp_path, repetitions=1)
    lines = (tmp_path / "attempts.jsonl").read_text().splitlines()
    both = attempts(tmp_path, repetitions=2)
    assert both[: len(first)] == first
    assert (tmp_path / "attempts.jsonl").read_text().splitlines()[: len(lines)] == lines
    assert len(both) == 16
    assert read_run(tmp_path) == both


def test_another_plan_or_another_question_is_refused(tmp_path: Path) -> None:
    attempts(tmp_path, repetitions=1)
    with pytest.raises(BadRun, match=r'suite was "sums", not "others"; choose another folder'):
        Journal(tmp_path, {"suite": "others"})
    path = tmp_path / "attempts.jsonl"
    path.write_text(path.read_text().replace('"question": "', '"question": "0'))
    with pytest.raises(BadRun, match="asked another question then"):
        attempts(tmp_path, repetitions=1)
    path.write_text('{"task": "red"}\n')
    with pytest.raises(BadRun, match=r"line 1: question: Field required"):
        attempts(tmp_path)


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        Journal(tmp_path, PLAN).alone(),
        pytest.raises(BadRun, match="another run is under way"),
    ):
        attempts(tmp_path)


def test_what_breaks_and_what_is_late_are_failures_with_a_reason(tmp_path: Path) -> None:
    finished = attempts(
        tmp_path,
        repetitions=1,
        deadline_s=0.5,
        lanes=4,
        broken="red",
        late="green.v0.l1",
        spends="blue",
    )
    outcomes = {f.task: (f.outcome, f.reason) for f in finished}
    assert outcomes["red.v0.l0"] == ("lost", "ZeroDivisionError: division by zero")
    assert outcomes["green.v0.l1"] == ("timeout", "no answer within 0.5 s")
    assert outcomes["blue.v0.l0"] == ("budget", "the budget of 100 tokens is spent")
    assert outcomes["green.v0.l0"] == ("right", "")
    assert max(f.seconds for f in finished) < 30


def test_a_model_out_of_reach_stops_the_run_and_costs_nothing(tmp_path: Path) -> None:
    with pytest.raises(SolverStopped, match=r"blue.v0.l0: nobody answers"):
        attempts(tmp_path, repetitions=1, lanes=1, out_of_reach="blue")
    assert {f.outcome for f in read_run(tmp_path)} == {"right"}
    assert len(read_run(tmp_path)) == 4
    assert {f.outcome for f in attempts(tmp_path, repetitions=1)} == {"right"}


def test_answers_that_are_no_plain_values_are_kept_as_text() -> None:
    assert recordable({"a": (1, float("nan")), 2: {3}}) == {"a": [1, "nan"], "2": "{3}"}


@pytest.mark.parametrize(("kind", "share"), [("oracle", 1), ("null", 0), ("perturbed", 0)])
def test_who_knows_all_gets_everything_and_who_knows_nothing_nothing(
    tmp_path: Path, kind: str, share: int
) -> None:
    key = Key()
    answers = {"oracle": oracle, "perturbed": perturbed}.get(kind, lambda *_: {})(ITEMS, key)
    lanes = LocalLanes(fixed_answers({"answers": answers}), deadline_s=60.0)
    finished = run(ITEMS, lanes, Journal(tmp_path, PLAN), repetitions=1, key=key)
    assert sum(f.outcome == "right" for f in finished) == share * len(ITEMS)
    assert all(f.reason for f in finished if not share)


def test_who_learnt_the_public_answers_fails_on_private_questions(tmp_path: Path) -> None:
    key, private = Key(), suite().items(variant=5)
    answers = memorised(ITEMS, private, key)
    lanes = LocalLanes(fixed_answers({"answers": answers}), deadline_s=60.0)
    finished = run(private, lanes, Journal(tmp_path, PLAN), repetitions=1, key=key)
    assert {f.outcome for f in finished} == {"wrong"}


_RUN = """
import sys
from pathlib import Path
from sums import adding, suite
from ray_matdesign.agents.benchmark.attempts import LocalLanes
from ray_matdesign.agents.benchmark.journal import Journal
from ray_matdesign.agents.benchmark.running import run

lanes = LocalLanes(adding({"rest_s": float(sys.argv[2])}), deadline_s=60.0, lanes=2)
run(suite().items(), lanes, Journal(Path(sys.argv[1]), {"suite": "sums"}), repetitions=4)
"""


def test_a_kill_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    journal = tmp_path / "attempts.jsonl"
    here, root = Path(__file__).parent, Path(ray_matdesign.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{here}"}
    command = [sys.executable, "-c", _RUN, str(tmp_path)]
    seen: list[str] = []
    for wanted in (3, 9):
        running = subprocess.Popen([*command, "0.1"], env=environment)
        deadline = time.monotonic() + 120
        while len(_lines(journal)) < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert _lines(journal)[: len(seen)] == seen
        seen = _lines(journal)
        assert len(seen) >= wanted
    # What a writer leaves that dies in the middle of a line.
    with journal.open("a") as file:
        file.write('{"task": "re')
    subprocess.run([*command, "0"], env=environment, check=True, timeout=120)
    lines = _lines(journal)
    assert lines[: len(seen)] == seen
    done = {(entry["task"], entry["repetition"]) for entry in map(json.loads, lines)}
    assert len(lines) == len(done) == 32


def _lines(path: Path) -> list[str]:
    """Whole lines."""
    text = path.read_text() if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()
