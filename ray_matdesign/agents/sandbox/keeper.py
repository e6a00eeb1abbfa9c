"""Keeps one run: builds the walls, lets the code in, watches, ends it, and takes its files back.

One process for each run, forked from the zygote. It never executes what it was given.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ray_matdesign.agents.sandbox import landlock, scratch, usage, walls, wire
from ray_matdesign.agents.sandbox.confined import READY, Cell, confine_and_run
from ray_matdesign.agents.sandbox.environment import SCRATCH_IN_BUBBLE
from ray_matdesign.agents.sandbox.ground import Ground, Tier
from ray_matdesign.agents.sandbox.job import RESULT_FILES, Job
from ray_matdesign.agents.sandbox.limits import MIB, Limits
from ray_matdesign.agents.sandbox.linux import die_with_parent
from ray_matdesign.agents.sandbox.result import Limit

MOST_SENT = 2**31
"""Largest sum of a job's files, bytes."""

_GLANCE_S = 0.02
_DELIVERY_S = 60.0
_PIPE = 65536
_STATUS = struct.Struct("=i")


class SandboxFailed(RuntimeError):
    """A wall could not be built; the code was not run."""


@dataclass
class Stream:
    """Standard output, or standard error, of a run."""

    pipe: int
    most: int
    kept: bytearray
    dropped: bool = False

    def take(self) -> bool:
        """Reads what there is; False once nothing can come any more."""
        part = os.read(self.pipe, _PIPE)
        room = self.most - len(self.kept)
        self.kept += part[:room]
        self.dropped |= len(part) > room
        return bool(part)


def keep(connection: socket.socket, ground: Ground, zygote: int) -> NoReturn:
    """Serves one run and ends the process.

    Args:
        connection: To the host: the job comes in and the report goes out.
        ground: Where.
        zygote: Process id of the parent.
    """
    die_with_parent(zygote)
    os.setsid()
    head, files = wire.receive(connection, most_bytes=MOST_SENT, within_s=_DELIVERY_S)
    job = Job.from_head(head["job"], files)
    try:
        keeper = Keeper(job, ground, head["folder"], head["user"], zygote)
        report, blobs = keeper.run(connection)
    except SandboxFailed as error:
        report, blobs = {"failed": str(error)}, {}
    connection.settimeout(_DELIVERY_S)
    wire.send(connection, report, blobs)
    os._exit(0)


class Keeper:
    """One run, from the first wall to the last file.

    Args:
        job: What to run.
        ground: Where.
        folder: The scratch folder on the host; the bubblewrap tier has its own, in memory.
        user: Whom to become where that is possible.
        zygote: Process id of the parent.

    Raises:
        SandboxFailed: A wall could not be built.
    """

    def __init__(self, job: Job, ground: Ground, folder: str, user: int, zygote: int) -> None:
        self._job = job
        self._ground = ground
        self._bubble = ground.tier is Tier.BUBBLEWRAP
        self._folder = SCRATCH_IN_BUBBLE if self._bubble else folder
        self._kept = 0 if self._bubble else walls.needed_to_read(ground.readable)
        self._cpu_s = 0.0
        self._memory = 0
        if job.limits.processes and not self._bubble:
            raise SandboxFailed("limits.processes needs the bubblewrap tier")
        try:
            self._build(folder, user, zygote)
        except OSError as error:
            raise SandboxFailed(str(error)) from error

    def _build(self, folder: str, user: int, zygote: int) -> None:
        chowned = None if self._bubble else folder
        self._own_user = walls.become_nobody(user, chowned, self._kept) or self._bubble
        die_with_parent(zygote)  # forgotten by the kernel when a process becomes another user
        with open("/proc/self/statm", encoding="ascii") as file:
            self._address_space = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        if self._bubble:
            self._proc = walls.separate(self._job.limits, self._folder)
        else:
            self._proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        scratch.fill(self._folder, self._job.files)
        self._before = usage.processes(self._proc)
        self._shared = usage.private_memory(self._proc, self._own_id())

    def run(self, connection: socket.socket) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Runs the code to its end, and makes the report.

        Args:
            connection: Whose other end may be closed by a host that has lost interest.

        Raises:
            SandboxFailed: The walls did not close; the code was not run.
        """
        limits = self._job.limits
        ready, to_ready = os.pipe2(os.O_CLOEXEC)
        ends, to_ends = os.pipe2(os.O_CLOEXEC)
        streams, writers = _streams(limits)
        started = time.monotonic()
        cell = Cell(
            self._folder,
            stdout=writers[0],
            stderr=writers[1],
            ready=to_ready,
            address_space=self._address_space,
            capabilities=self._kept,
            own_user=self._own_user,
        )
        child = self._fork(cell, to_ends, connection)
        for written in (*writers, to_ready, to_ends):
            os.close(written)
        try:
            self._await_walls(ready, started + limits.wall_s)
            limit = self._watch(child, streams, connection, started + limits.wall_s)
        finally:
            os.kill(child, signal.SIGKILL)
            _, status, spent = os.wait4(child, 0)
        wall_s = time.monotonic() - started
        if self._bubble:  # the child was an init, and tells how the code within ended
            told = os.read(ends, _STATUS.size)
            status = _STATUS.unpack(told)[0] if len(told) == _STATUS.size else signal.SIGKILL
        for stream in streams:
            while stream.take():
                pass
        self._cpu_s = max(self._cpu_s, spent.ru_utime + spent.ru_stime)
        if limit is None and status == signal.SIGKILL and self._cpu_s >= limits.cpu_s:
            limit = Limit.CPU
        return self._report(status, limit, wall_s, streams)

    def _own_id(self) -> int:
        return int(os.readlink("self", dir_fd=self._proc))

    def _fork(self, cell: Cell, to_ends: int, connection: socket.socket) -> int:
        me = os.getpid()
        child = os.fork()
        if child:
            return child
        connection.close()
        if self._bubble:
            die_with_parent(0)
            _be_init(self._job, self._ground, cell, to_ends)
        die_with_parent(me)
        confine_and_run(self._job, self._ground, cell)

    def _await_walls(self, ready: int, deadline: float) -> None:
        """Returns once the code is running, or could not be let in in time."""
        readable, _, _ = select.select([ready], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            return
        told = os.read(ready, _PIPE)
        if told != READY:
            raise SandboxFailed(told.decode(errors="replace") or "the walls did not close")

    def _watch(
        self, child: int, streams: tuple[Stream, Stream], host: socket.socket, deadline: float
    ) -> Limit | None:
        """Returns when the code has ended, or has to be ended for a limit."""
        end = os.pidfd_open(child)
        waiting: dict[int, Stream] = {stream.pipe: stream for stream in streams}
        glance = 0.0
        try:
            while True:
                now = time.monotonic()
                if now >= deadline:
                    return Limit.WALL
                if now >= glance:
                    exceeded = self._look(child)
                    if exceeded is not None:
                        return exceeded
                    glance = time.monotonic() + _GLANCE_S
                patience = max(0.0, min(glance, deadline) - time.monotonic())
                awaited = [end, host.fileno(), *waiting]
                readable, _, _ = select.select(awaited, [], [], patience)
                if end in readable:
                    return None
                if host.fileno() in readable:  # nothing more is ever sent: it was closed
                    os._exit(1)
                for pipe in readable:
                    if not waiting[pipe].take():
                        del waiting[pipe]
        finally:
            os.close(end)

    def _look(self, child: int) -> Limit | None:
        """The limit that the run exceeds now, if any."""
        limits = self._job.limits
        if self._bubble:
            others = usage.processes(self._proc) - self._before
            # The init within is the sandbox's own.
            allowed = limits.tasks + 1
        else:
            others, allowed = {child}, limits.tasks
        used = usage.consumption(self._proc, others, self._shared, deleted=not self._bubble)
        self._cpu_s = max(self._cpu_s, used.cpu_s)
        self._memory = max(self._memory, used.memory)
        if used.tasks > allowed:
            return Limit.TASKS
        if used.cpu_s > limits.cpu_s:
            return Limit.CPU
        if used.memory > limits.memory_mib * MIB:
            return Limit.MEMORY
        if not self._bubble:
            held = scratch.measure(self._folder, limits.files)
            if held.bytes + used.deleted > limits.scratch_mib * MIB or held.entries > limits.files:
                return Limit.SCRATCH
        return None

    def _report(
        self, status: int, limit: Limit | None, wall_s: float, streams: tuple[Stream, Stream]
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        limits = self._job.limits
        names = dict.fromkeys((*self._job.outputs, *RESULT_FILES))
        taken, refused = scratch.collect(
            self._folder,
            names,
            most_each=limits.file_mib * MIB,
            most_in_all=limits.scratch_mib * MIB,
        )
        for name in RESULT_FILES:
            if refused.get(name) == "was not written" and name not in self._job.outputs:
                del refused[name]
        stdout, stderr = streams
        report: Mapping[str, Any] = {
            "status": status,
            "limit": limit,
            "truncated": stdout.dropped or stderr.dropped,
            "refused": refused,
            "walls": _walls(self._ground.tier),
            "cpu_s": self._cpu_s,
            "wall_s": wall_s,
            "memory_mib": self._memory / MIB,
        }
        blobs = {f"file {name}": content for name, content in taken.items()}
        return dict(report), {"stdout": bytes(stdout.kept), "stderr": bytes(stderr.kept), **blobs}


def _be_init(job: Job, ground: Ground, cell: Cell, to_ends: int) -> NoReturn:
    """The first process of a namespace: when it ends, the kernel ends all others in it.

    Code within cannot signal it: the kernel spares the first process from what it does not handle.
    """
    child = os.fork()
    if child == 0:
        die_with_parent(1)
        confine_and_run(job, ground, cell)
    for descriptor in (cell.stdout, cell.stderr, cell.ready):
        os.close(descriptor)
    while True:
        ended, status = os.wait()
        if ended == child:
            os.write(to_ends, _STATUS.pack(status))
            os._exit(0)


def _streams(limits: Limits) -> tuple[tuple[Stream, Stream], tuple[int, int]]:
    (out, to_out), (err, to_err) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    most = limits.output_kib * 1024
    return (Stream(out, most, bytearray()), Stream(err, most, bytearray())), (to_out, to_err)


def _walls(tier: Tier) -> list[str]:
    known = landlock.version()
    built = ["namespaces"] if tier is Tier.BUBBLEWRAP else []
    return [*built, *([f"landlock {known}"] if known else []), "seccomp", "rlimits"]
