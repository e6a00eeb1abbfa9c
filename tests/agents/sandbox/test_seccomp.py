from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from ray_matdesign.agents.sandbox import syscalls
from ray_matdesign.agents.sandbox.seccomp import UnknownArchitecture, architecture, assemble

GROUPS = {
    "free": syscalls.FREE,
    "conditional": syscalls.CONDITIONAL,
    "processes": syscalls.PROCESSES,
    "pretended": syscalls.PRETENDED,
    "unsupported": syscalls.UNSUPPORTED,
    "refused": syscalls.REFUSED,
}
MACHINES = ("x86_64", "aarch64")
PID = 4321
ALLOW, KILL = "allow", "kill"


def decide(machine: str, name: str, *arguments: int, processes: bool = False) -> str | int:
    """Interprets the filter as the kernel would: ``allow``, ``kill``, or an error number."""
    known = architecture(machine)
    number = next(group[name] for group in GROUPS.values() if name in group)[known.column]
    assert number is not None
    return interpret(machine, number, known.audit, arguments, processes)


def interpret(
    machine: str, number: int, audit: int, arguments: tuple[int, ...], processes: bool = False
) -> str | int:
    data = struct.pack("<iIQ6Q", number, audit, 0, *(*arguments, *[0] * 6)[:6])
    program = assemble(architecture(machine), pid=PID, processes=processes)
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, 8 * at)
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x15:
            at += if_true if accumulator == value else if_false
        else:
            assert code == 0x06
            kinds = {0x7FFF0000: ALLOW, 0x80000000: KILL}
            return kinds.get(value, value & 0xFFFF)


def test_a_call_is_in_one_group_only() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert len(names) == len(set(names))
    for column in (0, 1):
        numbers = [n[column] for group in GROUPS.values() for n in group.values() if n[column]]
        assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(
    ("header", "column"),
    [("x86_64-linux-gnu/asm/unistd_64.h", 0), ("asm-generic/unistd.h", 1)],
)
def test_numbers_are_those_of_the_kernel(header: str, column: int) -> None:
    path = Path("/usr/include", header)
    if not path.exists():
        pytest.skip(f"no {path}; apt-get install linux-libc-dev")
    text = path.read_text()
    plain = {n: int(v) for n, v in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    plain |= {"newfstatat": plain["fstatat"]} if "fstatat" in plain else {}
    compared = [
        (name, numbers[column], plain[name])
        for group in GROUPS.values()
        for name, numbers in group.items()
        if name in plain
    ]
    assert len(compared) > 150
    assert [entry for entry in compared if entry[1] != entry[2]] == []


@pytest.mark.parametrize("machine", MACHINES)
def test_threads_but_not_processes(machine: str) -> None:
    thread = 0x3D0F00  # what glibc's pthread_create asks for
    fork = 0x01200011
    assert decide(machine, "clone", thread) == ALLOW
    assert decide(machine, "clone", fork) == errno.EPERM
    assert decide(machine, "clone", fork, processes=True) == ALLOW
    for namespace in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        for wanted in (thread, fork):
            assert decide(machine, "clone", wanted | namespace, processes=True) == errno.EPERM
    assert decide(machine, "execve") == errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_signals_to_oneself_only(machine: str) -> None:
    assert decide(machine, "kill", PID, 9) == ALLOW
    for pid in (0, 1, PID + 1, -1 & 0xFFFFFFFF, -PID & 0xFFFFFFFF):
        assert decide(machine, "kill", pid, 9) == errno.EPERM
    assert decide(machine, "kill", 1, 9, processes=True) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_the_half_of_an_argument_that_the_kernel_ignores_changes_nothing(machine: str) -> None:
    high = 1 << 32
    assert decide(machine, "ioctl", 0, 0x5401 | high) == ALLOW
    assert decide(machine, "ioctl", 0, 0x5412 | high) == errno.EPERM
    assert decide(machine, "socketpair", 1 | high, 1 | 0o2000000) == ALLOW
    assert decide(machine, "socketpair", 1, 2) == errno.EPERM
    assert decide(machine, "socketpair", 2, 1) == errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_files_are_emptied_only_when_opened_to_be_written(machine: str) -> None:
    truncate = 0o1000
    for access, answer in ((0, errno.EPERM), (1, ALLOW), (2, ALLOW)):
        assert decide(machine, "openat", 0, 0, access | truncate) == answer
        assert decide(machine, "openat", 0, 0, access) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_groups_are_answered_as_they_say(machine: str) -> None:
    answers = {"free": ALLOW, "pretended": 0, "unsupported": errno.ENOTSUP, "refused": errno.EPERM}
    column = architecture(machine).column
    for kind, answer in answers.items():
        for name, numbers in GROUPS[kind].items():
            if numbers[column] is not None:
                assert decide(machine, name) == answer, name
    assert interpret(machine, 100000, architecture(machine).audit, ()) == errno.ENOSYS


def test_other_tables_of_calls_end_the_process() -> None:
    for machine in MACHINES:
        assert interpret(machine, 0, 0x40000003, ()) == KILL  # i386
    x86 = architecture("x86_64").audit
    assert interpret("x86_64", 0x40000000, x86, ()) == KILL
    assert interpret("x86_64", 0, architecture("aarch64").audit, ()) == KILL


def test_other_machines_are_refused() -> None:
    with pytest.raises(UnknownArchitecture, match="riscv64"):
        architecture("riscv64")
