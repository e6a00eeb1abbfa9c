"""One role's workers: kept alive, kept busy, and every batch answered exactly once."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from ray_matdesign.distributed.host import Built, Raised, WorkerHost, raised
from ray_matdesign.distributed.metrics import PoolMetrics
from ray_matdesign.rl.executor import BatchFailed, Payload, Role

logger = logging.getLogger(__name__)

START_DEADLINE_S = 300.0
"""Longest a worker may take to get its resources, import and build its object."""

_START_ATTEMPTS = 3
"""Workers lost one after another while they were being built, before the pool gives up."""

_PING_DEADLINE_S = 10.0
"""An idle worker that does not answer for this long is lost."""

_CALLS_PER_WORKER = 2
"""One batch running, one queued behind it to hide the driver's latency."""


class WorkerStartFailed(RuntimeError):
    """A role's workers cannot be built; trying again would not help."""


@dataclass(eq=False)
class _Batch:
    index: int
    payload: Payload
    attempts: int = 0
    raised_in: _Worker | None = None
    """The process in which it raised last, and should not be tried again."""


@dataclass(eq=False)
class _Worker:
    handle: Any
    building: ray.ObjectRef[Any] | None
    clock: float
    """When it started to build, or its oldest call could begin; monotonic seconds."""
    pid: int = 0
    calls: deque[tuple[ray.ObjectRef[Any], _Batch]] = field(default_factory=deque)

    @property
    def awaited(self) -> ray.ObjectRef[Any] | None:
        """What it will finish next."""
        if self.building is not None:
            return self.building
        return self.calls[0][0] if self.calls else None


class WorkerPool:
    """Keeps ``role.workers`` workers and runs batches on them.

    A worker holds at most two batches. When it dies, or exceeds the deadline and is killed, another
    takes its place and its running batch is tried again, ``role.retries`` times; the one queued
    behind it is innocent and moves on without loss.

    A batch whose verb raises costs an attempt too and goes to another process, for what is broken
    may be the process, for example by a CUDA error that sticks. If it succeeds there, the first
    process is replaced; if it raises again, the batch is at fault and no process is lost.

    Args:
        role: What the workers are.
        metrics: Where latencies, retries and respawns are counted.
    """

    def __init__(self, role: Role, metrics: PoolMetrics) -> None:
        self._role = role
        self._metrics = metrics
        self._workers: list[_Worker] = []
        self._waiting: deque[_Batch] = deque()
        self._done: list[tuple[int, Payload | BatchFailed]] = []
        self._published: tuple[list[Any], int] | None = None
        self._lost_starts = 0
        self._verb: str | None = None
        self._spawn_missing()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that stand, each on its own node."""
        return [worker.pid for worker in self._workers if worker.building is None]

    def publish(self, weights: ray.ObjectRef[Any], version: int) -> None:
        """Has every worker load these weights before its next batch."""
        self._published = ([weights], version)

    def wait_until_built(self) -> None:
        """Returns when at least one worker stands; the others may follow.

        Raises:
            WorkerStartFailed: The factory raised, or no worker could be started.
        """
        while not self.pids:
            self._spawn_missing()
            self._settle()

    def map(
        self, verb: str, batches: Sequence[Payload]
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        """Runs a verb on every batch; yields each index once, in the order they finish.

        Raises:
            WorkerStartFailed: No worker can be built any more.
            RuntimeError: The pool is still working on an earlier map.
        """
        if self._verb is not None:
            raise RuntimeError(
                f"the {self._role.name} workers are still running {self._verb!r}: exhaust or "
                f"close that map first"
            )
        self._verb = verb
        try:
            self._drop_dead()
            self._waiting.extend(_Batch(i, payload) for i, payload in enumerate(batches))
            yielded = 0
            while yielded < len(batches):
                self._spawn_missing()
                self._hand_out()
                self._settle()
                while self._done:
                    yielded += 1
                    yield self._done.pop(0)
        finally:
            self._abandon()
            self._verb = None

    def close(self) -> None:
        """Ends every worker; idempotent."""
        for worker in self._workers:
            ray.kill(worker.handle, no_restart=True)
        self._workers.clear()

    def _spawn_missing(self) -> None:
        role = self._role
        threads = max(1, int(role.cpus))
        host = _HOST.options(num_cpus=role.cpus, num_gpus=role.gpus, max_restarts=0)
        search_path = [os.path.abspath(folder) for folder in sys.path]
        while len(self._workers) < role.workers:
            handle = host.remote(role.factory, dict(role.settings), threads, search_path)
            self._workers.append(_Worker(handle, handle.build.remote(), time.monotonic()))

    def _hand_out(self) -> None:
        """Gives every idle worker a batch, then queues a second while plenty are waiting."""
        ready = [worker for worker in self._workers if worker.building is None]
        for depth in range(_CALLS_PER_WORKER):
            for worker in ready:
                # Near the end a queued batch would sit behind a busy worker while another idles.
                plenty = depth == 0 or len(self._waiting) > len(self._workers)
                if len(worker.calls) == depth and plenty:
                    self._give(worker)

    def _give(self, worker: _Worker) -> None:
        choice = next((batch for batch in self._waiting if batch.raised_in is not worker), None)
        if choice is None:
            return
        self._waiting.remove(choice)
        if not worker.calls:
            worker.clock = time.monotonic()
        ref = worker.handle.call.remote(self._verb, choice.payload, self._published)
        worker.calls.append((ref, choice))

    def _settle(self) -> None:
        """Waits for the next event, a result, a death or a missed deadline, and deals with it."""
        awaited = {w.awaited: w for w in self._workers if w.awaited is not None}
        patience = min(self._deadline(worker) for worker in awaited.values()) - time.monotonic()
        refs = list(awaited)
        ray.wait(refs, num_returns=1, timeout=max(0.0, patience), fetch_local=False)
        # All that is finished by now, lest a result that waited for a busy driver count as late.
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0.0, fetch_local=False)
        now = time.monotonic()
        for ref, worker in awaited.items():
            if worker not in self._workers:  # replaced because of a result just received
                continue
            if ref not in ready:
                if now >= self._deadline(worker):
                    self._lose(worker, f"no answer within {self._limit_s(worker):g} s")
                continue
            try:
                outcome = _receive(ref)
            except RayError as error:
                self._lose(worker, f"worker died ({_first_line(error)})")
                continue
            if worker.building is not None:
                self._built(worker, outcome)
            else:
                self._returned(worker, outcome)

    def _limit_s(self, worker: _Worker) -> float:
        return START_DEADLINE_S if worker.building is not None else self._role.deadline_s

    def _deadline(self, worker: _Worker) -> float:
        return worker.clock + self._limit_s(worker)

    def _built(self, worker: _Worker, outcome: Built | Raised) -> None:
        if isinstance(outcome, Raised):
            logger.debug("%s", outcome.traceback)
            raise WorkerStartFailed(
                f"{self._role.name} worker: {self._role.factory} raised {outcome.reason}"
            )
        worker.building, worker.pid = None, outcome.pid
        self._lost_starts = 0

    def _returned(self, worker: _Worker, outcome: Payload | Raised) -> None:
        _, batch = worker.calls.popleft()
        now = time.monotonic()
        self._metrics.finished(str(self._verb), now - worker.clock)
        worker.clock = now
        if isinstance(outcome, Raised):
            logger.debug("%s", outcome.traceback)
            batch.raised_in = worker
            self._fail_attempt(batch, outcome.reason)
            if self._role.workers == 1 and batch in self._waiting:
                self._release(worker)
            return
        self._done.append((batch.index, outcome))
        suspect = batch.raised_in
        if suspect is not None and suspect in self._workers:
            logger.warning(
                "%s worker %d: its failure could not be repeated elsewhere; replacing it",
                self._role.name,
                suspect.pid,
            )
            self._release(suspect)

    def _lose(self, worker: _Worker, why: str) -> None:
        """Ends a worker; whatever it was running is tried again."""
        logger.warning("%s worker %s: %s; replacing it", self._role.name, worker.pid or "", why)
        if worker.building is not None:
            self._lost_starts += 1
            if self._lost_starts >= _START_ATTEMPTS:
                raise WorkerStartFailed(
                    f"{self._role.name} worker: {_START_ATTEMPTS} in a row could not be started: "
                    f"{why}; free in the cluster: {_free()}"
                )
        elif worker.calls:
            _, running = worker.calls.popleft()
            self._fail_attempt(running, why)
        self._release(worker)

    def _release(self, worker: _Worker) -> None:
        """Ends a worker and takes back what was queued on it."""
        self._workers.remove(worker)
        ray.kill(worker.handle, no_restart=True)
        self._waiting.extendleft(batch for _, batch in reversed(worker.calls))
        worker.calls.clear()
        self._metrics.respawned()

    def _fail_attempt(self, batch: _Batch, why: str) -> None:
        batch.attempts += 1
        if batch.attempts <= self._role.retries:
            self._metrics.retried(str(self._verb))
            self._waiting.appendleft(batch)
            return
        self._metrics.gave_up(str(self._verb))
        times = "" if batch.attempts == 1 else f", {batch.attempts} times"
        self._done.append((batch.index, BatchFailed(f"{why}{times}")))

    def _drop_dead(self) -> None:
        """Replaces workers that died while idle, so that no batch is blamed for it."""
        pings = {w.handle.ping.remote(): w for w in self._workers if w.building is None}
        if not pings:
            return
        _, silent = ray.wait(list(pings), num_returns=len(pings), timeout=_PING_DEADLINE_S)
        for ping, worker in pings.items():
            if ping in silent:
                self._lose(worker, f"no answer within {_PING_DEADLINE_S:g} s")
                continue
            try:
                ray.get(ping)
            except RayError as error:
                self._lose(worker, f"died while idle ({_first_line(error)})")

    def _abandon(self) -> None:
        """Forgets unfinished batches; a worker busy with one is ended, for nobody waits for it."""
        for worker in [w for w in self._workers if w.calls]:
            self._release(worker)
        self._waiting.clear()
        self._done.clear()


_HOST: Any = ray.remote(WorkerHost)  # Ray's types know no methods of actors


def _receive(ref: ray.ObjectRef[Any]) -> Any:
    """The outcome of a finished call.

    What the host itself could not catch, such as a payload that cannot be unpacked there, is the
    batch's fault as well.

    Raises:
        RayError: The worker's process is lost.
    """
    try:
        return ray.get(ref)
    except RayTaskError as error:
        return raised(error.cause if isinstance(error.cause, BaseException) else error)


def _first_line(error: RayError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _free() -> str:
    available = ray.available_resources()  # type: ignore[no-untyped-call]
    return ", ".join(f"{available.get(name, 0.0):g} {name}" for name in ("CPU", "GPU"))
