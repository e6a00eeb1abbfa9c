"""The two sides of a map, without workers: what is handed out, and what comes back."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.distributed.mapping import BatchMap, Results, cancelled
from ray_matdesign.rl.executor import MapCancelled


def mapping(n: int) -> BatchMap:
    return BatchMap("square", [{"x": x} for x in range(n)], None, 0)


def results(of: BatchMap) -> Results:
    return Results(of, taken=lambda: None, abandoned=of.end)


@given(
    n=st.integers(0, 12),
    window=st.integers(1, 5),
    moves=st.lists(st.sampled_from(["out", "answer", "back", "take"]), max_size=120),
)
def test_the_window_holds_and_every_index_comes_once(n: int, window: int, moves: list[str]) -> None:
    of = mapping(n)
    taken, got, out, done = results(of), [], [], 0
    for move in moves:
        if move == "out" and (batch := of.hand_out("worker", window)) is not None:
            out.append(batch)
        elif move == "answer" and out:
            done += 1
            batch = out.pop(0)
            of.answer(batch.index, {"x": batch.index})
        elif move == "back" and out:
            of.take_back(out.pop())
        elif move == "take" and len(got) < done:
            got.append(next(taken))
        assert len(out) + done - len(got) <= window
    while len(got) < n:
        if (batch := of.hand_out("worker", window)) is not None:
            out.append(batch)
        if out:
            batch = out.pop(0)
            of.answer(batch.index, {"x": batch.index})
            done += 1
        got.append(next(taken))
    assert sorted(index for index, _ in got) == list(range(n))
    assert all(result == {"x": index} for index, result in got)
    with pytest.raises(StopIteration):
        next(taken)


def test_a_batch_does_not_go_back_to_where_it_raised() -> None:
    of = mapping(2)
    first = of.hand_out("broken", 4)
    assert first is not None
    first.raised_in = "broken"
    of.take_back(first)
    other = of.hand_out("broken", 4)
    assert other is not None
    assert other.index == 1
    assert of.hand_out("broken", 4) is None
    assert of.hand_out("sound", 4) is first


def test_results_left_early_are_given_up_once_also_by_the_collector() -> None:
    calls: list[str] = []
    of = mapping(3)
    held = Results(of, taken=lambda: None, abandoned=lambda: calls.append("abandoned"))
    held.close()
    held.close()
    del held
    assert calls == ["abandoned"]
    forgotten = Results(of, taken=lambda: None, abandoned=lambda: calls.append("collected"))
    del forgotten
    assert calls == ["abandoned", "collected"]


def test_whoever_waits_is_told_when_a_map_is_ended() -> None:
    of = mapping(3)
    waiting = results(of)
    threading.Timer(0.1, of.end, [cancelled()]).start()
    with pytest.raises(MapCancelled):
        next(waiting)
    with pytest.raises(StopIteration):
        next(waiting)
