"""One role's workers: kept alive, kept busy, and every batch answered exactly once."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from queue import Empty, SimpleQueue

from ray.exceptions import RayError

from ray_matdesign.distributed.crew import Crew
from ray_matdesign.distributed.crew import WorkerStartFailed as WorkerStartFailed
from ray_matdesign.distributed.host import Raised
from ray_matdesign.distributed.mapping import Batch, BatchMap, Published, Results, cancelled
from ray_matdesign.distributed.metrics import PoolMetrics
from ray_matdesign.distributed.pace import QUEUE_BELOW_S, Pace
from ray_matdesign.distributed.placement import Quarters
from ray_matdesign.distributed.worker import (
    Ref,
    Worker,
    first_line,
    has_come,
    listen,
    ping,
    receive,
)
from ray_matdesign.rl.executor import BatchFailed, Payload, Role

logger = logging.getLogger(__name__)

START_DEADLINE_S = 300.0
"""Longest a worker may take to get its resources, import and build its object."""

_PING_DEADLINE_S = 10.0
"""An idle worker that does not answer for this long is lost."""

_CALLS_PER_WORKER = 2
"""One batch running, one queued behind it to hide the driver's latency."""


class WorkerPool:
    """Keeps workers of a role, and runs on them the batches of any number of maps at once.

    A worker holds at most two batches. When it dies, or exceeds the deadline and is killed, another
    takes its place and its running batch is tried again, ``role.retries`` times; the one queued
    behind it is innocent and moves on without loss.

    A batch whose verb raises costs an attempt too and goes to another process, for what is broken
    may be the process, for example by a CUDA error that sticks. If it succeeds there, the first
    process is replaced; if it raises again, the batch is at fault and no process is lost.

    Of each map at most two batches a worker are out, or done and not taken: who takes no results
    gets no more work done, and results do not pile up.

    The pool begins with ``role.floor`` workers. While batches wait and every worker is busy, and
    the cluster has room, it grows up to ``role.workers``; it shrinks again as workers idle.

    All of this happens in one thread of the pool's own, which sleeps until something happens. Other
    threads leave it events, and take results from queues.

    Args:
        role: What the workers are.
        metrics: Where latencies, retries and respawns are counted.
        quarters: Where they live: by default in the cluster's own Python, wherever there is room.
    """

    def __init__(self, role: Role, metrics: PoolMetrics, quarters: Quarters | None = None) -> None:
        self._role = role
        self._metrics = metrics
        self._crew = Crew(role, metrics, self._ring, quarters or Quarters())
        self._maps: list[BatchMap] = []
        self._published: Published | None = None
        self._pace: defaultdict[str, Pace] = defaultdict(Pace)
        self._busy_s: defaultdict[str, float] = defaultdict(float)
        self._ended: RuntimeError | None = None
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"{role.name} pool", daemon=True)
        self._thread.start()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that stand, each on its own node."""
        return self._crew.pids

    @property
    def waiting(self) -> int:
        """Batches asked for that nobody works on."""
        return sum(len(mapping.waiting) for mapping in list(self._maps))

    @property
    def busy_s(self) -> dict[str, float]:
        """Seconds that workers have spent on batches so far, by verb."""
        return dict(self._busy_s)

    def publish(self, weights: Ref, version: int) -> None:
        """Has the maps asked for from now on run with these weights."""
        self._published = ([weights], version)

    def wait_until_built(self) -> None:
        """Returns when at least one worker stands; the others may follow.

        Raises:
            WorkerStartFailed: The factory raised, or no worker could be started.
        """
        self._crew.first.result()

    def map(
        self, verb: str, batches: Sequence[Payload], priority: int = 0
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        """Runs a verb on every batch; yields each index once, in the order they finish.

        The work begins at once. One thread may take the results; it gets :class:`WorkerStartFailed`
        where no worker can be built any more.

        Args:
            verb: Method of the workers.
            batches: Its arguments.
            priority: Maps with a lower one are served first.
        """
        mapping = BatchMap(verb, batches, self._published, priority)
        results = Results(
            mapping,
            taken=partial(self._events.put, _nothing),
            abandoned=partial(self._events.put, partial(self._abandon, mapping)),
        )
        if batches:
            self._events.put(partial(self._open, mapping))
        if self._ended is not None:
            mapping.end(self._ended)
        return results

    def cancel(self) -> None:
        """Ends every map under way; whoever waits for a result gets ``MapCancelled``."""
        self._events.put(self._cancel)

    def close(self) -> None:
        """Ends every map and every worker; idempotent."""
        self._events.put(partial(self._end, cancelled()))
        self._thread.join()
        self._crew.close()
        self._metrics.close()

    def _run(self) -> None:
        while self._ended is None:
            try:
                self._crew.start_missing()
                self._hand_out()
                self._report()
                self._crew.grow(self.waiting)
                moment = self._next_moment()
                self._await_events(moment)
                if time.monotonic() >= moment:
                    self._heed_deadlines()
                    self._crew.shrink()
            except WorkerStartFailed as failure:
                self._give_up(failure)
            except Exception as error:
                logger.debug("the %s pool broke", self._role.name, exc_info=True)
                broken = RuntimeError(f"{self._role.name} workers: {error}")
                self._give_up(broken)
                self._end(broken)

    def _next_moment(self) -> float:
        """When there will be something to do even if nothing happens."""
        deadlines = (self._deadline(w) for w in self._crew.workers if w.awaited is not None)
        return min([self._crew.next_moment(self.waiting), *deadlines])

    def _await_events(self, moment: float) -> None:
        """Sleeps until something happens, or until a moment; deals with all that has happened."""
        patience = None if math.isinf(moment) else max(0.0, moment - time.monotonic())
        try:
            event = self._events.get(timeout=patience)
            while True:
                event()
                event = self._events.get_nowait()
        except Empty:
            return

    # Maps

    def _open(self, mapping: BatchMap) -> None:
        if self._ended is not None:
            mapping.end(self._ended)
        if not mapping.open:
            return
        self._maps.append(mapping)
        self._maps.sort(key=lambda each: each.priority)
        self._crew.start_again()
        # One that died meanwhile must not get a batch, which would be blamed for it.
        for worker in self._crew.workers:
            if worker.idle:
                ping(worker, self._ring)

    def _abandon(self, mapping: BatchMap) -> None:
        """Forgets a map; a worker busy with it is ended, for nobody waits for it."""
        mapping.end()
        self._maps = [each for each in self._maps if each is not mapping]
        for worker in list(self._crew.workers):
            if worker.calls and worker.calls[0][1].mapping is mapping:
                self._crew.replace(worker)

    def _cancel(self) -> None:
        self._crew.rest()
        for mapping in list(self._maps):
            self._abandon(mapping)
            mapping.end(cancelled())

    def _give_up(self, failure: RuntimeError) -> None:
        """Tells everybody who waits."""
        for mapping in self._maps:
            mapping.end(type(failure)(*failure.args))
        self._maps.clear()
        self._crew.give_up(failure)

    def _end(self, reason: RuntimeError) -> None:
        """Lets the thread end, and nobody wait in vain."""
        self._ended = self._ended or reason
        for mapping in self._maps:
            mapping.end(reason)
        self._maps.clear()

    # Work

    def _report(self) -> None:
        """Tells the metrics how long the queues are."""
        workers = self._crew.workers
        starting = sum(worker.building is not None for worker in workers)
        self._metrics.queued(self.waiting, sum(len(worker.calls) for worker in workers))
        self._metrics.staffed(len(workers) - starting, starting)

    def _hand_out(self) -> None:
        """Gives every idle worker a batch, then queues a second while plenty are waiting."""
        waiting = self.waiting
        if not waiting:
            return
        workers = self._crew.workers
        ready = [w for w in workers if w.standing and w.pinged is None]
        # Near the end a queued batch would sit behind a busy worker while another idles.
        plenty = waiting > len(workers) and all(w.pinged is None for w in workers)
        for depth in range(_CALLS_PER_WORKER):
            for worker in ready:
                if len(worker.calls) == depth and (depth == 0 or plenty) and self._give(worker):
                    waiting -= 1
                    plenty = plenty and waiting > len(workers)

    def _give(self, worker: Worker) -> bool:
        window = _CALLS_PER_WORKER * len(self._crew.workers)
        for mapping in self._maps:
            if worker.calls and not self._may_queue(worker, mapping.verb):
                continue
            batch = mapping.hand_out(worker, window)
            if batch is not None:
                if not worker.calls:
                    worker.clock = time.monotonic()
                ref = worker.handle.call.remote(mapping.verb, batch.payload, mapping.published)
                worker.calls.append((listen(ref, worker, self._ring), batch))
                return True
        return False

    def _may_queue(self, worker: Worker, verb: str) -> bool:
        """Whether a batch may wait behind the one that a worker is busy with."""
        brisk = worker.proven and self._pace[verb].is_brisk(len(self._crew.workers))
        return brisk and time.monotonic() < worker.clock + QUEUE_BELOW_S

    def _ring(self, worker: Worker, ref: Ref) -> None:
        self._events.put(partial(self._rung, worker, ref))

    def _rung(self, worker: Worker, ref: Ref) -> None:
        worker.hear(ref)
        self._attend(worker)

    def _attend(self, worker: Worker) -> None:
        """Takes what has come from a worker, in the order it was asked for."""
        while not worker.ended and worker.awaited in worker.rung:
            assert worker.awaited is not None
            ref = worker.awaited
            worker.rung.discard(ref)
            try:
                outcome = receive(ref)
            except RayError as error:
                how = "worker died" if worker.pinged is None else "died while idle"
                self._lose(worker, f"{how} ({first_line(error)})")
                return
            if worker.building is not None:
                self._crew.built(worker, outcome)
            elif worker.pinged is not None:
                worker.pinged, worker.clock = None, time.monotonic()
            else:
                self._returned(worker, outcome)

    def _returned(self, worker: Worker, outcome: Payload | Raised) -> None:
        _, batch = worker.calls.popleft()
        self._clock_in(worker, batch)
        if isinstance(outcome, Raised):
            logger.debug("%s", outcome.traceback)
            batch.raised_in = worker
            self._fail_attempt(batch, outcome.reason)
            if len(self._crew.workers) == 1 and batch in batch.mapping.waiting:
                self._crew.replace(worker)
            return
        suspect = batch.raised_in
        if isinstance(suspect, Worker) and not suspect.ended:
            logger.warning(
                "%s worker %d: its failure could not be repeated elsewhere; replacing it",
                self._role.name,
                suspect.pid,
            )
            self._crew.replace(suspect)
        self._answer(batch, outcome)

    def _clock_in(self, worker: Worker, batch: Batch) -> None:
        """Books the time a batch took."""
        verb, now = batch.mapping.verb, time.monotonic()
        took, worker.clock = now - worker.clock, now
        self._busy_s[verb] += took
        self._pace[verb].note(took)
        worker.proven = True
        self._metrics.finished(verb, took)

    def _fail_attempt(self, batch: Batch, why: str) -> None:
        batch.attempts += 1
        if not batch.mapping.open:
            return
        if batch.attempts <= self._role.retries:
            self._metrics.retried(batch.mapping.verb)
            batch.mapping.take_back(batch)
            return
        self._metrics.gave_up(batch.mapping.verb, why)
        times = "" if batch.attempts == 1 else f", {batch.attempts} times"
        self._answer(batch, BatchFailed(f"{why}{times}"))

    def _answer(self, batch: Batch, result: Payload | BatchFailed) -> None:
        if not batch.mapping.open:
            return
        batch.mapping.answer(batch.index, result)
        if not batch.mapping.open:
            self._maps.remove(batch.mapping)

    # Workers

    def _limit_s(self, worker: Worker) -> float:
        if worker.building is not None:
            return START_DEADLINE_S
        return _PING_DEADLINE_S if worker.pinged is not None else self._role.deadline_s

    def _deadline(self, worker: Worker) -> float:
        return worker.clock + self._limit_s(worker)

    def _heed_deadlines(self) -> None:
        now = time.monotonic()
        for worker in list(self._crew.workers):
            ref = worker.awaited
            if ref is None or now < self._deadline(worker):
                continue
            # It may have come while this thread, or Ray's, had no turn: then it is not late.
            if has_come(ref):
                self._rung(worker, ref)
            else:
                self._lose(worker, f"no answer within {self._limit_s(worker):g} s")

    def _lose(self, worker: Worker, why: str) -> None:
        """Ends a worker; whatever it was running is tried again."""
        logger.warning("%s worker %s: %s; replacing it", self._role.name, worker.pid or "", why)
        if worker.calls:
            _, running = worker.calls.popleft()
            self._busy_s[running.mapping.verb] += time.monotonic() - worker.clock
            self._fail_attempt(running, why)
        self._crew.replace(worker)
        if not worker.standing:
            self._crew.start_lost(why)


def _nothing() -> None:
    """An event that only wakes the pool's thread."""
