"""The executor for clusters, and for laptops with more than one core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import numpy as np
import ray
from numpy.typing import NDArray

from ray_matdesign.config.schema import ExecutionSettings
from ray_matdesign.distributed.metrics import PoolMetrics
from ray_matdesign.distributed.pool import WorkerPool
from ray_matdesign.distributed.session import RaySession
from ray_matdesign.rl.executor import BatchFailed, Payload, Role


class RayExecutor:
    """Runs batches on Ray actors; see :class:`ray_matdesign.rl.executor.Executor`.

    Every worker starts at once, on construction, which returns when each role has at least one.
    A worker's torch threads follow from its CPU share. Workers are replaced by the pools, never
    restarted by Ray: a restarted actor would come back without its weights.

    Args:
        roles: Who works, and with which share of the cluster.
        execution: Which cluster.

    Raises:
        NotEnoughResources: The workers cannot fit on the cluster.
        ClusterUnreachable: The cluster cannot be joined.
        WorkerStartFailed: A worker's factory raised, or its process does not come up.
    """

    def __init__(self, roles: Sequence[Role], execution: ExecutionSettings) -> None:
        self._pools: dict[str, WorkerPool] = {}
        self._session = RaySession(roles, execution)
        try:
            for role in roles:
                self._pools[role.name] = WorkerPool(role, PoolMetrics(role.name))
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
        self, role: str, verb: str, batches: Sequence[Payload]
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        """Calls ``verb`` on every batch; yields ``(index, result)`` as they finish, in any order.

        Arrays in payloads and results arrive read-only. A map that is not exhausted must be closed
        before the role's next one.

        Raises:
            KeyError: There is no such role.
            WorkerStartFailed: The role's workers cannot be built any more.
        """
        return self._pools[role].map(verb, batches)

    def publish(self, role: str, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Puts the weights into the object store once; workers fetch them before their next batch.

        Raises:
            KeyError: There is no such role.
        """
        self._pools[role].publish(ray.put(dict(weights)), version)

    def pids(self, role: str) -> list[int]:
        """Process ids of a role's workers, each on its own node."""
        return self._pools[role].pids

    def close(self) -> None:
        """Ends every worker, and Ray if it was started here; idempotent."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        self._session.close()
