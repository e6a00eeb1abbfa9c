"""Keeps a run to one process, also across machines where no file lock reaches.

The holder writes ``.lease.json`` with its name, and writes it anew every few seconds. A lease whose
holder has fallen silent may be taken over; a holder that was merely slow finds out at its next
heartbeat, and must not write any more. On a file system with locks of its own they are the stronger
guard; this one also works on NFS and in object stores, and says who holds the run.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from ray_matdesign.rl.storage import Storage, StorageError

logger = logging.getLogger(__name__)

NAME = ".lease.json"
HEARTBEAT_S = 15.0
EXPIRES_AFTER_S = 120.0
"""Silence that ends a lease: well above what NFS caches, or clocks differ by."""
_SETTLE_S = 1.0
"""Two that write at once both look again after this long; the later one has it."""


class Held(RuntimeError):
    """Another process holds the run; the message says which, and what to do if it is gone."""


class LeaseLost(RuntimeError):
    """The lease was taken over while its holder was silent for too long."""


class Lease:
    """A lease on a place, for as long as the context lasts.

    Args:
        storage: The place.
        heartbeat_s: Seconds between signs of life.
        expires_after_s: Silence that ends a lease.
        settle_s: Wait for others that take it at the same moment.

    Raises:
        Held: On entering.
        StorageError: On entering: the place cannot be read or written.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        expires_after_s: float = EXPIRES_AFTER_S,
        settle_s: float = _SETTLE_S,
    ) -> None:
        self._storage = storage
        self._heartbeat_s, self._expires_after_s = heartbeat_s, expires_after_s
        self._settle_s = settle_s
        self._token = secrets.token_hex(8)
        self._since = time.time()
        self._ended, self._lost = threading.Event(), ""
        self._heart = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._refuse_if_held(self._found())
        self._write()
        time.sleep(self._settle_s)
        self._refuse_if_held(self._found())
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._heart.join()
        try:
            held = self._found()
            if held is not None and held["token"] == self._token:
                self._storage.remove(NAME)
        except StorageError as problem:
            logger.warning("the lease stays where it is, and expires: %s", problem)

    def check(self) -> None:
        """Makes sure that this process may still write.

        Raises:
            LeaseLost: Another one took over.
        """
        if self._lost:
            raise LeaseLost(self._lost)

    def _beat(self) -> None:
        while not self._ended.wait(self._heartbeat_s) and not self._lost:
            try:
                held = self._found()
                if held is not None and held["token"] != self._token:
                    self._lost = (
                        f"{self._storage.place}: {_name(held)} took the run over while this "
                        f"process was silent; it must not write any more"
                    )
                else:
                    self._write()
            except StorageError as problem:
                logger.warning("no sign of life could be given: %s", problem)

    def _write(self) -> None:
        content = {
            "token": self._token,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": self._since,
            "alive": time.time(),
        }
        self._storage.write(NAME, json.dumps(content).encode())

    def _found(self) -> Mapping[str, Any] | None:
        content = self._storage.read(NAME)
        if content is None:
            return None
        try:
            held: dict[str, Any] = json.loads(content)
            missing = {"token", "host", "pid", "alive"} - held.keys()
        except (ValueError, AttributeError) as error:
            raise StorageError(self._no_lease()) from error
        if missing:
            raise StorageError(self._no_lease())
        return held

    @property
    def _path(self) -> str:
        return f"{self._storage.place.rstrip('/')}/{NAME}"

    def _no_lease(self) -> str:
        return f"{self._path} is no lease; remove it if no process runs there"

    def _refuse_if_held(self, held: Mapping[str, Any] | None) -> None:
        if held is None or held["token"] == self._token or _is_dead(held):
            return
        silent = max(0.0, time.time() - held["alive"])
        if silent < self._expires_after_s:
            raise Held(
                f"{self._storage.place} is in use by {_name(held)}, last sign of life "
                f"{silent:.0f} s ago; if that process is gone, wait "
                f"{self._expires_after_s - silent:.0f} s or remove {self._path}"
            )
        logger.warning(
            "%s: taken over from %s, silent for %.0f s", self._storage.place, _name(held), silent
        )


def _name(held: Mapping[str, Any]) -> str:
    return f"process {held['pid']} on {held['host']}"


def _is_dead(held: Mapping[str, Any]) -> bool:
    """Whether the holder ran on this machine and is there no more."""
    if held["host"] != socket.gethostname():
        return False
    try:
        os.kill(int(held["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
