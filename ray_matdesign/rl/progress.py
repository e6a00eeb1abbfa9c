"""What a run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Progress(Protocol):
    """Receives a run's progress; all calls come from the thread that runs the loop."""

    def run_started(self, *, directory: Path, first_loop: int, loops: int) -> None:
        """Loops ``first_loop`` to ``loops`` are about to run."""
        ...

    def loop_started(self, loop: int) -> None:
        """A loop begins; loops count from 1."""
        ...

    def stage(self, name: str, done: int, total: int) -> None:
        """``done`` of ``total`` items of a stage are finished.

        ``name`` is ``sample``, ``relax``, ``evaluate`` or ``finetune``; a stage is first reported
        with ``done=0``.
        """
        ...

    def loop_finished(self, metrics: Mapping[str, Any]) -> None:
        """A loop ended; these are its metrics, as in ``metrics.jsonl``."""
        ...

    def note(self, line: str) -> None:
        """Something worth a line: a batch that failed, a checkpoint passed over."""
        ...


class Silent:
    """Shows nothing."""

    def run_started(self, *, directory: Path, first_loop: int, loops: int) -> None:
        """Ignored."""

    def loop_started(self, loop: int) -> None:
        """Ignored."""

    def stage(self, name: str, done: int, total: int) -> None:
        """Ignored."""

    def loop_finished(self, metrics: Mapping[str, Any]) -> None:
        """Ignored."""

    def note(self, line: str) -> None:
        """Ignored."""


class Several:
    """Tells several watchers, in their order.

    Args:
        watchers: Whom to tell.
    """

    def __init__(self, *watchers: Progress) -> None:
        self._watchers = watchers

    def run_started(self, *, directory: Path, first_loop: int, loops: int) -> None:
        """Passed on."""
        for watcher in self._watchers:
            watcher.run_started(directory=directory, first_loop=first_loop, loops=loops)

    def loop_started(self, loop: int) -> None:
        """Passed on."""
        for watcher in self._watchers:
            watcher.loop_started(loop)

    def stage(self, name: str, done: int, total: int) -> None:
        """Passed on."""
        for watcher in self._watchers:
            watcher.stage(name, done, total)

    def loop_finished(self, metrics: Mapping[str, Any]) -> None:
        """Passed on."""
        for watcher in self._watchers:
            watcher.loop_finished(metrics)

    def note(self, line: str) -> None:
        """Passed on."""
        for watcher in self._watchers:
            watcher.note(line)
