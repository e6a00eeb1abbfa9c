"""A command in a session of its own, with an end to it: nothing it started outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

_GRACE_S = 10.0
"""How long after a kill the process table is looked through again and again."""


class OutOfTime(RuntimeError):
    """The command was killed at its limit."""


def run_capped(
    command: Sequence[str],
    *,
    limit_s: float,
    log: BinaryIO,
    environment: Mapping[str, str],
    keep_open: Sequence[int] = (),
) -> int:
    """Runs a command to its end or its limit, and kills what is left of its session then.

    The command's standard input is a pipe that nobody writes to. It closes when this process dies,
    however it dies, which :func:`die_with_parent` in the command takes as its own end.

    Args:
        command: Program and arguments.
        limit_s: Wall-clock limit, seconds.
        log: Takes standard output and error.
        environment: The command's whole environment.
        keep_open: File descriptors the command inherits: a lock, say.

    Returns:
        Exit status; minus the signal's number if one ended it.

    Raises:
        OutOfTime: The limit was reached.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        pass_fds=tuple(keep_open),
        start_new_session=True,
    )
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired as error:
        raise OutOfTime(f"killed after {limit_s:.0f} s") from error
    finally:
        kill_session(process.pid)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def die_with_parent() -> None:
    """Makes this process end, with its session, once the one that started it is gone.

    To be called first thing in a command that :func:`run_capped` runs.
    """
    threading.Thread(target=_watch_standard_input, daemon=True).start()


def _watch_standard_input() -> None:
    # Not by sys.stdin: its lock would be held when the interpreter ends.
    os.read(0, 1)
    kill_session(os.getsid(0))


def kill_session(session: int) -> None:
    """Kills every process of a session, and those they start meanwhile.

    Sessions rather than process groups: MPI's launcher puts each rank into a group of its own.

    Args:
        session: Process id of its leader.
    """
    deadline = time.monotonic() + _GRACE_S
    while members := _members(session):
        # Whoever looks after its own session goes last: afterwards nobody would be left to look.
        for pid in sorted(members, key=lambda pid: pid == os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def _members(session: int) -> list[int]:
    """Living processes of a session; the dead that wait to be collected are not counted."""
    members = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            stat = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The command's name, in parentheses, may itself hold spaces and parentheses.
        state, _, _, owner = stat.rpartition(")")[2].split()[:4]
        if int(owner) == session and state not in "ZX":
            members.append(int(entry.name))
    return members
