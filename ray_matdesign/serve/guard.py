"""Runs a command that must not outlive its owner: ``python guard.py COMMAND ...``.

The owner holds the other end of standard input. When that closes, which the kernel sees to however
the owner ended, the command is told to end and, some seconds later, made to, with every process of
its session. The status is the command's. Should the guard itself be killed, as Ray kills the
children of a worker that ends, a watch that nobody knows of makes an end to the session. A file to
be run by any Python: it imports nothing of this package.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

GRACE_S = 10.0
_PR_SET_PDEATHSIG = 1


def guard(command: list[str]) -> int:
    """Runs a command until it ends or standard input closes.

    Returns:
        Its exit status, or 128 and the number of the signal that ended it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the owner, who closes the pipe
        signal.signal(number, signal.SIG_IGN)
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        # Should this guard itself be killed, the command goes with it.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)

    # One thread, so nothing can hold a lock across the forks.
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=prepare
    )
    relieve = _set_watch(child.pid)
    ended = os.pidfd_open(child.pid)
    waiting = select.poll()
    waiting.register(ended, select.POLLIN)
    waiting.register(0, select.POLLIN)
    while not any(found == ended for found, _ in waiting.poll()):
        if not os.read(0, 4096):
            _signal_session(child.pid, signal.SIGTERM)
            waiting.unregister(0)
            waiting.poll(GRACE_S * 1000.0)
            break
    # Before it is waited for, so that its number cannot have become another's.
    _signal_session(child.pid, signal.SIGKILL)
    os.write(relieve, b".")
    status = child.wait()
    return status if status >= 0 else 128 - status


def _set_watch(leader: int) -> int:
    """Leaves a process behind that ends a session when this one ends without a word.

    It belongs to no process and no session that somebody may end as a whole. The number of the
    session cannot have become another's: members that are left hold it.

    Returns:
        Where to write a byte when there is nothing left to watch.
    """
    heard, relieve = os.pipe()
    first = os.fork()
    if first == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(relieve)
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            if not os.read(heard, 1):
                _signal_session(leader, signal.SIGKILL)
        os._exit(0)
    os.waitpid(first, 0)
    os.close(heard)
    return relieve


def _signal_session(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


if __name__ == "__main__":
    sys.exit(guard(sys.argv[1:]))
