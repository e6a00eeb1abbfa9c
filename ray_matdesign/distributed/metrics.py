"""What a run tells Ray's metrics: for Prometheus, or any scraper of the nodes' endpoints.

Ray puts ``ray_`` before a name and ``_total`` behind a counter's, so that ``matdesign_respawns`` is
scraped as ``ray_matdesign_respawns_total``. Tags take a handful of values each; a formula or a key
as a tag would make a time series of every crystal.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import ray
from ray.util.metrics import Counter, Gauge, Histogram

REPEAT_S = 1.0
"""Time between two reports of a gauge that has not changed; Ray reports no more often itself."""

_LATENCY_BOUNDS_S = [0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1200.0, 3600.0]


class StandingGauges:
    """Gauges that keep the value they were given.

    Ray drops a gauge that was not set again within two of its report intervals, that is after
    twenty seconds, and a loop may take an hour. A thread of this process therefore sets all of them
    again every second, those of owners that are gone excepted: they end with their owner.
    """

    _alive: ClassVar[weakref.WeakSet[StandingGauges]] = weakref.WeakSet()
    _thread: ClassVar[threading.Thread | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._gauges: dict[str, Gauge] = {}
        self._values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        with StandingGauges._lock:
            StandingGauges._alive.add(self)
            if StandingGauges._thread is None:
                StandingGauges._thread = threading.Thread(target=_repeat, daemon=True)
                StandingGauges._thread.start()

    def set(self, name: str, value: float, **tags: str) -> None:
        """Gives a gauge a value; its tags are those of its first call."""
        with StandingGauges._lock:
            if name not in self._gauges:
                self._gauges[name] = Gauge(name, tag_keys=tuple(tags))
            self._values[name, tuple(tags.items())] = value
            self._gauges[name].set(value, tags=tags)

    def forget(self, name: str) -> None:
        """Ends a gauge, with all its tags."""
        with StandingGauges._lock:
            self._values = {key: v for key, v in self._values.items() if key[0] != name}

    def end(self) -> None:
        """Ends every gauge."""
        with StandingGauges._lock:
            self._values.clear()

    def repeat(self) -> None:
        """Sets every gauge again."""
        with StandingGauges._lock:
            for (name, tags), value in self._values.items():
                self._gauges[name].set(value, tags=dict(tags))


def _repeat() -> None:
    while True:
        time.sleep(REPEAT_S)
        with StandingGauges._lock:
            alive = list(StandingGauges._alive)
        if ray.is_initialized():
            for gauges in alive:
                gauges.repeat()
        del alive


class PoolMetrics:
    """What one role's pool does.

    Args:
        role: Tags every figure.
    """

    def __init__(self, role: str) -> None:
        self._role = role
        of_verb = ("role", "verb")
        self._latency = Histogram(
            "matdesign_batch_seconds",
            "From the moment a worker could begin a batch to its result",
            boundaries=_LATENCY_BOUNDS_S,
            tag_keys=of_verb,
        )
        self._busy = Counter(
            "matdesign_busy_seconds", "Worker seconds spent on batches", tag_keys=("role",)
        )
        self._retries = Counter(
            "matdesign_batch_retries", "Batches given out again", tag_keys=of_verb
        )
        self._failures = Counter(
            "matdesign_batch_failures", "Batches given up", tag_keys=(*of_verb, "reason")
        )
        self._respawns = Counter(
            "matdesign_worker_respawns", "Workers replaced", tag_keys=("role",)
        )
        self._gauges = StandingGauges()

    def finished(self, verb: str, seconds: float) -> None:
        """A batch came back."""
        self._latency.observe(seconds, tags={"role": self._role, "verb": verb})
        if seconds > 0.0:  # Ray refuses to count by zero
            self._busy.inc(seconds, tags={"role": self._role})

    def retried(self, verb: str) -> None:
        """A batch is tried again."""
        self._retries.inc(tags={"role": self._role, "verb": verb})

    def gave_up(self, verb: str, why: str) -> None:
        """A batch failed for good, for a reason as in ``BatchFailed``."""
        reason = failure_class(why)
        self._failures.inc(tags={"role": self._role, "verb": verb, "reason": reason})

    def respawned(self) -> None:
        """A worker was lost and another took its place."""
        self._respawns.inc(tags={"role": self._role})

    def queued(self, waiting: int, given_out: int) -> None:
        """So many batches wait in the pool; so many run, or wait behind one that runs."""
        self._set("matdesign_batches", waiting=waiting, given_out=given_out)

    def staffed(self, ready: int, starting: int) -> None:
        """So many workers stand; so many are being built."""
        self._set("matdesign_workers", ready=ready, starting=starting)

    def close(self) -> None:
        """The pool is no more, even if something still holds on to this."""
        self._gauges.end()

    def _set(self, name: str, **counts: int) -> None:
        for state, count in counts.items():
            self._gauges.set(name, count, role=self._role, state=state)


class RunMetrics:
    """A run's progress and figures, from the driver: a :class:`ray_matdesign.rl.progress.Progress`.

    Every number of a ``metrics.jsonl`` row becomes the gauge ``matdesign_loop_<key>``. Of a nested
    one, such as ``rejections``, the keys become values of the tag ``of``, cut at the first colon,
    so that reasons count by their class. A figure that a loop does not have is not exported.
    """

    def __init__(self) -> None:
        self._run = ""
        self._gauges = StandingGauges()
        self._crystals = Counter(
            "matdesign_crystals", "Crystals that a stage is done with", tag_keys=("run", "stage")
        )
        self._notes = Counter(
            "matdesign_notes", "Things worth a line in the log", tag_keys=("run",)
        )
        self._stage: tuple[str, int] = ("", 0)

    def run_started(self, *, directory: Path, first_loop: int, loops: int) -> None:
        """Tags what follows with the folder's name."""
        self._run = directory.resolve().name
        self._gauges.set("matdesign_loops", first_loop - 1, run=self._run, state="done")
        self._gauges.set("matdesign_loops", loops, run=self._run, state="asked_for")

    def loop_started(self, loop: int) -> None:
        """Stages begin anew."""
        self._stage = ("", 0)

    def stage(self, name: str, done: int, total: int) -> None:
        """Counts what is done since the last word on the same stage.

        What a stage begins with was paid for earlier, by the run that this one resumes.
        """
        before, self._stage = self._stage, (name, done)
        if name == before[0] and done > before[1]:
            self._crystals.inc(done - before[1], tags={"run": self._run, "stage": name})

    def loop_finished(self, metrics: Mapping[str, Any]) -> None:
        """Sets the gauges."""
        self._gauges.set("matdesign_loops", metrics["loop"], run=self._run, state="done")
        for key, value in metrics.items():
            name = f"matdesign_loop_{key}"
            self._gauges.forget(name)
            for tags, number in _numbers(value):
                self._gauges.set(name, number, run=self._run, **tags)

    def note(self, line: str) -> None:
        """Counts it."""
        self._notes.inc(tags={"run": self._run})


def failure_class(why: str) -> str:
    """One word for why a batch failed: ``died``, ``deadline`` or ``raised``."""
    if why.startswith(("worker died", "died while idle")):
        return "died"
    return "deadline" if why.startswith("no answer within") else "raised"


def _numbers(value: Any) -> Iterator[tuple[dict[str, str], float]]:
    """What there is to show of one entry of a row: tags, number."""
    if isinstance(value, int | float):
        yield {}, float(value)
    elif isinstance(value, Mapping):
        sums: defaultdict[str, float] = defaultdict(float)
        for key, inner in value.items():
            if isinstance(inner, int | float):
                sums[str(key).partition(":")[0]] += inner
        yield from (({"of": of}, total) for of, total in sums.items())
