"""The few calls to Linux that Python's ``os`` does not have."""

from __future__ import annotations

import ctypes
import os
from functools import cache

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NO_NEW_PRIVS = 38

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8

CAP_DAC_READ_SEARCH = 2

_CAPABILITY_VERSION = 0x20080522  # third version: two words of 32 capabilities each


def prctl(option: int, value: int = 0) -> None:
    """Sets an attribute of the calling process.

    Raises:
        OSError: The kernel refuses.
    """
    zero = ctypes.c_ulong(0)
    _checked(_libc().prctl(option, ctypes.c_ulong(value), zero, zero, zero), "prctl")


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Makes a system call by its number.

    Args:
        number: Of the call, on this architecture.
        arguments: Integers, pointers to bytes, null pointers.

    Returns:
        What the kernel answered.

    Raises:
        OSError: The kernel refuses.
    """
    passed = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    return _checked(_libc().syscall(ctypes.c_long(number), *passed), f"system call {number}")


def unshare(flags: int) -> None:
    """Gives the calling process namespaces of its own.

    Raises:
        OSError: The kernel refuses.
    """
    _checked(_libc().unshare(flags), "unshare")


def mount(kind: str, target: str, flags: int, options: str) -> None:
    """Mounts a file system that needs no device.

    Raises:
        OSError: The kernel refuses.
    """
    name = kind.encode()
    answer = _libc().mount(
        name, target.encode(), name, ctypes.c_ulong(flags), ctypes.c_char_p(options.encode())
    )
    _checked(answer, f"mount of {kind}")


def keep_capabilities(capset: int, capabilities: int) -> None:
    """Drops all capabilities of the calling process but these.

    Args:
        capset: Number of the system call on this architecture.
        capabilities: One bit for each that stays.

    Raises:
        OSError: The kernel refuses.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    low, high = capabilities & 0xFFFFFFFF, capabilities >> 32
    words = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)  # effective, permitted, inheritable
    syscall(capset, bytes(header), bytes(words))


def die_with_parent(parent: int) -> None:
    """Has the calling process killed when the one that forked it ends.

    Args:
        parent: Its process id, taken before the fork; 0 if it is out of sight, in the namespace
            above.
    """
    prctl(PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:  # it ended before the kernel was told
        os._exit(1)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(answer: int, what: str) -> int:
    if answer == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return answer
