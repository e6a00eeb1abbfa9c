from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from ray_matdesign.agents.saga.events import (
    BadEvents,
    Decision,
    EventLog,
    Failure,
    digest,
    fold,
    read_events,
)
from ray_matdesign.agents.saga.protocol import Plan, RoleError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def two(path: Path) -> EventLog:
    log = EventLog(path)
    log.append("planned", "01.plan.1", Plan(objectives=()), in_round=1, seconds=1.5)
    log.append("decided", "01.decided", Decision(stop=True, by="rounds"), in_round=1)
    return log


def test_what_is_written_is_read(path: Path) -> None:
    written = two(path).events
    assert tuple(read_events(path)) == tuple(written) == tuple(EventLog(path).events)
    state = fold(written)
    assert state.rounds[0].plans == [Plan(objectives=())]
    assert state.rounds[0].seconds["planned"] == 1.5
    assert state.status == "running"


def test_half_a_line_is_no_event_and_is_written_over(path: Path) -> None:
    two(path)
    with path.open("ab") as file:
        file.write(b'{"number": 3, "kind": "pla')
    log = EventLog(path)
    assert len(log.events) == 2
    log.append("decided", "02.decided", Decision(stop=True), in_round=2)
    assert [event.number for event in read_events(path)] == [1, 2, 3]


def test_a_lost_line_is_noticed(path: Path) -> None:
    two(path)
    path.write_text(path.read_text().splitlines(keepends=True)[1])
    with pytest.raises(BadEvents, match="line 1: an event is missing"):
        read_events(path)


def test_a_step_is_on_record_once(path: Path) -> None:
    log = two(path)
    with pytest.raises(ValueError, match=r"01\.decided is on record already"):
        log.append("decided", "01.decided", Decision(stop=False), in_round=1)


def test_the_outcome_knows_nothing_of_times_and_interruptions(tmp_path: Path) -> None:
    one, other = two(tmp_path / "one.jsonl"), EventLog(tmp_path / "other.jsonl")
    other.append("planned", "01.plan.1", Plan(objectives=()), in_round=1, seconds=99.0)
    failure = Failure(role="analyzer", kind="lost", reason="died", fatal=True)
    other.append("failed", "", failure, in_round=1)
    assert fold(other.events).status == "failed"
    other.append("decided", "01.decided", Decision(stop=True, by="rounds"), in_round=1)
    assert digest(one.events) == digest(other.events)
    assert fold(other.events).status == "running"
    assert digest(one.events[:1]) != digest(one.events)


def test_data_of_another_kind_are_named(path: Path) -> None:
    log = two(path)
    text = path.read_text().replace('"stop": true', '"stop": "perhaps"')
    path.write_text(text)
    assert log.events
    with pytest.raises(BadEvents, match=r"event 2 \(decided\): stop"):
        fold(read_events(path))


def test_a_failure_crosses_processes_as_it_is() -> None:
    error = RoleError("planner", "truncated", "cut off")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own)
    assert (again.role, again.kind, again.reason) == ("planner", "truncated", "cut off")
    assert str(again) == "planner: cut off"
