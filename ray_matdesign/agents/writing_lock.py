"""One writer at a time, and a clear word to the others."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_GLANCE_S = 0.05


class Locked(RuntimeError):
    """Somebody else is writing."""


@contextmanager
def writing(path: Path, wait_s: float) -> Iterator[None]:
    """Holds the lock of a folder; the kernel takes it from a process that dies.

    Args:
        path: File of the lock; made if it is missing.
        wait_s: How long to wait for another writer.

    Raises:
        Locked: It is still writing then; the message says who it is.
    """
    deadline = time.monotonic() + wait_s
    with open(path, "a+", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    who = file.read(200).strip() or "another process"
                    raise Locked(
                        f"{path.parent}: {who} is writing to it; try again when it is done"
                    ) from None
                time.sleep(_GLANCE_S)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
