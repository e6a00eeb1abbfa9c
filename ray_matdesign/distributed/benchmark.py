"""Attempts at the benchmark's questions on a cluster: one process each, killed when it is late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from ray_matdesign.agents.benchmark.attempts import Attempt, Ended, Unfinished
from ray_matdesign.agents.benchmark.worker import came_of
from ray_matdesign.config.execution import ExecutionSettings
from ray_matdesign.distributed.metrics import PoolMetrics, failure_class
from ray_matdesign.distributed.pool import WorkerPool
from ray_matdesign.distributed.session import RaySession
from ray_matdesign.rl.executor import BatchFailed, Payload, Role

_ROLE = "solver"


class RayLanes:
    """Workers that solve, on the Ray this process is connected to, or else on one of its own.

    A worker whose attempt takes too long is killed and replaced. An attempt whose worker died is
    made once more, for the machine may be to blame; then it is lost. References never get here.

    Args:
        solver: Import path of a factory of workshops.
        settings: Its argument: plain values.
        deadline_s: Longest an attempt may take.
        workers: How many attempts at a time.
        cpus: Share of a machine each takes.
        gpus: Likewise.
        execution: Which cluster; by default a small one on this machine.

    Raises:
        NotEnoughResources: The workers cannot fit.
        ClusterUnreachable: The cluster cannot be joined.
        WorkerStartFailed: The factory raises, or no worker comes up.
    """

    def __init__(
        self,
        solver: str,
        settings: Mapping[str, Any],
        *,
        deadline_s: float,
        workers: int = 1,
        cpus: float = 1.0,
        gpus: float = 0.0,
        execution: ExecutionSettings | None = None,
    ) -> None:
        self._deadline_s = deadline_s
        role = Role(
            name=_ROLE,
            factory="ray_matdesign.agents.benchmark.worker:build",
            settings={"solver": solver, "settings": dict(settings)},
            workers=workers,
            cpus=cpus,
            gpus=gpus,
            deadline_s=deadline_s,
            retries=0,
        )
        self._session = RaySession([role], execution or ExecutionSettings(backend="ray"))
        try:
            self._pool = WorkerPool(role, PoolMetrics(_ROLE))
        except BaseException:
            self._session.close()
            raise
        try:
            self._pool.wait_until_built()
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

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that stand, each on its own node."""
        return self._pool.pids

    def make(self, attempts: Sequence[Attempt]) -> Iterator[Ended]:
        """Makes attempts; see :class:`ray_matdesign.agents.benchmark.attempts.Lanes`.

        Raises:
            SolverStopped: A solver's model cannot be asked.
            WorkerStartFailed: No worker can be started any more.
        """
        payloads = [
            {"task": each.task.model_dump(mode="json"), "folder": str(each.folder)}
            for each in attempts
        ]
        again: list[int] = []
        for index, answer in self._pool.map("attempt", payloads):
            if isinstance(answer, BatchFailed) and not _late(answer):
                again.append(index)
            else:
                yield self._ended(index, answer)
        for place, answer in self._pool.map("attempt", [payloads[index] for index in again]):
            yield self._ended(again[place], answer)

    def close(self) -> None:
        """Ends every worker, and Ray if it was started here; idempotent."""
        self._pool.close()
        self._session.close()

    def _ended(self, index: int, answer: Payload | BatchFailed) -> Ended:
        if not isinstance(answer, BatchFailed):
            return Ended(index, came_of(answer), float(answer["seconds"]))
        if _late(answer):
            return Ended(index, Unfinished("timeout", answer.reason), self._deadline_s)
        return Ended(index, Unfinished("lost", answer.reason), 0.0)


def _late(failed: BatchFailed) -> bool:
    """Whether a worker missed its deadline and was killed."""
    return failure_class(failed.reason) == "deadline"
