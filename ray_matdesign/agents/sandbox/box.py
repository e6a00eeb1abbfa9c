"""The host's side of a sandbox: starts a zygote, hands it jobs, and believes nothing it hears."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ray_matdesign.agents.sandbox import exchange, scratch, wire
from ray_matdesign.agents.sandbox.environment import (
    bubblewrap_command,
    python_command,
    readable_roots,
    variables,
)
from ray_matdesign.agents.sandbox.ground import Ground, Tier
from ray_matdesign.agents.sandbox.job import RESULT_FILES, Job
from ray_matdesign.agents.sandbox.limits import MIB
from ray_matdesign.agents.sandbox.result import Limit, Outcome, Result, ending
from ray_matdesign.agents.sandbox.walls import FIRST_USER, USERS

START_DEADLINE_S = 600.0
"""Longest a zygote may take to import its packages."""

_GRACE_S = 60.0
"""How long after its deadline a run may take to be ended and reported, on a busy machine."""

_GLANCE_S = 0.01
_LONGEST_COMPLAINT = 4096

# The kernel ends a zygote with the thread that started it, so that one has to last.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-starter")


class SandboxUnavailable(RuntimeError):
    """There is no sandbox here, and nothing is run without one."""


class Box:
    """A warm sandbox of one tier: packages are imported once, and every run starts from there.

    Runs of one box take turns. A box whose processes died starts new ones for the next run.

    Args:
        tier: Which walls; :func:`ray_matdesign.agents.sandbox.tiers.best_tier` knows the best.
        preload: Modules to import before there is any code.
        readable: Folders that code may read, beside the Python environment.

    Raises:
        SandboxUnavailable: It cannot be started.
        UnsafeEnvironment: The Python environment cannot be shown without showing homes.
    """

    def __init__(
        self, tier: Tier, preload: Sequence[str] = (), readable: Sequence[Path] = ()
    ) -> None:
        self.tier = tier
        self._name = f"box-{secrets.token_hex(8)}"
        self._preload = tuple(preload)
        self._roots = readable_roots(readable)
        self._turn = threading.Lock()
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._complaints: IO[bytes] | None = None
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process that everything of this box descends from; None if it is not running."""
        zygote = self._zygote
        return zygote.pid if zygote is not None and zygote.poll() is None else None

    def processes(self) -> set[int]:
        """Ids of all living processes of this box, found by its name on their command lines."""
        found = set()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and self._name.encode() in _command_line(entry):
                    found.add(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def run(self, job: Job) -> Result:
        """Runs a job and returns what came of it, whatever the code does.

        Raises:
            SandboxUnavailable: The box's processes died and new ones cannot be started, or its
                walls cannot be built; the code was not run.
        """
        with self._turn:
            if self.pid is None:
                self._stop()
                self._start()
            try:
                head, blobs = self._ask(job)
            except wire.BrokenWire as error:
                return Result(Outcome.LOST, self.tier, reason=f"the sandbox ended: {error}")
        if "failed" in head:
            raise SandboxUnavailable(f"sandbox {self.tier}: {head['failed']}")
        try:
            return _result(self.tier, job, head, blobs)
        except (KeyError, TypeError, ValueError) as error:
            return Result(Outcome.LOST, self.tier, reason=f"a report that makes no sense: {error}")

    def close(self) -> None:
        """Ends all processes of the box; idempotent."""
        with self._turn:
            self._stop()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self._control = ours
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the zygote is
        try:
            with theirs:
                command = self._command(theirs.fileno())
                started = _STARTER.submit(_spawn, command, theirs.fileno(), self._complaints)
                self._zygote = started.result()
            told, _ = wire.receive(ours, most_bytes=0, within_s=START_DEADLINE_S)
        except (wire.BrokenWire, OSError) as error:
            reason = self._last_complaint() or str(error)
            self._stop()
            raise SandboxUnavailable(f"sandbox {self.tier}: {reason}") from error
        if told.get("failed"):
            self._stop()
            raise SandboxUnavailable(f"sandbox {self.tier}: {told['failed']}")

    def _command(self, control: int) -> list[str]:
        bubble = self.tier is Tier.BUBBLEWRAP
        ground = Ground(
            self._name,
            self.tier,
            readable=tuple(root.path for root in self._roots),
            preload=self._preload,
            control=control,
            host=0 if bubble else os.getpid(),
        )
        inner = python_command(ground.encoded())
        if not bubble:
            return inner
        program = shutil.which("bwrap")
        if program is None:
            raise FileNotFoundError("bwrap is not installed")
        return bubblewrap_command(program, self._roots, inner)

    def _ask(self, job: Job) -> tuple[dict[str, Any], dict[str, bytes]]:
        limits = job.limits
        folder = tempfile.mkdtemp(prefix="sandbox-") if self.tier is Tier.LANDLOCK else ""
        ours, theirs = socket.socketpair()
        try:
            with ours:
                ours.settimeout(_GRACE_S)
                with theirs:
                    assert self._control is not None
                    socket.send_fds(self._control, [b"+"], [theirs.fileno()])
                user = FIRST_USER + secrets.randbelow(USERS)
                wire.send(ours, {"job": job.head(), "folder": folder, "user": user}, job.files)
                most = 2 * limits.output_kib * 1024 + limits.scratch_mib * MIB
                return wire.receive(ours, most_bytes=most, within_s=limits.wall_s + _GRACE_S)
        except BaseException as error:
            lost = self._last_complaint() or str(error)
            self._stop()  # before the folder goes, lest somebody still write to it
            if isinstance(error, OSError):  # of which a broken wire is one
                raise wire.BrokenWire(lost) from error
            raise
        finally:
            if folder:
                scratch.remove(folder)

    def _stop(self) -> None:
        zygote, self._zygote = self._zygote, None
        if self._control is not None:
            self._control.close()
            self._control = None
        if zygote is not None:
            zygote.send_signal(signal.SIGKILL)
            zygote.wait()
            # The kernel ends the others with it, one after the other.
            deadline = time.monotonic() + _GRACE_S
            while self.processes() and time.monotonic() < deadline:
                time.sleep(_GLANCE_S)
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None

    def _last_complaint(self) -> str:
        """What the sandbox's own processes wrote last; code never writes there."""
        if self._complaints is None:
            return ""
        size = self._complaints.seek(0, os.SEEK_END)
        self._complaints.seek(max(0, size - _LONGEST_COMPLAINT))
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def run(
    code: str | Mapping[str, str | bytes],
    *,
    tier: Tier | None = None,
    preload: Sequence[str] = (),
    readable: Sequence[Path] = (),
    **job: Any,
) -> Result:
    """Runs code once, in a sandbox made for it.

    Args:
        code: Source of ``main.py``, or files by name.
        tier: Which walls; the best there are by default.
        preload: See :class:`Box`.
        readable: See :class:`Box`.
        job: The other arguments of :meth:`Job.of`.

    Raises:
        SandboxUnavailable: There is no sandbox here.
        BadJob: The job could not be run anywhere.
    """
    from ray_matdesign.agents.sandbox.tiers import best_tier

    prepared = Job.of(code, **job)
    with Box(tier or best_tier(), preload, readable) as box:
        return box.run(prepared)


def _spawn(command: Sequence[str], control: int, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=complaints,
        env=variables(),
        cwd="/",
        pass_fds=(control,),
        start_new_session=True,
    )


def _command_line(process: Path) -> bytes:
    return (process / "cmdline").read_bytes()


def _result(tier: Tier, job: Job, head: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Result:
    limits = job.limits
    asked = {*job.outputs, *RESULT_FILES}
    files = {name: blobs[f"file {name}"] for name in asked if f"file {name}" in blobs}
    refused = {str(name): str(why) for name, why in dict(head["refused"]).items()}
    returned = {name: files[name] for name in RESULT_FILES if name in files}
    values: dict[str, Any] = {}
    try:
        values = exchange.read_values(exchange.RESULT, returned, most_bytes=limits.memory_mib * MIB)
    except exchange.BadExchange as error:
        refused[str(error).partition(":")[0]] = str(error).partition(": ")[2]
    limit = Limit(head["limit"]) if head["limit"] is not None else None
    return Result(
        tier=tier,
        walls=tuple(str(wall) for wall in head["walls"]),
        stdout=blobs["stdout"].decode(errors="replace"),
        stderr=blobs["stderr"].decode(errors="replace"),
        truncated=bool(head["truncated"]),
        values=values,
        files={name: files[name] for name in job.outputs if name in files},
        refused=refused,
        cpu_s=float(head["cpu_s"]),
        wall_s=float(head["wall_s"]),
        memory_mib=float(head["memory_mib"]),
        **ending(int(head["status"]), limit),
    )
