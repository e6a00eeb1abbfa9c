"""What came of a run: a value, whatever the code did."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

EXIT_MEMORY = 121
EXIT_FILE = 122
EXIT_SCRATCH = 123
"""Exit statuses of code that met a limit as an error it did not handle."""


class Outcome(StrEnum):
    """How a run ended."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    STOPPED = "stopped"
    LOST = "lost"


class Limit(StrEnum):
    """Which limit ended a run."""

    CPU = "cpu"
    WALL = "wall"
    MEMORY = "memory"
    FILE = "file"
    SCRATCH = "scratch"
    TASKS = "tasks"


_OF_STATUS = {EXIT_MEMORY: Limit.MEMORY, EXIT_FILE: Limit.FILE, EXIT_SCRATCH: Limit.SCRATCH}


@dataclass(frozen=True)
class Result:
    """One run.

    Only ``outcome``, ``limit``, times and sizes are the sandbox's own account; output, values and
    files are the code's, and so is an exit status.

    Attributes:
        outcome: ``EXITED`` with a status, ``SIGNALLED`` by a signal, ``STOPPED`` by a limit, or
            ``LOST``: the sandbox itself ended, and ``reason`` says how.
        tier: Which walls stood: ``bubblewrap`` or ``landlock``.
        walls: What they were made of, for the record.
        exit_status: Of code that exited; 0 is success.
        signal: Name of the signal, such as ``SIGSEGV``.
        limit: Which limit stopped it.
        reason: One line for what ``outcome`` does not say.
        stdout: Standard output, cut at the limit; what is not UTF-8 is replaced.
        stderr: Standard error, likewise.
        truncated: Whether output was dropped.
        values: What a function returned, or what the code wrote to ``result.json`` and
            ``result.npz``.
        files: Outputs that were asked for, by name.
        refused: Outputs that could not be taken, with the reason.
        cpu_s: Processor seconds used.
        wall_s: Seconds from start to end.
        memory_mib: Most memory seen beyond what the imported packages hold.
    """

    outcome: Outcome
    tier: str
    walls: tuple[str, ...] = ()
    exit_status: int | None = None
    signal: str | None = None
    limit: Limit | None = None
    reason: str = ""
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_mib: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the code came to its end without an error."""
        return self.outcome is Outcome.EXITED and self.exit_status == 0

    def plain(self) -> dict[str, Any]:
        """As strings, numbers, bytes and arrays, to cross a process."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("values", "files", "refused"):
            told[name] = dict(told[name])
        told["outcome"] = str(self.outcome)
        told["limit"] = None if self.limit is None else str(self.limit)
        return told

    @classmethod
    def from_plain(cls, told: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`plain`."""
        limit = told["limit"]
        return cls(
            **{
                **told,
                "outcome": Outcome(told["outcome"]),
                "limit": None if limit is None else Limit(limit),
                "walls": tuple(told["walls"]),
            }
        )


def ending(status: int, limit: Limit | None) -> dict[str, Any]:
    """How a run ended, as fields of :class:`Result`.

    Args:
        status: As ``wait`` reports it.
        limit: The one that it was stopped for, if any.
    """
    if limit is None and os.WIFEXITED(status):
        code = os.WEXITSTATUS(status)
        if code in _OF_STATUS:
            return {"outcome": Outcome.STOPPED, "limit": _OF_STATUS[code]}
        return {"outcome": Outcome.EXITED, "exit_status": code}
    if limit is None and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGXFSZ):
        limit = Limit.CPU if os.WTERMSIG(status) == signal.SIGXCPU else Limit.FILE
    if limit is not None:
        return {"outcome": Outcome.STOPPED, "limit": limit}
    return {"outcome": Outcome.SIGNALLED, "signal": signal_name(os.WTERMSIG(status))}


def signal_name(number: int) -> str:
    """``SIGSEGV`` for 11; the number itself where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals
        return f"signal {number}"
