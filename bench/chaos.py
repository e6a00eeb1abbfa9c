"""Kills workers at random for a whole run, and measures how long the run takes to get over it.

A campaign with the toy generator and potential of the tests, slowed down to the durations of real
ones, runs twice: undisturbed, and with a worker of a role that is just then at work killed every
few seconds: generators, reward workers, processes of the learner, the replay buffer. Reported are
the time from a kill to the next finished batch of its role, the time until the role is at full
strength again, what the kills cost in all, and evaluations that were lost or paid for twice.

    python bench/chaos.py --loops 20 --pause 4 8
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from record import write_results

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "rl"))

import toy  # noqa: E402 - the tests' toy generator and potential

from ray_matdesign.config.schema import GeneratorSettings, RunConfig  # noqa: E402
from ray_matdesign.crystals.crystal import Crystal  # noqa: E402
from ray_matdesign.distributed.executor import RayExecutor  # noqa: E402
from ray_matdesign.distributed.replay import RemoteReplay  # noqa: E402
from ray_matdesign.potentials.protocol import Failed, SinglePoint  # noqa: E402
from ray_matdesign.rl.executor import BatchFailed, Payload  # noqa: E402
from ray_matdesign.rl.run import start_run  # noqa: E402
from ray_matdesign.rl.workers import roles_of  # noqa: E402

SAMPLING_S = 2.0
"""Of a batch, whatever its size."""
STEP_S = 0.02
"""Median of a step of relaxation of a batch; one in fifty takes seven times as long."""
BUFFER = "buffer"


class SlowPolicy(toy.ToyPolicy):
    """The toy generator at the pace of a diffusion model."""

    def sample(
        self, n: int, *, seed: int, condition: Mapping[str, float] | None = None
    ) -> list[Crystal]:
        """See the toy's."""
        time.sleep(SAMPLING_S)
        return super().sample(n, seed=seed, condition=condition)


class SlowSolid(toy.ToySolid):
    """The toy potential at the pace of a large one."""

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        """See the toy's."""
        time.sleep(STEP_S * float(np.random.default_rng().lognormal(0.0, 1.0)))
        return super().evaluate(crystals)


def policy(settings: GeneratorSettings) -> SlowPolicy:
    """Found by import path."""
    return SlowPolicy()


def solid() -> SlowSolid:
    """Found by import path."""
    return SlowSolid()


class Watch:
    """When batches finished, which roles are at work, and what happened to kills.

    Attributes:
        working: Maps open by role.
        recoveries: Seconds from a kill to the next finished batch, by role.
        replacements: Seconds from a kill to full strength, by role.
        kills: By role.
    """

    def __init__(self) -> None:
        self.working: Counter[str] = Counter()
        self.recoveries: dict[str, list[float]] = defaultdict(list)
        self.replacements: dict[str, list[float]] = defaultdict(list)
        self.kills: Counter[str] = Counter()
        self._open: dict[str, list[float]] = defaultdict(list)
        self._lock = threading.Lock()

    def killed(self, role: str) -> None:
        """A worker of a role was killed just now."""
        with self._lock:
            self.kills[role] += 1
            self._open[role].append(time.perf_counter())

    def finished(self, role: str) -> None:
        """A batch of a role came back."""
        now = time.perf_counter()
        with self._lock:
            self.recoveries[role] += [now - moment for moment in self._open.pop(role, [])]


class WatchedExecutor(RayExecutor):
    """Tells a watch what its roles do."""

    def __init__(self, config: RunConfig, watch: Watch) -> None:
        self.watch = watch
        super().__init__(roles_of(config), config.execution)

    def map(
        self, role: str, verb: str, batches: Sequence[Payload], *, priority: int = 0
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        """See :class:`RayExecutor`."""
        self.watch.working[role] += 1
        return self._watched(role, super().map(role, verb, batches, priority=priority))

    def _watched(
        self, role: str, results: Iterator[tuple[int, Payload | BatchFailed]]
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        try:
            for item in results:
                self.watch.finished(role)
                yield item
        finally:
            self.watch.working[role] -= 1


class WatchedReplay(RemoteReplay):
    """Tells a watch when the buffer answered."""

    def __init__(self, config: RunConfig, watch: Watch) -> None:
        self.watch = watch
        super().__init__(config.rl.replay)

    def _ask(self, method: str, *arguments: Any) -> Any:
        answer = super()._ask(method, *arguments)
        self.watch.finished(BUFFER)
        return answer


class Killer(threading.Thread):
    """Kills a worker of a role at work, or the buffer, every few seconds until stopped.

    Processes of the learner are left alone for as long as the first ones took to start.
    """

    def __init__(
        self,
        executor: WatchedExecutor,
        watch: Watch,
        pause_s: Sequence[float],
        patience_s: float,
        seed: int,
    ) -> None:
        super().__init__(daemon=True)
        self._executor, self._watch, self._pause_s = executor, watch, pause_s
        self._random, self._patience_s = random.Random(seed), patience_s
        self.enough = threading.Event()

    def run(self) -> None:
        """Until ``enough`` is set."""
        while not self.enough.wait(self._random.uniform(*self._pause_s)):
            victims = self._victims()
            if not victims:
                continue
            role = self._random.choice(sorted(victims))
            standing = len(victims[role])
            victim = self._random.choice(sorted(victims[role]))
            os.kill(victim, signal.SIGKILL)
            self._watch.killed(role)
            timing = threading.Thread(target=self._time, args=(role, standing, victim), daemon=True)
            timing.start()

    def _victims(self) -> dict[str, list[int]]:
        at_work = [role for role, open_maps in self._watch.working.items() if open_maps > 0]
        found = {role: self._standing(role) for role in [*at_work, BUFFER]}
        if "learner" in found:
            grown = time.time() - self._patience_s
            found["learner"] = [pid for pid in found["learner"] if _born(pid) < grown]
        return {role: pids for role, pids in found.items() if pids}

    def _standing(self, role: str) -> list[int]:
        kinds = {BUFFER: "_BufferHost", "learner": "_Rank"}
        if role in kinds:
            return [p.pid for p in _family() if f"ray::{kinds[role]}" in _title(p)]
        return [pid for pid in self._executor.pids(role) if psutil.pid_exists(pid)]

    def _time(self, role: str, standing: int, victim: int) -> None:
        start = time.perf_counter()
        # The victim is listed until its pool has heard of its death.
        while len({*self._standing(role)} - {victim}) < standing and not self.enough.is_set():
            time.sleep(0.02)
        if not self.enough.is_set():
            self._watch.replacements[role].append(time.perf_counter() - start)


def campaign(reference: Path, log: Path, loops: int) -> RunConfig:
    """Of two loops' worth of seconds each, with two of every worker."""
    ramp = {"kind": "target", "target": 18.0, "max_distance": 10.0}
    term = {"scorer": "toy:counted_density", "options": {"log": str(log)}, "transform": ramp}
    return toy.config(
        reference,
        **{
            "rl.loops": loops,
            "generator.name": "chaos:policy",
            "potential.name": "chaos:solid",
            "objective.terms": [term],
            "execution": {
                "backend": "ray",
                "generators": 2,
                "reward_workers": 4,
                "learners": 2,
                "cpus_per_worker": 0.25,
                "object_store_mib": 100,
                "batch_retries": 10,
            },
        },
    )


def measure(
    config: RunConfig, folder: Path, pause_s: Sequence[float] | None, seed: int
) -> tuple[float, Watch]:
    """Runs the campaign; with a pause, amid kills. Returns its seconds, and what was seen."""
    watch, begin = Watch(), time.perf_counter()
    with closing(WatchedExecutor(config, watch)) as executor:
        replay = WatchedReplay(config, watch)
        patience_s = time.perf_counter() - begin
        killer = Killer(executor, watch, pause_s or (0.0, 0.0), patience_s, seed)
        begin = time.perf_counter()
        if pause_s:
            killer.start()
        start_run(config, folder, executor, replay=replay)
        took = time.perf_counter() - begin
        killer.enough.set()
        replay.close()
    return took, watch


def paid(folder: Path) -> Counter[str]:
    """How often each result is in the ledgers and tables: every candidate's once, or never."""
    found: Counter[str] = Counter()
    for path in sorted((folder / "ledger").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            found.update(f"{entry['verb']} {key}" for key in entry["results"])
    return found


def same_outcome(ours: Path, theirs: Path) -> bool:
    """Whether two runs have the same candidates, rewards and policy."""
    import pandas as pd

    def candidates(folder: Path) -> pd.DataFrame:
        return pd.concat([pd.read_parquet(p) for p in sorted(folder.glob("candidates/*.parquet"))])

    last = sorted((theirs / "checkpoints").glob("loop-*"))[-1].name
    weights = Path("checkpoints") / last / "policy.safetensors"
    same_policy = (ours / weights).read_bytes() == (theirs / weights).read_bytes()
    return same_policy and candidates(ours).equals(candidates(theirs))


def figures(
    calm: float, chaos: float, watch: Watch, lost: int, repeated: int, again: int
) -> list[dict[str, Any]]:
    """One row a quantity; the undisturbed run is the baseline of the wall-clock."""

    def row(name: str, value: float, unit: str, baseline: float | None = None) -> dict[str, Any]:
        return {
            "name": name,
            "value": round(value, 3),
            "unit": unit,
            "baseline": None if baseline is None else round(baseline, 3),
            "ratio": None if baseline is None else round(value / baseline, 2),
        }

    rows = [row("wall-clock with kills", chaos, "s", calm)]
    rows.append(row("kills", watch.kills.total(), "kills"))
    for what, times in (
        ("from a kill to the next finished batch", watch.recoveries),
        ("from a kill to full strength", watch.replacements),
    ):
        for role in ("all roles", *sorted(times)):
            every = [s for r, found in times.items() for s in found if role in (r, "all roles")]
            if every:
                p99 = float(np.quantile(every, 0.99))
                rows.append(row(f"{what}, {role}, median", statistics.median(every), "s"))
                rows.append(row(f"{what}, {role}, p99 of {len(every)}", p99, "s"))
    rows.append(row("evaluations lost", lost, "evaluations"))
    rows.append(row("evaluations recorded twice", repeated, "evaluations"))
    rows.append(row("evaluations computed again as their worker died", again, "evaluations"))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs both and writes ``results/chaos.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loops", type=int, default=20)
    parser.add_argument("--pause", type=float, nargs=2, default=(4.0, 8.0), metavar="S")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        toy.write_reference(folder / "metals", toy.solid())
        runs = {}
        for name, pause in (("calm", None), ("chaos", options.pause)):
            config = campaign(folder / "metals", folder / f"{name}.log", options.loops)
            runs[name] = measure(config, folder / name, pause, options.seed)
        calm, chaos = paid(folder / "calm"), paid(folder / "chaos")
        lost = (calm - chaos).total()
        repeated = sum(count - 1 for count in chaos.values())
        logs = {name: (folder / f"{name}.log").read_text().splitlines() for name in runs}
        if not same_outcome(folder / "chaos", folder / "calm"):
            raise RuntimeError("the run amid kills came to another end than the undisturbed one")
    took, watch = runs["chaos"]
    again = len(logs["chaos"]) - len(logs["calm"])
    rows = figures(runs["calm"][0], took, watch, lost, repeated, again)
    for row in rows:
        print(f"{row['name']}: {row['value']} {row['unit']}")
    print(write_results("chaos", rows))


def _family() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _born(pid: int) -> float:
    """When a process started, seconds since the epoch; now, if it has ended."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return time.time()


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


if __name__ == "__main__":
    main()
