"""How busy a pool keeps its reward workers as they become many, and what its driver costs.

The workers are real: Ray actors in processes of their own, under the pool that runs use. What they
are asked is not: they sleep, for times drawn from a log-normal distribution, so that hundreds fit
on one machine. Every worker gets the same number of batches on average, each of 16 crystals.

Efficiency is time slept over worker time, up to the moment when the last batch is begun: after that
only stragglers are left, which no pool can help. Beside it stands the whole of the map against a
greedy schedule of the same durations that costs nothing.

    python bench/scale.py --workers 1,2,4,8,16,32,64,128,256
"""

from __future__ import annotations

import argparse
import heapq
import os
import pickle
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import figure, write_results

from ray_matdesign.config.loading import load_run_config
from ray_matdesign.config.schema import ExecutionSettings
from ray_matdesign.crystals.codec import encode_crystals
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.rl.executor import BatchFailed, Executor, Payload, Role
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of

NAME = "reward"
BATCH = 16
"""Crystals a batch, of 12 atoms each."""
SPREAD = 1.0
"""Of the logarithm of a duration: one in a hundred takes ten times the median."""
PARAMETERS = 47_000_000
"""Of the policy that is broadcast, 4 bytes each: MatterGen has about as many."""
REPLICAS = 8
AT_ONCE = 16
"""Workers that start at a time."""
LEARNT = ("initial", "finetune")
"""Verbs whose messages hold weights."""
INLINE_BYTES = 100 * 1024
"""Ray sends smaller messages along with the call; larger ones go through the object store."""


def pool_of(workers: int, store_mib: int = 256) -> RayExecutor:
    """An executor with so many sleepers, all of them standing, on a Ray of its own.

    They come up a few at a time, and whoever stands waits in a batch until all do: an idle process
    of Ray looks for signals a hundred times a second, which costs half a per cent of a core, and
    hundreds of them would leave a small machine nothing to start the others with.
    """
    share = len(os.sched_getaffinity(0)) / workers  # a number in Ray's ledger; sleeping needs none
    role = Role(
        NAME,
        "sleepers:sleeper",
        workers=workers,
        cpus=share,
        deadline_s=1800.0,
        least_workers=min(workers, AT_ONCE),
        idle_release_s=3600.0,
    )
    executor = RayExecutor([role], ExecutionSettings(backend="ray", object_store_mib=store_mib))
    with tempfile.TemporaryDirectory() as folder:
        gate = Path(folder) / "open"
        waiting: list[Iterator[tuple[int, Payload | BatchFailed]]] = []
        for standing in range(0, workers, AT_ONCE):
            more = min(AT_ONCE, workers - standing)
            waiting.append(executor.map(NAME, "wait", [{"gate": str(gate)}] * more))
            while len(executor.pids(NAME)) < standing + more:
                time.sleep(0.5)
        gate.touch()
        answers = [answer for batches in waiting for _, answer in batches]
    if failed := [answer.reason for answer in answers if isinstance(answer, BatchFailed)]:
        raise RuntimeError(f"of {workers} workers {len(failed)} did not come up: {failed[0]}")
    return executor


def crystals(rng: np.random.Generator) -> bytes:
    """A batch as it is sent."""
    drawn = (
        Crystal(5.0 * np.eye(3), rng.random((12, 3)), rng.integers(1, 84, 12)) for _ in range(BATCH)
    )
    return encode_crystals(list(drawn))


def scaling(workers: int, batches: int, median_s: float) -> dict[str, float]:
    """Runs one map on so many workers.

    Args:
        workers: How many.
        batches: For each of them, on average.
        median_s: Of a batch.

    Returns:
        ``efficiency``, and the ``greedy`` schedule's length over that of the map.
    """
    rng = np.random.default_rng(0)
    seconds = median_s * np.exp(SPREAD * rng.standard_normal(workers * batches))
    payload = crystals(rng)
    begun = np.zeros_like(seconds)
    with closing(pool_of(workers)) as executor:
        begin = time.time()
        asked = [{"seconds": float(each), "crystals": payload} for each in seconds]
        for index, answer in executor.map(NAME, "relax", asked):
            if isinstance(answer, BatchFailed):
                raise RuntimeError(f"batch {index}: {answer.reason}")
            begun[index] = answer["begun"] - begin
        took = time.time() - begin
    last = float(begun.max())
    slept = np.minimum(seconds, last - begun)
    return {
        "efficiency": float(slept.sum()) / (workers * last),
        "greedy": greedy(seconds.tolist(), workers) / took,
    }


def greedy(seconds: Sequence[float], workers: int) -> float:
    """When the last batch ends if each goes, in order and at no cost, to who is free first."""
    free = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def overhead(executor: Executor, batches: int) -> float:
    """Seconds a crystal of a map whose batches take no time."""
    asked = [{"seconds": 0.0, "crystals": crystals(np.random.default_rng(0))}] * batches
    begin = time.perf_counter()
    for index, answer in executor.map(NAME, "relax", asked):
        if isinstance(answer, BatchFailed):
            raise RuntimeError(f"batch {index}: {answer.reason}")
    return (time.perf_counter() - begin) / (batches * BATCH)


def overheads(batches: int) -> tuple[float, float]:
    """That of the pool with as many workers as cores, and of one process."""
    with closing(pool_of(len(os.sched_getaffinity(0)))) as executor:
        overhead(executor, 50)  # warm
        pooled = overhead(executor, batches)
    with closing(LocalExecutor([Role(NAME, "sleepers:sleeper", {})])) as alone:
        return pooled, overhead(alone, batches)


def broadcast(repeats: int) -> tuple[float, float]:
    """Seconds until all replicas have new weights: published once, and sent with every batch."""
    weights: Mapping[str, NDArray[np.generic]]
    sizes = np.full(100, PARAMETERS // 100)
    published, sent = [], []
    with closing(pool_of(REPLICAS, store_mib=3 * 1024)) as executor:
        for version in range(1, repeats + 1):
            weights = {str(i): np.full(n, version, np.float32) for i, n in enumerate(sizes)}
            begin = time.perf_counter()
            executor.publish(NAME, weights, version)
            # Long enough for no replica to take two.
            check(executor.map(NAME, "version", [{"seconds": 1.0}] * REPLICAS), version, sizes)
            published.append(time.perf_counter() - begin - 1.0)
            begin = time.perf_counter()
            asked = {"seconds": 1.0, "weights": weights, "version": -version}
            check(executor.map(NAME, "version", [asked] * REPLICAS), -version, sizes)
            sent.append(time.perf_counter() - begin - 1.0)
    return float(np.median(published)), float(np.median(sent))


def check(
    answers: Iterator[tuple[int, Payload | BatchFailed]], version: int, sizes: NDArray[np.int_]
) -> None:
    """Raises where not every replica has weights of this version and these sizes."""
    told = {answer["pid"]: answer for _, answer in answers if isinstance(answer, Mapping)}
    given = {(answer["version"], answer["size"]) for answer in told.values()}
    if len(told) != REPLICAS or given != {(version, sizes.sum())}:
        raise RuntimeError(f"not all replicas have weights of version {version}: {told}")


class Weighed:
    """An executor that weighs what passes to workers and back.

    Args:
        inner: Does the work.
    """

    concurrent = False

    def __init__(self, inner: LocalExecutor) -> None:
        self._inner = inner
        self.messages: Counter[str] = Counter()
        self.large: Counter[str] = Counter()
        self.weights: dict[int, int] = {}
        self.busy_s = inner.busy_s
        self.cancel = inner.cancel
        self.close = inner.close

    def map(
        self, role: str, verb: str, batches: Sequence[Payload], *, priority: int = 0
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        """As the inner one."""
        for batch in batches:
            self._weigh(verb, batch)
        for index, answer in self._inner.map(role, verb, batches, priority=priority):
            self._weigh(verb, answer)
            yield index, answer

    def publish(self, role: str, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """As the inner one; weights of one version are stored once."""
        self.weights[version] = sum(array.nbytes for array in weights.values())
        self._inner.publish(role, weights, version)

    def _weigh(self, verb: str, message: Any) -> None:
        weight = len(pickle.dumps(message, protocol=5))
        self.messages[verb] += weight
        if weight > INLINE_BYTES:
            self.large[verb] += weight


def traffic(loops: int) -> dict[str, float]:
    """Bytes a sampled candidate of `density-demo`, by what they are."""
    config = load_run_config("density-demo", [f"rl.loops={loops}"])
    with tempfile.TemporaryDirectory() as folder:
        executor = Weighed(LocalExecutor(roles_of(config)))
        with closing(executor):
            start_run(config, Path(folder) / "run", executor)
    candidates = loops * config.rl.samples
    learnt = sum(executor.messages[verb] for verb in LEARNT)
    return {
        "crystals and results": (executor.messages.total() - learnt) / candidates,
        "of these through the object store": sum(
            weight for verb, weight in executor.large.items() if verb not in LEARNT
        )
        / candidates,
        "to the learner and back": learnt / candidates,
        "weights published": sum(executor.weights.values()) / candidates,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures everything and writes ``results/scale.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="1,2,4,8,16,32,64,128,256")
    parser.add_argument("--batches", type=int, default=20, help="for each worker, on average")
    parser.add_argument("--median", type=float, default=2.0, help="seconds of a batch")
    parser.add_argument("--loops", type=int, default=3, help="of the run whose traffic is weighed")
    options = parser.parse_args(arguments)
    rows = [
        figure(f"bytes a candidate, {name}", weight, "B")
        for name, weight in traffic(options.loops).items()
    ]
    pooled, alone = overheads(500)
    rows.append(figure("overhead a candidate", 1e3 * pooled, "ms", 1e3 * alone, alone / pooled))
    published, sent = broadcast(3)
    name = f"weights of {PARAMETERS / 1e6:.0f} million numbers to {REPLICAS} replicas"
    rows.append(figure(name, published, "s", sent, sent / published))
    for workers in map(int, options.workers.split(",")):
        found = scaling(workers, options.batches, options.median)
        rows += [
            figure(f"efficiency, {workers} workers", found["efficiency"], "1"),
            figure(f"greedy schedule over ours, {workers} workers", found["greedy"], "1"),
        ]
    print(write_results("scale", rows))


if __name__ == "__main__":
    main()
