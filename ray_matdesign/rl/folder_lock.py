"""One process at a time in a folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray_matdesign.rl.lease import Held, Lease
from ray_matdesign.rl.storage import FolderStorage, StorageError


@contextmanager
def folder_lock(folder: Path, failure: type[Exception]) -> Iterator[None]:
    """Makes the folder and keeps a second process out of it; the lock dies with its holder.

    Args:
        folder: Of a run or a sweep.
        failure: Raised, with one line, where the folder cannot be had.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise failure(f"cannot write to {folder}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise failure(f"another process is running in {folder}") from error
        try:
            # On the file systems that machines share, the lock may be known to one of them only.
            with Lease(FolderStorage(folder), settle_s=0.0):
                yield
        except (Held, StorageError) as error:
            raise failure(str(error)) from error
