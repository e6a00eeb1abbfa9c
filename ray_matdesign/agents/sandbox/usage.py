"""How much the processes of a run use, read from ``/proc``."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024


@dataclass(frozen=True)
class Consumption:
    """Of all processes together.

    Attributes:
        tasks: Threads, at least one a process.
        cpu_s: Processor seconds, of those that ended and were waited for as well.
        memory: Bytes that are neither files nor shared with the process they were forked from.
        deleted: Bytes on disk in files that have no name any more but are open.
    """

    tasks: int
    cpu_s: float
    memory: int
    deleted: int


def processes(proc: int) -> set[int]:
    """Ids of all processes there are.

    Args:
        proc: Descriptor of ``/proc``.
    """
    return {int(name) for name in os.listdir(proc) if name.isdecimal()}


def private_memory(proc: int, pid: int) -> int:
    """Bytes of memory that are no file's.

    Args:
        proc: Descriptor of ``/proc``.
        pid: Whose.

    Raises:
        OSError: The process is gone.
    """
    lines = _read(proc, f"{pid}/status").decode().splitlines()
    kib = [int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(kib) * _KIB


def consumption(proc: int, pids: Iterable[int], shared: int, *, deleted: bool) -> Consumption:
    """What processes use now.

    Args:
        proc: Descriptor of ``/proc``.
        pids: Which; those that are gone count nothing.
        shared: Memory each had from the start.
        deleted: Whether to look for files without a name.
    """
    tasks, ticks, memory, hidden = 0, 0, 0, 0
    for pid in pids:
        try:
            # The command's name, in parentheses, may itself hold spaces and parentheses.
            fields = _read(proc, f"{pid}/stat").rpartition(b")")[2].split()
            if fields[0] in (b"Z", b"X"):
                ticks += sum(int(field) for field in fields[11:15])
                continue
            tasks += int(fields[17])
            ticks += sum(int(field) for field in fields[11:15])
            memory += max(0, private_memory(proc, pid) - shared)
            hidden += _deleted(proc, pid) if deleted else 0
        except (FileNotFoundError, ProcessLookupError):
            continue
    return Consumption(tasks, ticks / _TICKS, memory, hidden)


def _deleted(proc: int, pid: int) -> int:
    blocks = 0
    try:
        folder = os.open(f"{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    except PermissionError:  # it is about to end: its files in /proc belong to root by now
        return 0
    try:
        for name in os.listdir(folder):
            try:
                about = os.stat(name, dir_fd=folder)
            except (FileNotFoundError, PermissionError):  # closed meanwhile, or likewise
                continue
            if stat.S_ISREG(about.st_mode) and about.st_nlink == 0:
                blocks += about.st_blocks
    finally:
        os.close(folder)
    return blocks * 512


def _read(proc: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc), "rb") as file:
        return file.read()
