"""An executor whose maps go on by themselves, several at once, and finish in any order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import numpy as np

from ray_matdesign.rl.executor import BatchFailed, MapCancelled, Payload, Role
from ray_matdesign.rl.local import LocalExecutor


class HastyExecutor:
    """Workers of a :class:`LocalExecutor` on threads, with naps at random between batches.

    Attributes:
        log: ``(role, verb, priority)`` of every map, in the order they were asked for.
        under_way: Greatest number of maps that were under way at the same time.
    """

    concurrent = True

    def __init__(self, roles: Sequence[Role], seed: int = 0, nap_s: float = 0.01) -> None:
        self._local = LocalExecutor(roles)
        self._turn = threading.Lock()
        self._threads = ThreadPoolExecutor(4)
        self._naps = np.random.default_rng(seed)
        self._nap_s = nap_s
        self._generation = 0
        self._open = 0
        self.log: list[tuple[str, str, int]] = []
        self.under_way = 0
        self.close = self._local.close
        self.busy_s = self._local.busy_s

    def publish(self, role: str, weights: Mapping[str, Any], version: int) -> None:
        with self._turn:
            self._local.publish(role, weights, version)

    def map(
        self, role: str, verb: str, batches: Sequence[Payload], *, priority: int = 0
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        with self._turn:
            self.log.append((role, verb, priority))
            self._open += 1
            self.under_way = max(self.under_way, self._open)
            order = self._naps.permutation(len(batches)).tolist()
            # One batch a map, asked for now: the weights are those published by now.
            calls = {i: self._local.map(role, verb, [batches[i]]) for i in order}
        results: SimpleQueue[Any] = SimpleQueue()
        generation = self._generation
        for index in order:
            self._threads.submit(self._work, index, calls[index], results, generation)
        return self._taken(len(batches), results)

    def cancel(self) -> None:
        self._generation += 1

    def _work(self, index: int, call: Any, results: SimpleQueue[Any], generation: int) -> None:
        time.sleep(self._naps.uniform(0.0, self._nap_s))
        with self._turn:
            if generation != self._generation:
                results.put(MapCancelled("cancelled"))
                return
            ((_, result),) = call
            results.put((index, result))

    def _taken(self, n: int, results: SimpleQueue[Any]) -> Iterator[Any]:
        for _ in range(n):
            result = results.get()
            if isinstance(result, MapCancelled):
                raise result
            yield result
        self._open -= 1
