"""The executor for one process: tests, laptops, debugging."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.config.import_path import load_object
from ray_matdesign.rl.executor import BatchFailed, Payload, Role

logger = logging.getLogger(__name__)


class LocalExecutor:
    """Runs batches one after another in this process, with one worker of each role.

    A verb that raises makes a :class:`BatchFailed`, as on a cluster; the traceback goes to the
    log at level ``debug``. There are no retries and no deadlines: the same call in the same process
    would fail again, and nobody could interrupt it.
    """

    def __init__(self, roles: Sequence[Role]) -> None:
        self._roles = {role.name: role for role in roles}
        self._workers: dict[str, Any] = {}
        self._published: dict[str, tuple[Mapping[str, NDArray[np.generic]], int]] = {}
        self._loaded: dict[str, int] = {}

    def map(
        self, role: str, verb: str, batches: Sequence[Payload]
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        """Calls ``verb`` on every batch, in order.

        Raises:
            KeyError: There is no such role.
        """
        worker = self._worker(role)
        for index, batch in enumerate(batches):
            self._bring_up_to_date(role, worker)
            yield index, _call(worker, verb, batch)

    def publish(self, role: str, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Gives a role new weights, loaded before its next batch."""
        self._published[role] = (weights, version)

    def close(self) -> None:
        """Forgets the workers."""
        self._workers.clear()
        self._loaded.clear()

    def _worker(self, name: str) -> Any:
        role = self._roles[name]
        if name not in self._workers:
            factory = load_object(role.factory, {}, what="worker")
            self._workers[name] = factory(dict(role.settings))
        limit_threads(max(1, int(role.cpus)))
        return self._workers[name]

    def _bring_up_to_date(self, name: str, worker: Any) -> None:
        if name in self._published:
            weights, version = self._published[name]
            if self._loaded.get(name) != version:
                worker.load(weights, version)
                self._loaded[name] = version


def _call(worker: Any, verb: str, batch: Payload) -> Payload | BatchFailed:
    method = getattr(worker, verb)
    try:
        result: Payload = method(batch)
    except Exception as error:  # whatever a plug-in raises becomes a value, as on a cluster
        logger.debug("%s.%s failed", type(worker).__name__, verb, exc_info=True)
        return BatchFailed(f"{type(error).__name__}: {' '.join(str(error).split())}")
    return result


def limit_threads(threads: int) -> None:
    """Keeps torch and BLAS to so many threads.

    On graphs of 20 atoms a second thread costs more than it gives, and on a busy machine BLAS
    threads that wait for each other make a 3x3 solve take milliseconds.
    """
    import threadpoolctl
    import torch

    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(limits=threads)
