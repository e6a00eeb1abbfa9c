"""The ledger: results already paid for, so that a resumed run never pays twice.

Each finished batch is appended to the loop's file and forced to disk before the loop goes on. A
file is lines of JSON ``{"verb", "results": {candidate key: record}}``; a last line cut short by a
crash is dropped when the file is opened again. Where several loops are under way at once, each has
a ledger of its own, in the same folder.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from ray_matdesign.rl import plain_json
from ray_matdesign.rl.mirror import Copy, NoCopy

Record = Mapping[str, Any]


class LedgerError(ValueError):
    """A ledger that was damaged otherwise than by a crash."""


class Ledger:
    """Results by verb and candidate key of one loop, in memory and, given a folder, on disk.

    Several threads may record at once.

    Args:
        folder: Made when it is needed.
        copy: Told whenever a file has grown.
    """

    def __init__(self, folder: Path | None = None, copy: Copy | None = None) -> None:
        self._folder = folder
        self._copy = copy or NoCopy()
        self._results: dict[tuple[str, str], Record] = {}
        self._path: Path | None = None
        self._writing = threading.Lock()

    def turned_to(self, loop: int) -> Self:
        """Another ledger in the same folder, turned to a loop.

        Raises:
            LedgerError: A line other than the last cannot be read.
        """
        other = type(self)(self._folder, self._copy)
        other.open_loop(loop)
        return other

    def open_loop(self, loop: int) -> None:
        """Turns to a loop, taking up what an interrupted attempt at it left.

        Raises:
            LedgerError: A line other than the last cannot be read.
        """
        self._results = {}
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = self._folder / f"loop-{loop:05d}.jsonl"
        if self._path.exists():
            self._take_up(self._path)

    def get(self, verb: str, key: str) -> Record | None:
        """The result of ``verb`` for a candidate, if it was paid for."""
        return self._results.get((verb, key))

    def record(self, verb: str, results: Mapping[str, Record]) -> None:
        """Keeps the results of one batch; they are on disk when this returns.

        Raises:
            OSError: The disk is full.
        """
        with self._writing:
            if self._path is not None:
                line = plain_json.dumps({"verb": verb, "results": results}) + "\n"
                with self._path.open("ab") as file:
                    file.write(line.encode())
                    file.flush()
                    os.fsync(file.fileno())
                self._copy.ledger_grew()
            self._remember(verb, results)

    def forget_before(self, loop: int) -> None:
        """Removes the files of loops that no kept checkpoint could ask to repeat."""
        if self._folder is None:
            return
        for path in self._folder.glob("loop-*.jsonl"):
            if int(path.stem.removeprefix("loop-")) < loop:
                path.unlink()

    def _remember(self, verb: str, results: Mapping[str, Record]) -> None:
        self._results.update({(verb, key): record for key, record in results.items()})

    def _take_up(self, path: Path) -> None:
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            with path.open("r+b") as file:
                file.truncate(len(whole))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                entry = plain_json.loads(line.decode())
                self._remember(entry["verb"], entry["results"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise LedgerError(
                    f"{path}: line {number} cannot be read ({error}); remove the file to pay for "
                    f"that loop's evaluations again"
                ) from error
