"""The workers of one pool: how many there are, and what replaces those that are lost."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future

import ray

from ray_matdesign.distributed.host import Built, Raised
from ray_matdesign.distributed.metrics import PoolMetrics
from ray_matdesign.distributed.placement import Quarters
from ray_matdesign.distributed.worker import Ring, Worker, end_worker, start_worker
from ray_matdesign.rl.executor import Role

logger = logging.getLogger(__name__)

_START_ATTEMPTS = 3
"""Workers lost one after another while they were being built, before the role is given up."""

_START_AGAIN_S = 60.0
"""Rest after that, where other workers stand and go on without."""

_GROW_AGAIN_S = 5.0
"""Rest between two looks at the cluster for room."""


class WorkerStartFailed(RuntimeError):
    """A role's workers cannot be built; trying again would not help."""


class Crew:
    """Workers of a role, at least ``role.floor`` and at most ``role.workers``.

    Args:
        role: What they are.
        metrics: Where respawns are counted.
        ring: Called when something comes from one of them.
        quarters: Where they live.

    Attributes:
        workers: Those that are there, being built or standing.
        first: Done when the first one stands, or none can.
    """

    def __init__(self, role: Role, metrics: PoolMetrics, ring: Ring, quarters: Quarters) -> None:
        self.workers: list[Worker] = []
        self.first: Future[None] = Future()
        self._role = role
        self._metrics = metrics
        self._ring = ring
        self._quarters = quarters
        self._target = role.floor
        self._lost_starts = 0
        self._start_after = 0.0
        self._grow_after = 0.0

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that stand."""
        return [worker.pid for worker in list(self.workers) if worker.standing]

    def start_missing(self) -> None:
        """Starts workers until there are as many as there should be."""
        while len(self.workers) < self._target and time.monotonic() >= self._start_after:
            room = self._quarters.options(len(self.workers))
            folders = self._quarters.search_path()
            self.workers.append(start_worker(self._role, self._ring, folders, room))

    def start_again(self) -> None:
        """Ends the rest: somebody asks for work."""
        self._start_after = 0.0

    def rest(self) -> None:
        """Starts no worker until somebody asks for work again."""
        self._lost_starts, self._start_after = 0, float("inf")

    def give_up(self, failure: RuntimeError) -> None:
        """Rests, and tells whoever waits for the first worker."""
        self.rest()
        if not self.first.done():
            self.first.set_exception(failure)

    def grow(self, waiting: int) -> None:
        """Starts more workers where all are busy, batches wait, and the cluster has room."""
        if not self._wants_more(waiting) or time.monotonic() < self._grow_after:
            return
        wanted = min(waiting, self._role.workers - self._target)
        self._target += min(wanted, room_for(self._role))
        self._grow_after = time.monotonic() + _GROW_AGAIN_S
        self.start_missing()

    def shrink(self) -> None:
        """Gives back workers above the floor that have been idle for long."""
        for worker in [w for w in self.workers if w.idle]:
            spare = len(self.workers) > self._role.floor
            if spare and time.monotonic() >= worker.clock + self._role.idle_release_s:
                self._target = max(self._role.floor, self._target - 1)
                self.dismiss(worker)

    def next_moment(self, waiting: int) -> float:
        """When there will be something to start or to end even if nothing happens; or infinity."""
        moments = [float("inf")]
        if len(self.workers) > self._role.floor:
            moments += [w.clock + self._role.idle_release_s for w in self.workers if w.idle]
        if len(self.workers) < self._target:
            moments.append(self._start_after)
        if self._wants_more(waiting):
            moments.append(self._grow_after)
        return min(moments)

    def built(self, worker: Worker, outcome: Built | Raised) -> None:
        """A worker stands, or its factory raised.

        Raises:
            WorkerStartFailed: It raised, and no other worker stands.
        """
        if isinstance(outcome, Raised):
            logger.debug("%s", outcome.traceback)
            self.replace(worker)
            self._do_without(f"{self._role.factory} raised {outcome.reason}")
            return
        worker.building, worker.pid, worker.clock = None, outcome.pid, time.monotonic()
        self._lost_starts = 0
        if not self.first.done():
            self.first.set_result(None)

    def start_lost(self, why: str) -> None:
        """A worker was lost while it was being built.

        Raises:
            WorkerStartFailed: So were the two before it, and no other worker stands.
        """
        self._lost_starts += 1
        if self._lost_starts >= _START_ATTEMPTS:
            offered = ", ".join(f"{amount:g} {name}" for name, amount in free().items())
            self._do_without(
                f"{_START_ATTEMPTS} in a row could not be started: {why}; free in the cluster: "
                f"{offered}"
            )

    def replace(self, worker: Worker) -> None:
        """Ends a worker, for another to take its place."""
        self.dismiss(worker)
        self._metrics.respawned()

    def dismiss(self, worker: Worker) -> None:
        """Ends a worker; what it was given and has not begun waits again."""
        self.workers.remove(worker)
        end_worker(worker)
        for _, batch in reversed(worker.calls):
            if batch.mapping.open:
                batch.mapping.take_back(batch)
        worker.calls.clear()

    def close(self) -> None:
        """Ends all workers."""
        for worker in self.workers:
            end_worker(worker)
        self.workers.clear()

    def _do_without(self, failure: str) -> None:
        """Goes on with the workers that stand, for a while."""
        message = f"{self._role.name} worker: {failure}"
        if not self.pids:
            raise WorkerStartFailed(message)
        logger.warning("%s; going on with %d", message, len(self.pids))
        self._lost_starts = 0
        self._start_after = time.monotonic() + _START_AGAIN_S

    def _wants_more(self, waiting: int) -> bool:
        """Whether another worker would have something to do, and there may be another."""
        return (
            waiting > 0
            and len(self.workers) == self._target < self._role.workers
            and all(worker.calls for worker in self.workers)
        )


def free() -> dict[str, float]:
    """CPUs and GPUs of the cluster that nobody has reserved."""
    available = ray.available_resources()  # type: ignore[no-untyped-call]
    return {name: float(available.get(name, 0.0)) for name in ("CPU", "GPU")}


def room_for(role: Role) -> int:
    """How many more workers the cluster has the resources for, were it one machine."""
    offered = free()
    shares = ((offered["CPU"], role.cpus), (offered["GPU"], role.gpus))
    return min((int(has / share) for has, share in shares if share > 0.0), default=role.workers)
