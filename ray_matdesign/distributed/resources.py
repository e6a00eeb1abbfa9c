"""What the workers of a run need, and whether the cluster can ever give it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ray_matdesign.rl.executor import Role

_ROUNDING = 1e-6
"""Ray counts resources in steps of 1e-4; anything smaller is arithmetic noise."""


class NotEnoughResources(ValueError):
    """The cluster is too small for the workers asked for."""


@dataclass(frozen=True)
class Node:
    """What one machine offers in total.

    Attributes:
        cpus: Logical CPUs.
        gpus: GPUs.
    """

    cpus: float
    gpus: float


def cpus_of(roles: Sequence[Role], cpus: float) -> float:
    """The CPU shares of all workers, of roles that take turns on so many CPUs.

    A role that may grow is counted as large as it may get, as far as the machine has CPUs for it.
    """
    return sum(
        max(_processes(role) * role.cpus, min(role.workers * role.processes * role.cpus, cpus))
        for role in roles
    )


def check_cpus(roles: Sequence[Role], cpus: float) -> None:
    """Checks the CPU shares against this one machine, on which the roles take turns.

    Generators, reward workers and the learner of the synchronous loop never work at the same time,
    so on a machine of our own each role may count on all of its CPUs. Loops that overlap
    (``rl.staleness``) do share them, which costs speed and nothing else. Memory, in contrast, stays
    occupied between turns, which is why GPU shares add up.

    Raises:
        NotEnoughResources: With the role that is too large, and the settings to change.
    """
    largest = max(roles, key=lambda role: _processes(role) * role.cpus)
    peak = _processes(largest) * largest.cpus
    if peak > cpus + _ROUNDING:
        raise NotEnoughResources(
            f"needs {_count(peak, 'CPU')} ({_part(largest, 'cpus')}), this machine has "
            f"{cpus:g}: lower the number of {largest.name} workers or execution.cpus_per_worker"
        )


def check_gpus(roles: Sequence[Role], gpus: float, where: str) -> None:
    """Checks the sum of the GPU shares.

    Args:
        roles: Who works.
        gpus: How many GPUs there are.
        where: What has them: ``this machine`` or ``cluster``.

    Raises:
        NotEnoughResources: With the sum and its parts.
    """
    _check_sum(roles, "gpus", gpus, where)


def check_cluster(roles: Sequence[Role], nodes: Sequence[Node]) -> None:
    """Checks the roles against a cluster, where every worker reserves its share.

    What comes only while there is room is not counted.

    Raises:
        NotEnoughResources: The shares do not fit in total, or not on the nodes as they are.
    """
    _check_sum(roles, "cpus", sum(node.cpus for node in nodes), "cluster")
    check_gpus(roles, sum(node.gpus for node in nodes), "cluster")
    left_out = _place(roles, nodes)
    if left_out is not None:
        offered = ", ".join(_share(node.cpus, node.gpus) for node in nodes)
        raise NotEnoughResources(
            f"no node has room for one more {left_out.name} worker "
            f"({_share(left_out.cpus, left_out.gpus)} each); nodes: {offered}"
        )


def _place(roles: Sequence[Role], nodes: Sequence[Node]) -> Role | None:
    """First-fit decreasing; returns a role whose worker found no node."""
    free = [[node.cpus, node.gpus] for node in nodes]
    for role in sorted(roles, key=lambda role: (role.gpus, role.cpus), reverse=True):
        for _ in range(_processes(role)):
            for room in free:
                if room[0] + _ROUNDING >= role.cpus and room[1] + _ROUNDING >= role.gpus:
                    room[0] -= role.cpus
                    room[1] -= role.gpus
                    break
            else:
                return role
    return None


def _check_sum(roles: Sequence[Role], share: str, offered: float, where: str) -> None:
    needed = sum(_processes(role) * getattr(role, share) for role in roles)
    if needed > offered + _ROUNDING:
        parts = " + ".join(_part(role, share) for role in roles if getattr(role, share) > 0)
        unit = share.removesuffix("s").upper()
        raise NotEnoughResources(f"needs {_count(needed, unit)} ({parts}), {where} has {offered:g}")


def _processes(role: Role) -> int:
    return role.floor * role.processes


def _part(role: Role, share: str) -> str:
    count, kind = _kind(role)
    return f"{count} {role.name} {kind} x {getattr(role, share):g}"


def wants(role: Role) -> str:
    """What a role asks for: ``2 reward workers of 1 CPU + 0.5 GPU``."""
    count, kind = _kind(role)
    return f"{count} {role.name} {kind} of {_share(role.cpus, role.gpus)}"


def free_of(resources: Mapping[str, float]) -> str:
    """What is left of a cluster: ``3 CPU + 0.5 GPU``."""
    return _share(resources.get("CPU", 0.0), resources.get("GPU", 0.0))


def _share(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPU + {gpus:g} GPU"


def _kind(role: Role) -> tuple[int, str]:
    count, kind = _processes(role), "worker" if role.processes == 1 else "process"
    plural = "" if count == 1 else "s" if kind == "worker" else "es"
    return count, f"{kind}{plural}"


def _count(amount: float, unit: str) -> str:
    return f"{amount:g} {unit}" + ("" if amount == 1 else "s")


def nodes_of(table: Sequence[Mapping[str, object]]) -> list[Node]:
    """Reads Ray's table of nodes, leaving out the dead."""
    offers = [row["Resources"] for row in table if row["Alive"]]
    return [
        Node(cpus=float(offer.get("CPU", 0.0)), gpus=float(offer.get("GPU", 0.0)))
        for offer in offers
        if isinstance(offer, Mapping)
    ]
