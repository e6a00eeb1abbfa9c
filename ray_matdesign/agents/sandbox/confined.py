"""The last steps of a process before it runs code nobody has read: every door is shut."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from typing import NoReturn

from ray_matdesign.agents.sandbox import landlock, seccomp
from ray_matdesign.agents.sandbox.environment import DEVICES
from ray_matdesign.agents.sandbox.ground import Ground, Tier
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.sandbox.limits import MIB
from ray_matdesign.agents.sandbox.linux import keep_capabilities
from ray_matdesign.agents.sandbox.program import execute

READY = b"+"
"""Sent by the process when the walls stand, right before it runs the code."""

_OPEN_FILES = 128
_FIRST_FREE = 4
_ABORTED = 70


@dataclass(frozen=True)
class Cell:
    """What one process needs to know to lock itself in.

    Attributes:
        folder: The scratch folder.
        stdout: Descriptor for standard output.
        stderr: Descriptor for standard error.
        ready: Descriptor for :data:`READY`, or for the reason why not.
        address_space: Bytes it has mapped already.
        capabilities: Those that stay, a bit each.
        own_user: Whether it is a user of its own, so that processes can be counted by user.
    """

    folder: str
    stdout: int
    stderr: int
    ready: int
    address_space: int
    capabilities: int
    own_user: bool


def confine_and_run(job: Job, ground: Ground, cell: Cell) -> NoReturn:
    """Locks the calling process in, runs the code, and ends the process.

    If a lock does not close, the code is not run.
    """
    ready = cell.ready
    try:
        ready = _take_descriptors(cell)
        os.chdir(cell.folder)
        os.environ.update(HOME=cell.folder, TMPDIR=cell.folder, MPLCONFIGDIR=cell.folder)
        keep_capabilities(seccomp.architecture().capset, cell.capabilities)
        _limit(job, cell)
        if landlock.version():
            landlock.restrict(ground.readable, DEVICES, cell.folder, run=job.limits.processes)
        elif ground.tier is Tier.LANDLOCK:
            raise OSError("Landlock is gone")
        machine = seccomp.architecture()
        seccomp.install(seccomp.assemble(machine, pid=os.getpid(), processes=job.limits.processes))
    except (OSError, ValueError, MemoryError) as error:
        os.write(ready, f"{type(error).__name__}: {error}".encode())
        os._exit(_ABORTED)
    os.write(ready, READY)
    os.close(ready)
    os._exit(execute(job.entry, cell.folder, job.seed))


def _take_descriptors(cell: Cell) -> int:
    """Leaves an empty input, two outputs and one descriptor that is soon closed."""
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    # Those to be kept may have numbers that others are about to take.
    stdout, stderr, ready = (os.dup(fd) for fd in (cell.stdout, cell.stderr, cell.ready))
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.dup2(ready, _FIRST_FREE - 1, inheritable=False)
    os.closerange(_FIRST_FREE, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    return _FIRST_FREE - 1


def _limit(job: Job, cell: Cell) -> None:
    limits = job.limits
    space = cell.address_space + limits.memory_mib * MIB
    hard = {
        resource.RLIMIT_AS: space,
        # The keeper stops a run at its limit; this is for a keeper that was held up.
        resource.RLIMIT_CPU: int(limits.cpu_s) + 2,
        resource.RLIMIT_FSIZE: limits.file_mib * MIB,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_RTPRIO: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_SIGPENDING: 64,
    }
    if cell.own_user:
        # One more than may be, so that the keeper sees that there are too many; and those that
        # watch over the code.
        hard[resource.RLIMIT_NPROC] = limits.tasks + 1 + 2
    for which, most in hard.items():
        inherited = resource.getrlimit(which)[1]
        kept = most if inherited == resource.RLIM_INFINITY else min(most, inherited)
        resource.setrlimit(which, (kept, kept))
