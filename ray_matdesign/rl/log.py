"""The log of a run: JSON lines for machines; people have the console and the report."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

LOG_NAME = "log.jsonl"
"""The log's file in a run directory."""

STAGE_EVERY_S = 10.0
"""Least time between two lines about the same stage, its first and last line aside."""

_PACKAGE = "ray_matdesign"
_EVENTS = f"{_PACKAGE}.run"
"""Name of the logger that a run's progress goes to."""

_FIGURES = (
    "policy_version", "requested", "relaxed", "sun", "evaluated", "evaluations_total",
    "reward_mean", "reward_max", "loss", "wall_s",
)  # fmt: skip
"""What a line about a finished loop repeats of ``metrics.jsonl``."""

_STANDARD = frozenset((*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"))

logger = logging.getLogger(_EVENTS)


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object: time, level, logger, message, context, and its extras.

    Whatever a caller passes as ``extra`` becomes a key of the line, for example ``candidates``, the
    keys of the crystals concerned.

    Attributes:
        context: Keys of every line from now on: the run and the loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.context: dict[str, Any] = {}

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self.context,
            **{k: v for k, v in record.__dict__.items() if k not in _STANDARD},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class RunLog:
    """Keeps ``log.jsonl`` in the run directory; also the run's progress as lines of it.

    While entered, the package's loggers write there from ``INFO`` on, what came before the run
    directory was ready included. Lines carry ``run``, which tells this run from any other, and,
    once there is one, ``loop``. The file is appended to, never rewritten: a resumed run goes on in
    it.

    Args:
        stream: Receives the same lines. Without one, warnings go to stderr as they are, unless the
            program has handlers of its own for them.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._lines = JsonLines()
        self._early = _Kept()
        self._file: logging.FileHandler | None = None
        self._handlers: list[logging.Handler] = [self._early]
        if stream is not None:
            self._handlers.append(logging.StreamHandler(stream))
        elif not logging.getLogger(_PACKAGE).hasHandlers():
            self._handlers.append(_Warnings())
        self._level = logging.NOTSET
        self._last_stage: tuple[str, float] = ("", 0.0)

    def __enter__(self) -> Self:
        package = logging.getLogger(_PACKAGE)
        self._level = package.level
        package.setLevel(logging.INFO)
        for handler in self._handlers:
            if not isinstance(handler, _Warnings):
                handler.setFormatter(self._lines)
            package.addHandler(handler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._event("run_ended", "run finished", outcome="finished")
        elif isinstance(error, KeyboardInterrupt):
            self._event("run_ended", str(error) or "interrupted", outcome="interrupted")
        else:
            what = f"{type(error).__name__}: {error}"
            self._event("run_ended", what, logging.ERROR, outcome="failed")
        package = logging.getLogger(_PACKAGE)
        for handler in self._handlers:
            package.removeHandler(handler)
            handler.close()
        package.setLevel(self._level)

    def run_started(self, *, directory: Path, first_loop: int, loops: int) -> None:
        """Opens the file."""
        self._lines.context["run"] = run_id(directory)
        self._file = logging.FileHandler(directory / LOG_NAME, encoding="utf-8")
        self._file.setFormatter(self._lines)
        for record in self._early.records:
            self._file.handle(record)
        package = logging.getLogger(_PACKAGE)
        package.removeHandler(self._early)
        package.addHandler(self._file)
        self._handlers.remove(self._early)
        self._handlers.append(self._file)
        self._event(
            "run_started",
            f"run started in {directory}",
            first_loop=first_loop,
            loops=loops,
            pid=os.getpid(),
            host=platform.node(),
        )

    def loop_started(self, loop: int) -> None:
        """Begins a loop; later lines carry it."""
        self._lines.context["loop"] = loop
        self._event("loop_started", f"loop {loop} started")

    def stage(self, name: str, done: int, total: int) -> None:
        """Logs a stage as it begins and ends, and now and then between."""
        last, then = self._last_stage
        now = time.monotonic()
        if name == last and done < total and now - then < STAGE_EVERY_S:
            return
        self._last_stage = (name, now)
        self._event("stage", f"{name} {done}/{total}", stage=name, done=done, total=total)

    def loop_finished(self, metrics: Mapping[str, Any]) -> None:
        """Logs the loop's main figures."""
        figures: dict[str, Any] = {name: metrics.get(name) for name in _FIGURES}
        self._event("loop_finished", f"loop {metrics['loop']} finished", **figures)

    def note(self, line: str) -> None:
        """Logs it."""
        self._event("note", line, logging.WARNING)

    def _event(self, event: str, message: str, level: int = logging.INFO, **extra: Any) -> None:
        logger.log(level, "%s", message, extra={"event": event, **extra})


def run_id(directory: Path) -> str:
    """What tells a run from all others: its folder's name, its seed and when it was started."""
    versions = json.loads((directory / "versions.json").read_text(encoding="utf-8"))
    started = datetime.fromisoformat(versions["started"]).strftime("%Y%m%dT%H%M%SZ")
    return f"{directory.resolve().name}-{versions['seed']}-{started}"


class _Kept(logging.Handler):
    """Holds what is logged before the run directory is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class _Warnings(logging.Handler):
    """Prints warnings, other than the run's notes, which the console shows already."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.addFilter(lambda record: record.name != _EVENTS)

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.format(record)}\n")
