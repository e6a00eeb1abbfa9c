"""Warm sandboxes on a cluster: packages are imported once a worker, code runs in milliseconds."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ray_matdesign.agents.sandbox.environment import SCIENTIFIC
from ray_matdesign.agents.sandbox.ground import Tier
from ray_matdesign.agents.sandbox.job import BadJob, Job
from ray_matdesign.agents.sandbox.result import Outcome, Result
from ray_matdesign.distributed.metrics import PoolMetrics
from ray_matdesign.distributed.pool import WorkerPool
from ray_matdesign.rl.executor import BatchFailed, Role

_ROLE = "sandbox"

_GRACE_S = 120.0
"""What ending a run and starting its sandbox anew may take beyond the run's own limit."""


class SandboxPool:
    """Workers with a warm sandbox each; needs a Ray that this process is connected to.

    A worker that dies, or whose sandbox does, is replaced. Its job is tried once more elsewhere,
    and comes back as ``LOST`` if that fails as well.

    Args:
        workers: How many.
        tier: Which walls; by default the best that each worker's machine has.
        preload: Modules to import before there is any code.
        cpus: Share of a machine each worker takes.
        longest_s: Largest wall-clock limit of a job.

    Raises:
        WorkerStartFailed: A machine has no sandbox, or no worker comes up.
    """

    def __init__(
        self,
        workers: int,
        *,
        tier: Tier | None = None,
        preload: Sequence[str] = SCIENTIFIC,
        cpus: float = 1.0,
        longest_s: float = 600.0,
    ) -> None:
        self._longest_s = longest_s
        self._turn = threading.Lock()
        role = Role(
            name=_ROLE,
            factory="ray_matdesign.agents.sandbox.worker:build",
            settings={"tier": None if tier is None else str(tier), "preload": list(preload)},
            workers=workers,
            cpus=cpus,
            deadline_s=longest_s + _GRACE_S,
            retries=1,
        )
        self._pool = WorkerPool(role, PoolMetrics(_ROLE))
        try:
            self._pool.wait_until_built()
        except BaseException:
            self._pool.close()
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

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        """Runs jobs, several at a time; callers take turns.

        Args:
            jobs: In any number.

        Returns:
            What came of each, in their order; arrays among the values are read-only.

        Raises:
            BadJob: A job may take longer than ``longest_s``.
            WorkerStartFailed: No worker can be started any more.
        """
        for job in jobs:
            if job.limits.wall_s > self._longest_s:
                raise BadJob(
                    f"a job of up to {job.limits.wall_s:g} s: these sandboxes end after "
                    f"{self._longest_s:g} s"
                )
        payloads = [{"head": job.head(), "files": dict(job.files)} for job in jobs]
        results: dict[int, Result] = {}
        with self._turn:
            for index, answer in self._pool.map("run", payloads):
                if isinstance(answer, BatchFailed):
                    results[index] = Result(Outcome.LOST, tier="", reason=answer.reason)
                else:
                    results[index] = Result.from_plain(answer)
        return [results[index] for index in range(len(jobs))]

    def close(self) -> None:
        """Ends every worker, and with it its sandbox; idempotent."""
        self._pool.close()
