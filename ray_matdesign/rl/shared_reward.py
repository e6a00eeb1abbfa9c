"""A reward worker for several runs at once: their models are loaded once, their objectives differ.

Runs of a sweep mostly share the potential and the reference set, which take long to load and much
memory, and differ in weights and bounds, which take neither.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from ray_matdesign.rewards.scorer import Bench
from ray_matdesign.rl.executor import Payload
from ray_matdesign.rl.workers import RewardWorker, bench_of, worker_at

WORKERS_KEPT = 64
"""Objectives kept built, those asked last: each may hold a trained predictor."""

_INSTRUMENTS = ("potential", "stability")
"""Settings that :func:`bench_of` reads."""


class SharedRewardWorker:
    """Answers for whichever run asks; see :class:`ray_matdesign.rl.workers.RewardWorker`."""

    def __init__(self) -> None:
        self._benches: dict[str, Bench] = {}
        self._workers: OrderedDict[str, RewardWorker] = OrderedDict()

    def serve(self, request: Payload) -> Payload:
        """``{settings, verb, payload}`` to the answer of a worker built from these settings."""
        worker = self._worker(request["settings"])
        answer: Payload = getattr(worker, request["verb"])(request["payload"])
        return answer

    def _worker(self, settings: Mapping[str, Any]) -> RewardWorker:
        key = json.dumps(settings, sort_keys=True)
        if key not in self._workers:
            instruments = {name: settings[name] for name in _INSTRUMENTS}
            shelf = json.dumps(instruments, sort_keys=True)
            if shelf not in self._benches:
                self._benches[shelf] = bench_of(settings)
            self._workers[key] = worker_at(self._benches[shelf], settings)
            if len(self._workers) > WORKERS_KEPT:
                self._workers.popitem(last=False)
        self._workers.move_to_end(key)
        return self._workers[key]


def shared_reward_worker(settings: Mapping[str, Any]) -> SharedRewardWorker:
    """Builds one; what it needs comes with each request."""
    return SharedRewardWorker()
