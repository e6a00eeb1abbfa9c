"""What a process started by a test does on a signal, whoever started the tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def born_with(number: signal.Signals, action: signal.Handlers) -> Iterator[None]:
    """Children started meanwhile heed (``SIG_DFL``) or ignore (``SIG_IGN``) a signal.

    A shell without job control ignores SIGINT in what it runs in the background; tests run there
    would hand that down to every process they start.
    """
    before = signal.signal(number, action)
    try:
        yield
    finally:
        signal.signal(number, before)
