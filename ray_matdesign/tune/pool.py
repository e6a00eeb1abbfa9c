"""Reward workers that serve all trials of a sweep, behind one named actor.

Trials reach the pool by its name, through the executor seam, and know nothing of each other.
Batches wait in one queue and go to the next free worker, so a trial that samples leaves its share
to those that relax. Workers that die or hang are replaced as in a run of its own
(:class:`~ray_matdesign.distributed.pool.WorkerPool`), and their batch is tried again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import RayActorError

from ray_matdesign.distributed.metrics import PoolMetrics
from ray_matdesign.distributed.pool import WorkerPool, WorkerStartFailed
from ray_matdesign.distributed.search_path import search_also, search_path
from ray_matdesign.rl.executor import BatchFailed, Executor, Payload, Role
from ray_matdesign.rl.scoring import REWARD

_IN_FLIGHT = 1000
"""Batches of all trials that may wait in the pool at once."""


class PoolLost(RuntimeError):
    """The pool's process died: its workers died with it."""


class _Pool:
    """The actor: a queue, and a thread for each worker."""

    def __init__(self, role: Role, folders: Sequence[str]) -> None:
        # Its workers find what it finds, and that has to be what the driver finds.
        search_also(folders)
        self._role = replace(role, workers=1)
        self._mine = threading.local()
        self._queue = ThreadPoolExecutor(role.workers, thread_name_prefix="reward")

    async def serve(self, request: Payload) -> Payload | BatchFailed:
        return await asyncio.wrap_future(self._queue.submit(self._run, request))

    def _run(self, request: Payload) -> Payload | BatchFailed:
        if not hasattr(self._mine, "pool"):
            self._mine.pool = WorkerPool(self._role, PoolMetrics(self._role.name))
        try:
            pool: WorkerPool = self._mine.pool
            ((_, result),) = pool.map("serve", [request])
        except WorkerStartFailed as error:
            return BatchFailed(str(error))
        return result


class SharedPool:
    """Starts the pool of a sweep, and ends it.

    Args:
        name: Under which trials find it.
        role: Number of workers, their shares, deadline and retries.
    """

    def __init__(self, name: str, role: Role) -> None:
        shared = replace(
            role, factory="ray_matdesign.rl.shared_reward:shared_reward_worker", settings={}
        )
        options = _POOL.options(name=name, num_cpus=0, max_concurrency=_IN_FLIGHT)
        self._actor = options.remote(shared, search_path())

    def close(self) -> None:
        """Ends the pool and its workers; idempotent."""
        ray.kill(self._actor, no_restart=True)


class PooledExecutor:
    """An executor whose reward workers are those of a named pool.

    Args:
        inner: Has the other roles.
        pool: Name of the pool.
        settings: Of the run's reward workers.

    Raises:
        ValueError: There is no pool of this name.
    """

    def __init__(self, inner: Executor, pool: str, settings: Mapping[str, Any]) -> None:
        self._inner = inner
        self._pool = ray.get_actor(pool)
        self._settings = dict(settings)

    concurrent = False
    """The pool's answers are waited for by whoever asks for the next one."""

    def map(
        self, role: str, verb: str, batches: Sequence[Payload], *, priority: int = 0
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        """Calls ``verb`` on every batch; yields ``(index, result)`` as they finish.

        The pool knows no priorities: it serves the runs in the order they ask.

        Raises:
            PoolLost: The pool's process died.
        """
        if role != REWARD:
            return self._inner.map(role, verb, batches, priority=priority)
        return self._serve(verb, batches)

    def busy_s(self) -> dict[str, float]:
        """Seconds that this run's own workers have spent on batches so far, by verb."""
        return self._inner.busy_s()

    def cancel(self) -> None:
        """Ends every map of this run's own workers."""
        self._inner.cancel()

    def publish(self, role: str, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Gives a role new weights."""
        self._inner.publish(role, weights, version)

    def close(self) -> None:
        """Stops the workers of this run; those of the pool stay."""
        self._inner.close()

    def _serve(
        self, verb: str, batches: Sequence[Payload]
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        about = {"settings": self._settings, "verb": verb}
        waiting: dict[Any, int] = {
            self._pool.serve.remote({**about, "payload": batch}): index
            for index, batch in enumerate(batches)
        }
        while waiting:
            ready, _ = ray.wait(list(waiting), num_returns=1)
            for ref in ready:
                try:
                    yield waiting.pop(ref), ray.get(ref)
                except RayActorError as error:
                    raise PoolLost("the pool of reward workers died; resume the sweep") from error


_POOL: Any = ray.remote(_Pool)  # Ray's types know no methods of actors
