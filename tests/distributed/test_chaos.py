"""Every second or two something is killed; the run ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import toy
from processes import ray_processes

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.distributed.replay import RemoteReplay
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

LOOPS = 3
HOSTS = {"rank": "_Rank", "buffer": "_BufferHost"}
"""Processes that are no workers of the pool: what is killed, and the actor in it."""
RETRIES = 8
"""More than enough for a kill every second or two; a batch takes a fraction of one."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("reference") / "metals"
    toy.write_reference(folder, toy.solid())
    return folder


def campaign(reference: Path, log: Path, **changes: Any) -> RunConfig:
    log.mkdir(parents=True, exist_ok=True)
    return toy.config(
        reference,
        **{
            "rl.loops": LOOPS,
            "generator.name": "slow_toy:load",
            "generator.options": {"log": str(log / "sampling"), "delay": 0.3},
            "potential.name": "slow_toy:solid",
            "potential.options": {"log": str(log / "relaxing"), "delay": 0.02},
            "execution": {
                "backend": "ray",
                "cpus_per_worker": 0.25,
                "object_store_mib": 80,
                "batch_retries": RETRIES,
                "learners": 2,
            },
            **changes,
        },
    )


def run_on_ray(config: RunConfig, folder: Path, killer: Killer | None = None) -> None:
    start = time.monotonic()
    with RayExecutor(roles_of(config), config.execution) as executor:
        replay = RemoteReplay(config.rl.replay)
        if killer is None:
            start_run(config, folder, executor, replay=replay)
        else:
            with killer.at_work(executor, patience_s=time.monotonic() - start):
                start_run(config, folder, executor, replay=replay)
        replay.close()


class Killer:
    """Kills a worker or the buffer every so often, at random, until stopped.

    Processes that a killed one is replaced by are left alone for twice as long as the first ones
    took to start, or on a busy machine none would ever come to work.

    Attributes:
        killed: Kinds of processes, as often as they were killed.
    """

    def __init__(self, seed: int, pause_s: tuple[float, float]) -> None:
        self.killed: Counter[str] = Counter()
        self._random, self._pause_s = random.Random(seed), pause_s
        self._enough = threading.Event()

    @contextmanager
    def at_work(self, executor: RayExecutor, patience_s: float) -> Iterator[None]:
        thread = threading.Thread(target=self._kill, args=(executor, patience_s))
        thread.start()
        try:
            yield
        finally:
            self._enough.set()
            thread.join()

    def _kill(self, executor: RayExecutor, patience_s: float) -> None:
        spared_until = {pid: 0.0 for _, pid in living(executor)}
        while not self._enough.wait(self._random.uniform(*self._pause_s)):
            now, victims = time.monotonic(), defaultdict(list)
            for kind, pid in living(executor):
                if spared_until.setdefault(pid, now + 2.0 * patience_s) <= now:
                    victims[kind].append(pid)
            if not victims:
                continue
            # First a kind, then one of it: there are many workers and one buffer.
            kind = self._random.choice(sorted(victims))
            with suppress(ProcessLookupError):
                os.kill(self._random.choice(sorted(victims[kind])), signal.SIGKILL)
                self.killed[kind] += 1


def living(executor: RayExecutor) -> list[tuple[str, int]]:
    """What there is to kill: kinds of processes, and their numbers."""
    workers = {role: executor.pids(role) for role in ("generator", "reward", "learner")}
    hosts = {kind: [p.pid for p in actors(name)] for kind, name in HOSTS.items()}
    return [(kind, pid) for kind, pids in (workers | hosts).items() for pid in pids]


def actors(kind: str) -> list[psutil.Process]:
    """Processes of this process's Ray in which a kind of actor lives."""
    found = []
    for process in ray_processes():
        with suppress(psutil.Error):
            if f"ray::{kind}" in " ".join(process.cmdline()):
                found.append(process)
    return found


def outcome(folder: Path) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    tables = [pd.read_parquet(p) for p in sorted((folder / "candidates").glob("*.parquet"))]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    drop = ("wall_s", "timings")
    return pd.concat(tables), [{k: v for k, v in r.items() if k not in drop} for r in rows]


def paid(folder: Path) -> Counter[str]:
    """How often each evaluation of a candidate is in the ledgers."""
    found: Counter[str] = Counter()
    for path in (folder / "ledger").glob("*.jsonl"):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            found.update(f"{entry['verb']} {key}" for key in entry["results"])
    return found


@pytest.mark.parametrize("seed", [1])
def test_random_kills_change_nothing(
    local_ray: None, reference: Path, tmp_path: Path, seed: int
) -> None:
    config = campaign(reference, tmp_path / "calm-logs")
    run_on_ray(config, tmp_path / "calm")
    config = campaign(reference, tmp_path / "chaos-logs")
    killer = Killer(seed, pause_s=(1.0, 2.0))
    run_on_ray(config, tmp_path / "chaos", killer)
    assert killer.killed.total() >= 3, "the run was over before anything was killed"
    ours, theirs = outcome(tmp_path / "chaos"), outcome(tmp_path / "calm")
    pd.testing.assert_frame_equal(ours[0], theirs[0], check_exact=True)
    assert ours[1] == theirs[1]
    assert set(paid(tmp_path / "chaos").values()) == {1}
    assert paid(tmp_path / "chaos") == paid(tmp_path / "calm")
    for name in ("policy.safetensors", "state.json"):
        last = f"checkpoints/loop-{LOOPS:05d}/{name}"
        assert (tmp_path / "chaos" / last).read_bytes() == (tmp_path / "calm" / last).read_bytes()


def test_a_crystal_that_never_ends_is_cut_off_tried_elsewhere_and_given_up(
    local_ray: None, reference: Path, tmp_path: Path
) -> None:
    calm = campaign(reference, tmp_path / "calm-logs")
    run_local = LocalExecutor(roles_of(calm.model_copy(update={"execution": _local(calm)})))
    start_run(calm, tmp_path / "calm", run_local)
    table, _ = outcome(tmp_path / "calm")
    victim = table.loc[table["loop"].eq(1) & table["reward"].notna(), "formula"].iloc[0]
    ramp = {"kind": "target", "target": 18.0, "max_distance": 10.0}
    options = {"formula": victim, "log": str(tmp_path / "visits")}
    config = campaign(
        reference,
        tmp_path / "logs",
        **{
            "rl.loops": 1,
            "objective.terms": [
                {"scorer": "slow_toy:sleepless", "options": options, "transform": ramp}
            ],
        },
    )
    execution = config.execution.model_copy(
        update={"batch_deadline_s": 6.0, "batch_retries": 1, "learners": 1}
    )
    config = config.model_copy(update={"execution": execution})
    run_on_ray(config, tmp_path / "run")
    ours, _ = outcome(tmp_path / "run")
    lost = ours[ours["formula"].eq(victim) & ours["outcome"].eq("evaluation_failed")]
    assert len(lost) >= 1
    assert lost["reason"].str.contains("no answer within 6 s, 2 times").all()
    others = ours[~ours["formula"].eq(victim)].set_index("key")
    known = table[table["loop"].eq(1)].set_index("key").loc[others.index]
    pd.testing.assert_series_equal(others["reward"], known["reward"], check_exact=True)
    visits = [line.split() for line in (tmp_path / "visits").read_text().splitlines()]
    # Twice in company, then twice alone, each time in another process.
    assert len(visits) % 4 == 0
    assert len({pid for _, pid in visits}) == len(visits)


def _local(config: RunConfig) -> Any:
    return config.execution.model_copy(update={"backend": "local", "learners": 1})
