"""Batches are answered exactly once, whatever happens to the processes that work on them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from processes import eventually, store_used

from ray_matdesign.config.schema import ExecutionSettings
from ray_matdesign.distributed import pace
from ray_matdesign.distributed import pool as pool_module
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.distributed.metrics import PoolMetrics
from ray_matdesign.distributed.pool import WorkerPool, WorkerStartFailed
from ray_matdesign.rl.executor import BatchFailed, MapCancelled, Payload, Role
from ray_matdesign.rl.local import LocalExecutor

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


def role(name: str, **changes: Any) -> Role:
    fields: dict[str, Any] = {"factory": "faulty_workers:make", "workers": 2, "cpus": 0.1}
    return Role(name=name, **{**fields, **changes})


ROLES = (
    role("reward", deadline_s=60.0, retries=2),
    role("brisk", deadline_s=2.0, retries=1),
    role("strict", deadline_s=2.0, retries=0),
    role("single", workers=1, retries=1),
)


@pytest.fixture(scope="module")
def executor(local_ray: None) -> Iterator[RayExecutor]:
    """Pools that every test may harm: they must recover."""
    with RayExecutor(ROLES, ExecutionSettings(backend="ray")) as running:
        yield running


@pytest.fixture
def pids(executor: RayExecutor) -> Callable[[str], list[int]]:
    """Process ids of all workers of a role, once they stand."""

    def all_of(name: str) -> list[int]:
        (workers,) = (role.workers for role in ROLES if role.name == name)
        while len(executor.pids(name)) < workers:
            assert dict(executor.map(name, "square", [{"x": 1, "sleep": 0.1}]))
        return executor.pids(name)

    return all_of


def numbers(n: int, **fields: Any) -> list[Payload]:
    return [{"x": x, **fields} for x in range(n)]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def answers(results: Iterator[tuple[int, Payload | BatchFailed]]) -> list[Payload]:
    """Results in order of their index, none of them a failure."""
    by_index = dict(results)
    failures = [r for r in by_index.values() if isinstance(r, BatchFailed)]
    assert not failures
    return [r for _, r in sorted(by_index.items()) if not isinstance(r, BatchFailed)]


def squares(results: Iterator[tuple[int, Payload | BatchFailed]]) -> list[int]:
    return [answer["square"] for answer in answers(results)]


def visits(log: Path) -> int:
    return len(log.read_text().splitlines())


def test_every_index_comes_back_once_with_its_own_result(executor: RayExecutor) -> None:
    results = list(executor.map("reward", "square", numbers(40)))
    assert Counter(index for index, _ in results) == Counter(range(40))
    assert squares(iter(results)) == [x**2 for x in range(40)]


def test_no_batches_no_results(executor: RayExecutor) -> None:
    assert list(executor.map("reward", "square", [])) == []


def test_the_same_results_as_the_local_executor(executor: RayExecutor) -> None:
    batches = [{"array": np.arange(5.0) * k} for k in range(6)]
    local = answers(LocalExecutor([role("reward")]).map("reward", "writeable", batches))
    remote = answers(executor.map("reward", "writeable", batches))
    for here, there in zip(local, remote, strict=True):
        np.testing.assert_array_equal(here["array"], there["array"])


def test_results_come_as_they_finish(
    executor: RayExecutor, pids: Callable[[str], list[int]]
) -> None:
    assert len(pids("reward")) == 2
    batches = [{"x": 0, "sleep": 2.0}, {"x": 1}, {"x": 2}]
    order = [index for index, _ in executor.map("reward", "square", batches)]
    assert order == [1, 2, 0]


def test_all_workers_take_part(executor: RayExecutor, pids: Callable[[str], list[int]]) -> None:
    expected = set(pids("reward"))
    results = answers(executor.map("reward", "square", numbers(8, sleep=0.1)))
    assert {answer["pid"] for answer in results} == expected


def test_in_flight_work_is_bounded_while_the_consumer_rests(
    executor: RayExecutor, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    results = executor.map("reward", "note", numbers(20, file=str(log), sleep=0.01))
    next(results)
    time.sleep(1.0)
    # One was yielded, one may have finished with it, and each worker was given two more.
    assert visits(log) <= 6
    assert len(list(results)) == 19


def test_maps_of_several_threads_on_one_role_each_get_their_own_results(
    executor: RayExecutor,
) -> None:
    def of(start: int) -> list[int]:
        batches = [{"x": start + k, "sleep": 0.01} for k in range(20)]
        return squares(executor.map("reward", "square", batches))

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(of, [0, 100, 200, 300]))
    assert results == [[(start + k) ** 2 for k in range(20)] for start in (0, 100, 200, 300)]


def test_a_map_goes_on_while_the_same_thread_takes_the_results_of_another(
    executor: RayExecutor,
) -> None:
    first = executor.map("reward", "square", numbers(4))
    second = executor.map("reward", "square", numbers(3))
    assert squares(second) == [0, 1, 4]
    assert squares(first) == [0, 1, 4, 9]


def test_what_is_urgent_overtakes_what_waits(
    executor: RayExecutor, pids: Callable[[str], list[int]], tmp_path: Path
) -> None:
    assert len(pids("reward")) == 2
    log = tmp_path / "log"
    later = executor.map(
        "reward",
        "note",
        [{"x": x, "file": str(log), "sleep": 0.3} for x in range(4)],
        priority=2,
    )
    assert eventually(lambda: log.exists() and visits(log) == 2)
    urgent = [{"x": 100 + x, "file": str(log), "sleep": 0.0} for x in range(3)]
    assert len(answers(executor.map("reward", "note", urgent, priority=1))) == 3
    assert len(answers(later)) == 4
    began = [int(line.split()[2]) for line in log.read_text().splitlines()]
    # At most one batch was queued on each of the two workers before the urgent ones were known.
    assert max(began.index(x) for x in (100, 101, 102)) <= 6


def test_slow_batches_are_not_queued_so_the_urgent_is_next(
    executor: RayExecutor,
    pids: Callable[[str], list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "QUEUE_BELOW_S", 0.1)
    assert len(pids("reward")) == 2
    log = tmp_path / "log"
    batches = [{"x": x, "file": str(log), "sleep": 0.5} for x in range(6)]
    assert len(answers(executor.map("reward", "note", batches[:2]))) == 2  # the pace is known now
    later = executor.map("reward", "note", batches, priority=2)
    assert eventually(lambda: visits(log) == 4)
    urgent = executor.map("reward", "note", [{**batches[0], "x": 100}], priority=1)
    assert len(answers(urgent)) == 1
    assert len(answers(later)) == 6
    began = [line.split()[2] for line in log.read_text().splitlines()]
    assert began.index("100") <= 5


def test_nothing_waits_behind_a_slow_batch_while_the_other_worker_is_free() -> None:
    with RayExecutor([role("lab")], ExecutionSettings(backend="ray")) as running:
        assert eventually(lambda: len(running.pids("lab")) == 2)
        batches = [{"x": 0, "sleep": 4.0}, *({"x": x, "sleep": 0.1} for x in range(1, 12))]
        assert [index for index, _ in running.map("lab", "square", batches)][-1] == 0


def test_weights_are_those_published_when_the_map_was_asked_for(executor: RayExecutor) -> None:
    executor.publish("reward", {"w": np.ones(3)}, version=11)
    earlier = executor.map("reward", "version", [{}] * 8)
    executor.publish("reward", {"w": np.full(3, 2.0)}, version=12)
    later = executor.map("reward", "version", [{}] * 8)
    assert {(a["version"], a["sum"]) for a in answers(later)} == {(12, 6.0)}
    assert {(a["version"], a["sum"]) for a in answers(earlier)} == {(11, 3.0)}


def test_cancelling_reaches_whoever_waits_and_the_workers_go_on(executor: RayExecutor) -> None:
    def wait_for(start: int) -> str:
        with pytest.raises(MapCancelled):
            list(executor.map("reward", "square", numbers(6, sleep=30.0), priority=start))
        return "cancelled"

    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(wait_for, k) for k in range(2)]
        while not all(future.done() for future in waiting):
            executor.cancel()
            time.sleep(0.1)
    assert squares(executor.map("reward", "square", numbers(4))) == [0, 1, 4, 9]


def test_closing_ends_the_wait_for_results() -> None:
    running = RayExecutor([role("lab", workers=1)], ExecutionSettings(backend="ray"))
    results = running.map("lab", "square", numbers(3, sleep=30.0))
    threading.Timer(0.5, running.close).start()
    with pytest.raises(MapCancelled):
        next(results)


def test_time_spent_at_work_is_booked_by_verb(executor: RayExecutor) -> None:
    before = executor.busy_s().get("square", 0.0)
    answers(executor.map("reward", "square", numbers(4, sleep=0.25)))
    assert executor.busy_s()["square"] - before == pytest.approx(1.0, abs=0.3)


def test_workers_come_while_batches_wait_and_go_when_there_is_nothing_to_do() -> None:
    elastic = role("lab", workers=3, least_workers=1, idle_release_s=0.5)
    with RayExecutor([elastic], ExecutionSettings(backend="ray")) as running:
        assert len(running.pids("lab")) == 1
        results = answers(running.map("lab", "square", numbers(40, sleep=0.4)))
        assert [answer["square"] for answer in results] == [x**2 for x in range(40)]
        assert len({answer["pid"] for answer in results}) == 3
        assert eventually(lambda: len(running.pids("lab")) == 1)
        assert squares(running.map("lab", "square", numbers(3))) == [0, 1, 4]


def test_no_more_workers_come_than_there_is_room_for() -> None:
    # The cluster has 2 CPUs, of which others hold some.
    elastic = role("lab", workers=9, least_workers=1, cpus=0.5, idle_release_s=60.0)
    with RayExecutor([elastic], ExecutionSettings(backend="ray")) as running:
        pids = {a["pid"] for a in answers(running.map("lab", "square", numbers(30, sleep=0.2)))}
        assert 1 <= len(pids) <= 4
        assert len(running.pids("lab")) <= 4


def test_others_go_on_where_a_worker_cannot_be_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"file": str(tmp_path / "log"), "standing": 2}
    shaky = role("lab", factory="faulty_workers:only_so_many", workers=2, settings=settings)
    with RayExecutor([shaky], ExecutionSettings(backend="ray")) as running:
        while len(running.pids("lab")) < 2:
            assert squares(running.map("lab", "square", numbers(1)))
        kill(running.pids("lab")[0])
        assert squares(running.map("lab", "square", numbers(8, sleep=0.2))) == [
            x**2 for x in range(8)
        ]
        assert eventually(lambda: "no licence left; going on with 1" in caplog.text)


def test_a_map_left_early_leaves_nothing_behind(executor: RayExecutor) -> None:
    abandoned = executor.map("reward", "square", numbers(6, sleep=0.5))
    next(abandoned)
    abandoned.close()  # type: ignore[attr-defined]
    results = answers(executor.map("reward", "square", [{"x": 100 + k} for k in range(6)]))
    assert [answer["x"] for answer in results] == list(range(100, 106))


def test_a_worker_killed_in_mid_batch_costs_nothing(
    executor: RayExecutor, pids: Callable[[str], list[int]]
) -> None:
    victim = pids("reward")[0]
    timer = threading.Timer(0.4, kill, [victim])
    timer.start()
    assert squares(executor.map("reward", "square", numbers(12, sleep=0.15))) == [
        x**2 for x in range(12)
    ]
    timer.join()
    assert victim not in executor.pids("reward")


def test_a_lone_worker_killed_in_mid_batch_costs_nothing(
    executor: RayExecutor, pids: Callable[[str], list[int]]
) -> None:
    (victim,) = pids("single")
    timer = threading.Timer(0.3, kill, [victim])
    timer.start()
    assert squares(executor.map("single", "square", numbers(3, sleep=0.5))) == [0, 1, 4]
    assert executor.pids("single") != [victim]


@pytest.mark.slow
def test_workers_killed_at_random_again_and_again(executor: RayExecutor) -> None:
    rng = np.random.default_rng(0)
    stop = threading.Event()
    killed: list[int] = []

    def harass() -> None:
        while len(killed) < 5 and not stop.wait(rng.uniform(0.1, 1.0)):
            standing = executor.pids("reward")
            if standing and standing[-1] not in killed:
                killed.append(standing[-1])
                kill(killed[-1])

    thread = threading.Thread(target=harass)
    thread.start()
    results = list(executor.map("reward", "square", numbers(60, sleep=0.15)))
    stop.set()
    thread.join()
    assert len(killed) >= 3
    assert Counter(index for index, _ in results) == Counter(range(60))
    good = {i: r["square"] for i, r in results if not isinstance(r, BatchFailed)}
    assert good == {i: i**2 for i in good}
    assert len(good) >= 57  # a batch is lost only if three processes die of it


def test_workers_killed_while_idle_blame_no_batch(
    executor: RayExecutor, pids: Callable[[str], list[int]]
) -> None:
    for pid in pids("strict"):
        kill(pid)
        assert eventually(lambda pid=pid: not psutil.pid_exists(pid))
    assert squares(executor.map("strict", "square", numbers(4))) == [0, 1, 4, 9]


def test_a_poisonous_batch_fails_alone(executor: RayExecutor, tmp_path: Path) -> None:
    batches = [
        {"x": x, "file": str(tmp_path / f"{x}"), "times": 99 if x == 2 else 0} for x in range(6)
    ]
    results = dict(executor.map("brisk", "die", batches))
    failure = results.pop(2)
    assert isinstance(failure, BatchFailed)
    assert failure.reason.startswith("worker died")
    assert failure.reason.endswith(", 2 times")
    assert "\n" not in failure.reason
    assert visits(tmp_path / "2") == 2
    assert [answer["x"] for answer in answers(iter(results.items()))] == [0, 1, 3, 4, 5]


def test_a_hanging_batch_is_given_to_another_process(
    executor: RayExecutor, pids: Callable[[str], list[int]], tmp_path: Path
) -> None:
    before = set(pids("brisk"))
    batches = [
        {"x": x, "file": str(tmp_path / f"{x}"), "times": 1 if x == 0 else 0} for x in range(4)
    ]
    results = answers(executor.map("brisk", "hang", batches))
    hung = before - set(executor.pids("brisk"))
    assert len(hung) == 1
    assert results[0]["pid"] not in hung
    assert eventually(lambda: not any(psutil.pid_exists(pid) for pid in hung))


def test_a_batch_that_always_hangs_fails_with_the_deadline_named(
    executor: RayExecutor, tmp_path: Path
) -> None:
    batch = {"x": 0, "file": str(tmp_path / "0"), "times": 99}
    ((_, failure),) = executor.map("strict", "hang", [batch])
    assert failure == BatchFailed("no answer within 2 s")


def test_a_stopped_process_is_replaced_and_ended(
    executor: RayExecutor, pids: Callable[[str], list[int]], tmp_path: Path
) -> None:
    before = set(pids("brisk"))
    ((_, answer),) = executor.map("brisk", "freeze", [{"x": 7, "file": str(tmp_path / "0")}])
    (frozen,) = before - set(executor.pids("brisk"))
    assert answer == {"x": 7}
    assert eventually(lambda: not psutil.pid_exists(frozen), seconds=40.0)


def test_results_that_waited_for_a_busy_driver_are_not_late(
    executor: RayExecutor, pids: Callable[[str], list[int]]
) -> None:
    assert len(pids("strict")) == 2
    results = executor.map("strict", "square", numbers(6))
    collected = [next(results)]
    time.sleep(2.5)
    assert squares(iter([*collected, *results])) == [0, 1, 4, 9, 16, 25]


def test_an_exception_is_tried_elsewhere_then_becomes_the_reason(
    executor: RayExecutor, pids: Callable[[str], list[int]], tmp_path: Path
) -> None:
    before = pids("reward")
    log = tmp_path / "log"
    batches = [{"x": x, "file": str(log), "bad": x == 1} for x in range(4)]
    results = dict(executor.map("reward", "refuse", batches))
    assert executor.pids("reward") == before
    assert results.pop(1) == BatchFailed("ValueError: cannot score 1, 3 times")
    assert sorted(results) == [0, 2, 3]
    tries = [line.split()[1] for line in log.read_text().splitlines() if line.startswith("1 ")]
    assert len(tries) == 3
    assert tries[0] != tries[1] != tries[2]


def test_a_verb_that_always_raises_ends_and_costs_no_process(
    executor: RayExecutor, pids: Callable[[str], list[int]], tmp_path: Path
) -> None:
    before = pids("reward")
    results = dict(executor.map("reward", "refuse", numbers(6, file=str(tmp_path / "log"))))
    assert len(results) == 6
    assert all(isinstance(failure, BatchFailed) for failure in results.values())
    assert executor.pids("reward") == before


def test_a_process_that_broke_down_is_replaced(
    executor: RayExecutor, pids: Callable[[str], list[int]], tmp_path: Path
) -> None:
    before = pids("reward")
    batches = numbers(8, file=str(tmp_path / "log"))
    results = answers(executor.map("reward", "break_down", batches))
    assert [answer["x"] for answer in results] == list(range(8))
    (broken,) = set(before) - set(executor.pids("reward"))
    assert broken not in {answer["pid"] for answer in results}


def test_a_lone_process_that_broke_down_is_replaced(executor: RayExecutor, tmp_path: Path) -> None:
    batches = numbers(3, file=str(tmp_path / "log"))
    results = answers(executor.map("single", "break_down", batches))
    assert [answer["x"] for answer in results] == [0, 1, 2]


def test_an_unknown_verb_is_named(executor: RayExecutor) -> None:
    ((_, failure),) = executor.map("reward", "sqare", [{"x": 1}])
    assert isinstance(failure, BatchFailed)
    assert "no attribute 'sqare'" in failure.reason


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("faulty_workers:broken", "FileNotFoundError: weights.safetensors: no such checkpoint"),
        ("no_such_module:make", "no module 'no_such_module'"),
    ],
)
def test_a_factory_that_raises_is_one_clear_line(factory: str, message: str) -> None:
    with pytest.raises(WorkerStartFailed, match=message) as caught:
        RayExecutor([role("lab", factory=factory, workers=1)], ExecutionSettings(backend="ray"))
    assert str(caught.value).startswith(f"lab worker: {factory} raised ")
    assert "\n" not in str(caught.value)


def test_a_factory_that_kills_its_process_is_not_tried_forever(tmp_path: Path) -> None:
    log = tmp_path / "log"
    doomed = role("lab", factory="faulty_workers:suicidal", workers=1, settings={"file": str(log)})
    with pytest.raises(WorkerStartFailed, match="3 in a row could not be started"):
        RayExecutor([doomed], ExecutionSettings(backend="ray"))
    assert visits(log) == 3


def test_a_death_while_starting_up_is_made_good(tmp_path: Path) -> None:
    settings = {"file": str(tmp_path / "log")}
    shaky = role("lab", factory="faulty_workers:dies_at_first", workers=1, settings=settings)
    with RayExecutor([shaky], ExecutionSettings(backend="ray")) as running:
        assert squares(running.map("lab", "square", numbers(3))) == [0, 1, 4]


def test_a_worker_that_finds_no_room_is_given_up(
    executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "START_DEADLINE_S", 0.7)
    pool = WorkerPool(role("late", cpus=2.0, workers=1), PoolMetrics("late"))
    with (
        closing(pool),
        pytest.raises(WorkerStartFailed, match=r"within 0\.7 s; free in the cluster: 1\.\d CPU"),
    ):
        pool.wait_until_built()


def test_published_weights_reach_workers_and_their_successors(
    executor: RayExecutor, pids: Callable[[str], list[int]]
) -> None:
    def seen() -> set[tuple[int, float]]:
        results = answers(executor.map("reward", "version", [{}] * 6))
        return {(answer["version"], answer["sum"]) for answer in results}

    executor.publish("reward", {"w": np.ones(3)}, version=1)
    assert seen() == {(1, 3.0)}
    for pid in pids("reward"):
        kill(pid)
    assert seen() == {(1, 3.0)}
    executor.publish("reward", {"w": np.full(3, 2.0)}, version=2)
    assert seen() == {(2, 6.0)}


def test_arrays_arrive_read_only_and_writing_into_them_is_a_failure_not_a_crash(
    executor: RayExecutor,
) -> None:
    large = np.zeros(200_000)
    executor.publish("single", {"w": large}, version=1)
    ((_, answer),) = executor.map("single", "writeable", [{"array": large}])
    assert not isinstance(answer, BatchFailed)
    assert (answer["payload"], answer["weights"]) == (False, False)
    ((_, failure),) = executor.map("single", "write_in_place", [{"array": large}])
    assert isinstance(failure, BatchFailed)
    assert "read-only" in failure.reason


def test_the_object_store_forgets_what_no_worker_needs(executor: RayExecutor) -> None:
    size = 8 * 10**6
    before, kept = store_used(), []
    for version in range(100, 112):
        executor.publish("single", {"w": np.zeros(size // 8)}, version)
        batch = {"array": np.full(size // 8, float(version))}
        kept += answers(executor.map("single", "writeable", [batch]))
    assert [answer["array"][0] for answer in kept] == [2.0 * v for v in range(100, 112)]
    # The weights of the last version, in a worker's hands, and a payload on its way at the most.
    assert eventually(lambda: store_used() - before <= 3 * size)


def test_closing_ends_the_workers_and_may_be_repeated() -> None:
    running = RayExecutor([role("lab", workers=1)], ExecutionSettings(backend="ray"))
    (pid,) = running.pids("lab")
    running.close()
    running.close()
    assert eventually(lambda: not psutil.pid_exists(pid))
