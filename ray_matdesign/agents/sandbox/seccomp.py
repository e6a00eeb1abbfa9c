"""Which system calls code in a sandbox may make: a filter for seccomp, assembled here.

A list of what is allowed: a call the kernel learns later is refused from its first day. What is not
known here is answered with ENOSYS, so that C libraries fall back to older calls.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ray_matdesign.agents.sandbox import syscalls
from ray_matdesign.agents.sandbox.linux import PR_SET_NO_NEW_PRIVS, prctl, syscall

# Instructions of classic BPF (linux/bpf_common.h).
_LOAD, _AND, _JUMP_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
# Offsets into struct seccomp_data; arguments are 64-bit, little-endian on both architectures.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000

_FILTER_MODE, _ALL_THREADS = 1, 1
_X32 = 0x40000000  # second table of calls on x86_64

_CLONE_THREAD = 0x00010900  # VM, SIGHAND, THREAD
_CLONE_REFUSED = 0x7E82A000  # namespaces, PTRACE, PARENT, UNTRACED
_NAMES_AND_DUMPS = (15, 16, 3, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_VMA
# isatty, size of a terminal, bytes to read, blocking and closing: no TIOCSTI, no TIOCLINUX.
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# No F_SETOWN, which has signals sent to others, no F_NOTIFY, and no F_SETPIPE_SZ.
_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032, 1034)
_O_TRUNC, _O_ACCMODE, _O_WRONLY, _O_RDWR = 0o1000, 0o3, 0o1, 0o2
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPES = 1, 1, 0xFF


class UnknownArchitecture(RuntimeError):
    """The numbers of this machine's system calls are not known here."""


@dataclass(frozen=True)
class _Test:
    """Lower half of an argument, masked, against a value: the kernel reads no more of these."""

    argument: int
    value: int
    mask: int = 0xFFFFFFFF


_Either = tuple[tuple[_Test, ...], ...]
"""Alternatives; each is a group of tests that must all hold."""


@dataclass(frozen=True)
class Architecture:
    """One of the machines the filter can be written for.

    Attributes:
        column: Its place in :mod:`ray_matdesign.agents.sandbox.syscalls`.
        audit: The kernel's name for it in ``seccomp_data``.
        seccomp: Number of the call that installs a filter.
        capset: Number of the call that drops capabilities.
    """

    column: int
    audit: int
    seccomp: int
    capset: int


_ARCHITECTURES: Final = {
    "x86_64": Architecture(column=0, audit=0xC000003E, seccomp=317, capset=126),
    "aarch64": Architecture(column=1, audit=0xC00000B7, seccomp=277, capset=91),
}


def architecture(machine: str | None = None) -> Architecture:
    """The architecture of a machine, by default of this one.

    Raises:
        UnknownArchitecture: It is neither x86_64 nor aarch64.
    """
    name = machine or platform.machine()
    try:
        return _ARCHITECTURES[name]
    except KeyError:
        known = " and ".join(_ARCHITECTURES)
        raise UnknownArchitecture(f"no sandbox on {name}: only on {known}") from None


def assemble(machine: Architecture, *, pid: int, processes: bool) -> bytes:
    """Writes the filter.

    Args:
        machine: For which machine.
        pid: The process it is for.
        processes: Whether it may start others and send signals to them. If not, it may start
            threads and send signals to itself.

    Returns:
        Instructions of 8 bytes each.
    """
    blocks = [_arrival(machine)]
    if processes:
        blocks += [_block(number, [_allow()]) for number in _of(syscalls.PROCESSES, machine)]
    else:
        refused = [_errno(errno.EPERM)]
        blocks += [_block(number, refused) for number in _of(syscalls.PROCESSES, machine)]
    blocks += [_block(number, [_allow()]) for number in _of(syscalls.FREE, machine)]
    for name, either in _conditions(pid, processes).items():
        number = syscalls.CONDITIONAL[name][machine.column]
        if number is not None:
            blocks.append(_block(number, _tests(either)))
    for group, error in (
        (syscalls.PRETENDED, 0),
        (syscalls.UNSUPPORTED, errno.ENOTSUP),
        (syscalls.REFUSED, errno.EPERM),
    ):
        blocks += [_block(number, [_errno(error)]) for number in _of(group, machine)]
    blocks.append([_errno(errno.ENOSYS)])
    return b"".join(instruction for block in blocks for instruction in block)


def install(program: bytes) -> None:
    """Puts the calling process, all its threads, and all its children under a filter, for good.

    Raises:
        OSError: The kernel refuses.
    """
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a 16-bit count, padding, a pointer.
    header = struct.pack("=H6xQ", len(program) // 8, ctypes.addressof(instructions))
    syscall(architecture().seccomp, _FILTER_MODE, _ALL_THREADS, header)


def _conditions(pid: int, processes: bool) -> dict[str, _Either]:
    oneself = ((_Test(0, 0),), (_Test(0, pid),))
    tame = _Test(0, 0, mask=_CLONE_REFUSED)
    thread = _Test(0, _CLONE_THREAD, mask=_CLONE_THREAD)
    return {
        "open": _opens(flags=1),
        "openat": _opens(flags=2),
        # A datagram socket could send to any address, connected or not.
        "socketpair": ((_Test(0, _AF_UNIX), _Test(1, _SOCK_STREAM, mask=_SOCK_TYPES)),),
        "clone": ((tame,),) if processes else ((tame, thread),),
        # Where signals may go further, a namespace of processes keeps them in.
        "kill": ((),) if processes else ((_Test(0, pid),),),
        "tgkill": ((),) if processes else ((_Test(0, pid),),),
        "prctl": tuple((_Test(0, option),) for option in _NAMES_AND_DUMPS),
        "ioctl": tuple((_Test(1, request),) for request in _IOCTLS),
        "fcntl": tuple((_Test(1, command),) for command in _FCNTLS),
        "prlimit64": oneself,
        "sched_setaffinity": oneself,
    }


def _opens(flags: int) -> _Either:
    # Opened to be read and emptied at once, a file is emptied without a right Landlock knows of in
    # its first two versions.
    return (
        (_Test(flags, 0, mask=_O_TRUNC),),
        (_Test(flags, _O_WRONLY, mask=_O_ACCMODE),),
        (_Test(flags, _O_RDWR, mask=_O_ACCMODE),),
    )


def _of(group: syscalls.Numbers, machine: Architecture) -> Iterator[int]:
    for numbers in group.values():
        number = numbers[machine.column]
        if number is not None:
            yield number


def _arrival(machine: Architecture) -> list[bytes]:
    """Ends the process if it speaks for another architecture, whose numbers mean other calls."""
    x32 = [
        _instruction(_AND, _X32),
        _jump_unless_equal(_X32, 1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
    ]
    return [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, machine.audit, if_true=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
        *x32,
    ]


def _block(number: int, body: Sequence[bytes]) -> list[bytes]:
    """What to do with one call; the accumulator holds its number, and every way through returns."""
    return [_jump_unless_equal(number, len(body)), *body]


def _tests(either: _Either) -> list[bytes]:
    body: list[bytes] = []
    for tests in either:
        group: list[bytes] = [_allow()]
        for test in reversed(tests):
            group = [
                _instruction(_LOAD, _ARGUMENTS + 8 * test.argument),
                _instruction(_AND, test.mask),
                _jump_unless_equal(test.value, len(group)),
                *group,
            ]
        body += group
    return [*body, _errno(errno.EPERM)]


def _jump_unless_equal(value: int, skip: int) -> bytes:
    return _instruction(_JUMP_EQUAL, value, if_false=skip)


def _allow() -> bytes:
    return _instruction(_RETURN, _ALLOW)


def _errno(number: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | number)


def _instruction(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
