"""The executor for one process: tests, laptops, debugging."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.config.import_path import load_object
from ray_matdesign.rl.executor import BatchFailed, Payload, Role

logger = logging.getLogger(__name__)

Published = tuple[Mapping[str, NDArray[np.generic]], int]
"""Weights and their version."""


class LocalExecutor:
    """Runs batches one after another in this process, with one worker of each role.

    A verb that raises makes a :class:`BatchFailed`, as on a cluster; the traceback goes to the
    log at level ``debug``. There are no retries and no deadlines: the same call in the same process
    would fail again, and nobody could interrupt it. Maps under way at once take turns, a batch
    each time somebody asks for a result.
    """

    concurrent = False

    def __init__(self, roles: Sequence[Role]) -> None:
        self._roles = {role.name: role for role in roles}
        self._workers: dict[str, Any] = {}
        self._published: dict[str, Published] = {}
        self._loaded: dict[str, Published] = {}
        self._busy_s: defaultdict[str, float] = defaultdict(float)

    def map(
        self, role: str, verb: str, batches: Sequence[Payload], *, priority: int = 0
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        """Calls ``verb`` on every batch, in order, with the weights published by now.

        Raises:
            KeyError: There is no such role.
        """
        return self._run(role, verb, batches, self._worker(role), self._published.get(role))

    def busy_s(self) -> dict[str, float]:
        """Seconds spent on batches so far, by verb."""
        return dict(self._busy_s)

    def cancel(self) -> None:
        """Does nothing: no map goes on by itself."""

    def publish(self, role: str, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Gives a role new weights, loaded before the first batch of its next map."""
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

    def _run(
        self,
        role: str,
        verb: str,
        batches: Sequence[Payload],
        worker: Any,
        published: Published | None,
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        for index, batch in enumerate(batches):
            if published is not None and not _same(self._loaded.get(role), published):
                worker.load(*published)
                self._loaded[role] = published
            start = time.perf_counter()
            result = _call(worker, verb, batch)
            self._busy_s[verb] += time.perf_counter() - start
            yield index, result


def _same(held: Published | None, published: Published) -> bool:
    # A campaign restored to an earlier state may come to other weights of the same version.
    return held is not None and held[0] is published[0] and held[1] == published[1]


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
