"""Files of JSON lines that several processes append to, and that survive a crash of any."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO


class BadLines(ValueError):
    """A file that does not hold one JSON object a line; the message names the file and line."""


def append_line(path: Path, entry: Mapping[str, Any]) -> None:
    """Adds a line, whole or not at all; it is on disk when this returns.

    What a writer that died left of a line is cut off first.

    Raises:
        OSError: The folder is missing, the disk is full.
        TypeError: The entry is not plain data.
        ValueError: It holds a number that is not finite.
    """
    line = json.dumps(entry, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    with open(path, "a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        whole = _whole_bytes(file)
        file.truncate(whole)
        try:
            written = 0
            while written < len(line):
                written += file.write(line[written:]) or 0
            os.fsync(file.fileno())
        except BaseException:
            file.truncate(whole)
            raise


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number, from 1, and content of each line; the unfinished one of a writer that died is none.

    Raises:
        OSError: The file cannot be read.
        BadLines: A line is not a JSON object.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadLines(f"{path}: line {number}: not JSON: {error}") from error
            if not isinstance(entry, dict):
                raise BadLines(f"{path}: line {number}: not a JSON object")
            yield number, entry


def _whole_bytes(file: BinaryIO) -> int:
    """Bytes up to the end of the last whole line."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
