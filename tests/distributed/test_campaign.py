"""Whole campaigns on Ray: processes are killed for real, and the outcome does not change."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import toy
from processes import eventually

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.codec import decode_crystals
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.distributed.replay import RemoteReplay
from ray_matdesign.rl.executor import Executor
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of

pytestmark = pytest.mark.ray

LOOPS = 3


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("reference") / "metals"
    toy.write_reference(folder, toy.solid())
    return folder


def campaign(reference: Path, folder: Path, **changes: Any) -> RunConfig:
    """A toy campaign that is slow enough to be killed at work, and logs what it does."""
    folder.mkdir(parents=True, exist_ok=True)
    ramp = {"kind": "target", "target": 18.0, "max_distance": 10.0}
    options = {"log": str(folder / "evaluations")}
    term = {"scorer": "toy:counted_density", "options": options, "transform": ramp}
    settings: dict[str, Any] = {
        "rl.loops": LOOPS,
        "generator.name": "slow_toy:load",
        "generator.options": {"log": str(folder / "sampling"), "delay": 0.3},
        "potential.name": "slow_toy:solid",
        "potential.options": {"log": str(folder / "relaxing"), "delay": 0.02},
        "objective.terms": [term],
        "execution.backend": "ray",
        "execution.cpus_per_worker": 0.25,
        "execution.object_store_mib": 80,
    }
    return toy.config(reference, **{**settings, **changes})


def run_on_ray(config: RunConfig, folder: Path, *, resume: bool = False) -> None:
    with RayExecutor(roles_of(config), config.execution) as executor:
        replay = RemoteReplay(config.rl.replay)
        start_run(config, folder, executor, replay=replay, resume=resume)
        replay.close()


def figures(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timed = ("wall_s", "timings", "began", "waits", "busy")
    return [{k: v for k, v in row.items() if k not in timed} for row in rows]


def candidates(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(p) for p in sorted((folder / "candidates").glob("*"))])


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(0, id="in-turn", marks=pytest.mark.slow),
        pytest.param(1, id="overlapping"),  # has all that the other has to survive, and more
    ],
)
def staleness(request: pytest.FixtureRequest) -> int:
    """Loops sampled ahead."""
    return int(request.param)


@pytest.fixture(scope="module")
def undisturbed(reference: Path, staleness: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same campaign in one process, where nothing happens to anyone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    config = campaign(reference, folder / "logs", **{"rl.staleness": staleness})
    executor: Executor = LocalExecutor(roles_of(config))
    start_run(config, folder / "run", executor)
    return folder


def kill_while_at_work(log: Path, at: int) -> tuple[threading.Thread, list[int]]:
    """Kills the process that writes line ``at`` of a log, in the midst of what it announced."""
    killed: list[int] = []

    def watch() -> None:
        if eventually(lambda: len(lines(log)) > at, seconds=300.0):
            killed.append(int(lines(log)[-1]))
            os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread, killed


def test_workers_killed_in_mid_run_change_nothing(
    local_ray: None,
    reference: Path,
    staleness: int,
    undisturbed: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = campaign(reference, tmp_path / "logs", **{"rl.staleness": staleness})
    killers = {}
    for role, log in (("generator", "sampling"), ("reward", "relaxing")):
        calls_a_loop = len(lines(undisturbed / "logs" / log)) / LOOPS
        killers[role] = kill_while_at_work(tmp_path / "logs" / log, at=int(1.2 * calls_a_loop))
    with caplog.at_level(logging.WARNING):
        run_on_ray(config, tmp_path / "run")
    for role, (thread, killed) in killers.items():
        thread.join()
        assert f"{role} worker {killed[0]}: worker died" in caplog.text
    assert figures(tmp_path / "run") == figures(undisturbed / "run")
    pd.testing.assert_frame_equal(
        candidates(tmp_path / "run"), candidates(undisturbed / "run"), check_exact=True
    )


def test_a_killed_driver_is_resumed_without_paying_twice(
    local_ray: None, reference: Path, staleness: int, undisturbed: Path, tmp_path: Path
) -> None:
    config = campaign(reference, tmp_path / "logs", **{"rl.staleness": staleness})
    ledger = tmp_path / "run" / "ledger" / f"loop-{2:05d}.jsonl"
    driver = start_driver(config, tmp_path)
    try:
        assert eventually(
            lambda: '"score"' in text(ledger) or driver.poll() is not None, seconds=500.0
        )
        driver.send_signal(signal.SIGKILL)
        _, stderr = driver.communicate(timeout=60.0)
    finally:
        driver.kill()
    assert driver.returncode == -signal.SIGKILL, stderr
    paid = paid_for(ledger)
    assert paid
    assert settled(lambda: len(lines(tmp_path / "logs" / "evaluations")))

    run_on_ray(config, tmp_path / "run", resume=True)

    assert figures(tmp_path / "run") == figures(undisturbed / "run")
    evaluations = Counter(lines(tmp_path / "logs" / "evaluations"))
    table = candidates(tmp_path / "run").set_index("key")
    for key in paid:
        (relaxed,) = decode_crystals(table.loc[key, "relaxed"])
        assert evaluations[f"{relaxed.formula} {relaxed.volume:.9f}"] == 1
    # What was under way when the driver died, and nobody was left to take the result, is repeated:
    # at most two batches of four.
    once = Counter(lines(undisturbed / "logs" / "evaluations"))
    assert set(evaluations) == set(once)
    assert evaluations.total() - once.total() <= 8


def start_driver(config: RunConfig, folder: Path) -> subprocess.Popen[str]:
    (folder / "config.json").write_text(config.model_dump_json())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("RAY_ADDRESS", None)
    return subprocess.Popen(
        [sys.executable, __file__, str(folder / "config.json"), str(folder / "run")],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def paid_for(ledger: Path) -> list[str]:
    whole = [line for line in text(ledger).splitlines(keepends=True) if line.endswith("\n")]
    entries = [json.loads(line) for line in whole]
    return [key for entry in entries if entry["verb"] == "score" for key in entry["results"]]


def settled(measure: Callable[[], int], seconds: float = 3.0) -> bool:
    """Whether a number stops changing: the dead driver's workers are gone."""
    last = -1
    while last != measure():
        last = measure()
        eventually(lambda last=last: measure() != last, seconds)
    return True


if __name__ == "__main__":
    run_on_ray(RunConfig.model_validate_json(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
