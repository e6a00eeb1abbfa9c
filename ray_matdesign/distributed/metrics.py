"""What the pools tell Ray's metrics: for Prometheus, or any scraper of the nodes' endpoints."""

from __future__ import annotations

from ray.util.metrics import Counter, Histogram

_LATENCY_BOUNDS_S = [0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1200.0, 3600.0]


class PoolMetrics:
    """Counters of one role.

    Tags are the role and the verb, of which there are a handful; a formula or a key as a tag would
    make a time series of every crystal.
    """

    def __init__(self, role: str) -> None:
        self._role = role
        tags = ("role", "verb")
        self._latency = Histogram(
            "ray_matdesign_batch_seconds",
            "From the moment a worker could begin a batch to its result",
            boundaries=_LATENCY_BOUNDS_S,
            tag_keys=tags,
        )
        self._retries = Counter(
            "ray_matdesign_batch_retries_total", "Batches given out again", tag_keys=tags
        )
        self._failures = Counter(
            "ray_matdesign_batch_failures_total", "Batches given up", tag_keys=tags
        )
        self._respawns = Counter(
            "ray_matdesign_worker_respawns_total", "Workers replaced", tag_keys=("role",)
        )

    def finished(self, verb: str, seconds: float) -> None:
        """A batch came back."""
        self._latency.observe(seconds, tags={"role": self._role, "verb": verb})

    def retried(self, verb: str) -> None:
        """A batch is tried again."""
        self._retries.inc(tags={"role": self._role, "verb": verb})

    def gave_up(self, verb: str) -> None:
        """A batch failed for good."""
        self._failures.inc(tags={"role": self._role, "verb": verb})

    def respawned(self) -> None:
        """A worker was lost and another took its place."""
        self._respawns.inc(tags={"role": self._role})
