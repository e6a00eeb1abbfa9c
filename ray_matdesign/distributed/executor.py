"""The executor for clusters, and for laptops with more than one core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import numpy as np
import ray
from numpy.typing import NDArray

from ray_matdesign.config.schema import ExecutionSettings
from ray_matdesign.distributed.environments import check_interpreters, check_requirements
from ray_matdesign.distributed.group import as_one_worker
from ray_matdesign.distributed.metrics import PoolMetrics
from ray_matdesign.distributed.placement import Placement
from ray_matdesign.distributed.pool import WorkerPool
from ray_matdesign.distributed.session import RaySession
from ray_matdesign.distributed.worker import Ref
from ray_matdesign.rl.executor import BatchFailed, Payload, Role


class RayExecutor:
    """Runs batches on Ray actors; see :class:`ray_matdesign.rl.executor.Executor`.

    Every worker starts at once, on construction, which returns when each role has at least one.
    A worker's torch threads follow from its CPU share. Workers are replaced by the pools, never
    restarted by Ray: a restarted actor would come back without its weights. Any number of maps may
    be under way, on one role as well, each taken by a thread of its own.

    Args:
        roles: Who works, and with which share of the cluster.
        execution: Which cluster.

    Raises:
        WrongEnvironment: A role's own Python is none that Ray could use.
        NotEnoughResources: The workers cannot fit on the cluster, or others do not make room.
        ClusterUnreachable: The cluster cannot be joined.
        WorkerStartFailed: A worker's factory raised, or its process does not come up.
    """

    concurrent = True

    def __init__(self, roles: Sequence[Role], execution: ExecutionSettings) -> None:
        self._pools: dict[str, WorkerPool] = {}
        self._stored: tuple[Mapping[str, NDArray[np.generic]], Ref] | None = None
        environments = execution.environments.given()
        check_requirements(environments)
        self._session = RaySession(roles, execution)
        self._placement: Placement | None = None
        try:
            check_interpreters(environments)
            self._placement = Placement(roles, execution, reserve=self._session.shared)
            for role in roles:
                worker = as_one_worker(role)
                quarters = self._placement.quarters(role.name)
                self._pools[role.name] = WorkerPool(worker, PoolMetrics(role.name), quarters)
            for pool in self._pools.values():
                pool.wait_until_built()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def map(
        self, role: str, verb: str, batches: Sequence[Payload], *, priority: int = 0
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        """Calls ``verb`` on every batch; yields ``(index, result)`` as they finish, in any order.

        The work begins with the call. Arrays in payloads arrive read-only. A map that is left early
        ends the workers that are busy with it.

        Raises:
            KeyError: There is no such role.
            WorkerStartFailed: From the iterator: the role's workers cannot be built any more.
            MapCancelled: Likewise: the map was cancelled, or the executor closed.
        """
        return self._pools[role].map(verb, batches, priority)

    def publish(self, role: str, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Puts the weights into the object store once; workers fetch them before their next batch.

        They leave it when other weights have been published to every role, the maps that run with
        them have ended, and the workers have loaded others.

        Raises:
            KeyError: There is no such role.
        """
        pool = self._pools[role]
        if self._stored is None or self._stored[0] is not weights:
            self._stored = weights, ray.put(dict(weights))
        pool.publish(self._stored[1], version)

    def busy_s(self) -> dict[str, float]:
        """Seconds that workers have spent on batches so far, by verb."""
        return {k: v for pool in self._pools.values() for k, v in pool.busy_s.items()}

    def cancel(self) -> None:
        """Ends every map under way: whoever waits for a result gets ``MapCancelled``."""
        for pool in self._pools.values():
            pool.cancel()

    def pids(self, role: str) -> list[int]:
        """Process ids of a role's workers, each on its own node."""
        return self._pools[role].pids

    def close(self) -> None:
        """Ends every worker, and Ray if it was started here; idempotent."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        self._stored = None
        if self._placement is not None:
            self._placement.close()
        self._session.close()
