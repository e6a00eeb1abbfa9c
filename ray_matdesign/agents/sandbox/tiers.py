"""Which sandboxes work on this machine: found out by running one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ray_matdesign.agents.sandbox import landlock
from ray_matdesign.agents.sandbox.box import Box, SandboxUnavailable
from ray_matdesign.agents.sandbox.environment import UnsafeEnvironment
from ray_matdesign.agents.sandbox.ground import Tier
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.sandbox.seccomp import UnknownArchitecture, architecture

TRUSTED_FIRST = (Tier.BUBBLEWRAP, Tier.LANDLOCK)
"""Stronger walls first."""

_TRIAL = """
import os, socket
try:
    socket.socket()
except PermissionError:
    pass
else:
    raise SystemExit("a socket could be made")
try:
    open("/etc/passwd")
except OSError:
    pass
else:
    raise SystemExit("/etc/passwd could be read")
"""


@dataclass(frozen=True)
class Probe:
    """Whether a tier works.

    Attributes:
        tier: Which.
        walls: What it is made of here; empty if it does not work.
        problem: Why it does not, in one line; empty if it does.
    """

    tier: Tier
    walls: tuple[str, ...] = ()
    problem: str = ""


@cache
def probe(tier: Tier) -> Probe:
    """Runs a trial in a tier; the answer is remembered for the life of the process."""
    try:
        architecture()
        if tier is Tier.LANDLOCK and not landlock.version():
            return Probe(tier, problem="the kernel has no Landlock, or it is switched off")
        with Box(tier) as box:
            result = box.run(Job.of(_TRIAL))
    except (SandboxUnavailable, UnsafeEnvironment, UnknownArchitecture, OSError) as error:
        return Probe(tier, problem=str(error).removeprefix(f"sandbox {tier}: "))
    if not result.ok:
        said = (result.stderr.strip() or result.reason or result.outcome).splitlines()[-1]
        return Probe(tier, problem=f"a trial run failed: {said}")
    return Probe(tier, walls=result.walls)


def best_tier() -> Tier:
    """The strongest sandbox that works here.

    Raises:
        SandboxUnavailable: None does.
    """
    probes = [probe(tier) for tier in TRUSTED_FIRST]
    for found in probes:
        if not found.problem:
            return found.tier
    missing = "; ".join(f"{found.tier}: {found.problem}" for found in probes)
    raise SandboxUnavailable(f"no sandbox works on this machine, so no code is run: {missing}")
