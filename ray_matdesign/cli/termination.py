"""SIGTERM, as batch schedulers and ``ray job stop`` send it, ends a command the way Ctrl-C does."""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType
from typing import Any, Self

_AGAIN_S = 1.0
"""Between two attempts to be heard."""


class Terminated(KeyboardInterrupt):
    """SIGTERM has come."""


class Termination:
    """While entered, SIGTERM raises :class:`Terminated` in the main thread.

    What a signal handler raises reaches whatever the main thread is at, and not everything passes
    it on: Ray makes a plain ``KeyboardInterrupt`` of it when it has waited for more than a second,
    and a destructor prints it and goes on. So ``came`` tells which signal it was, and the exception
    is raised again every second until one is being dealt with; further signals change nothing.

    Ctrl-C is left to Python, which heeds it unless the process was started with SIGINT ignored.

    Attributes:
        came: Whether SIGTERM has come.
    """

    def __init__(self) -> None:
        self.came = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._take(signal.SIGTERM)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.came:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, action in self._before.items():
            signal.signal(number, action)
        self._before.clear()

    def _take(self, number: signal.Signals) -> None:
        self._before[number] = signal.getsignal(number) or signal.SIG_DFL
        signal.signal(number, self._terminate)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        if not self.came:
            self.came = True
            self._take(signal.SIGALRM)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S, _AGAIN_S)
        if not _interrupted(sys.exception()):
            raise Terminated


def _interrupted(error: BaseException | None) -> bool:
    """Whether an exception under treatment is an interruption, or came up while one was treated."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False
