"""Room in a cluster that others use as well: reserved for all workers of a run, or not at all."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    remove_placement_group,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from ray_matdesign.config.schema import ExecutionSettings
from ray_matdesign.distributed.environments import runtime_env
from ray_matdesign.distributed.resources import NotEnoughResources, free_of, wants
from ray_matdesign.distributed.search_path import search_path
from ray_matdesign.rl.executor import Role

logger = logging.getLogger(__name__)

_REMIND_AFTER_S = 30.0
_POLL_S = 0.1


@dataclass(frozen=True)
class Quarters:
    """Where one role's workers live: their Python, and their room in the cluster.

    Attributes:
        runtime_env: As Ray takes it; empty for the cluster's own Python.
        group: What is reserved for them, if anything.
        workers: How many it is reserved for; more than these find room where there is some.
    """

    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    group: PlacementGroup | None = None
    workers: int = 0

    def options(self, alive: int) -> dict[str, Any]:
        """Options of the actor of one more worker.

        Args:
            alive: Workers there are already.
        """
        options: dict[str, Any] = (
            {"runtime_env": dict(self.runtime_env)} if self.runtime_env else {}
        )
        if self.group is not None and alive < self.workers:
            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(
                self.group, placement_group_capture_child_tasks=True
            )
        return options

    def search_path(self) -> list[str]:
        """Where the driver finds modules, and these workers may as well.

        Workers with a Python of their own have its packages, not the driver's.
        """
        folders = search_path()
        if not self.runtime_env.keys() & {"pip", "uv", "conda", "py_executable"}:
            return folders
        installed = tuple({os.path.join(p, "") for p in (sys.prefix, sys.base_prefix)})
        return [folder for folder in folders if not folder.startswith(installed)]


class Placement:
    """Reserves room for the workers of a run, each role in a placement group of its own.

    All groups are asked for at once. Within a role, workers are spread over the nodes or packed, as
    the settings say. Bundles lost with a node are moved by Ray to others, where there is room.

    Args:
        roles: Who works; each process gets a bundle.
        execution: How; and how long to wait.
        reserve: Whether to reserve at all; a Ray of our own is large enough as it is.

    Raises:
        NotEnoughResources: Others did not make room in time. Nothing stays reserved.
    """

    def __init__(self, roles: Sequence[Role], execution: ExecutionSettings, reserve: bool) -> None:
        self._roles = {role.name: role for role in roles}
        self._environments = execution.environments.given()
        self._groups: dict[str, PlacementGroup] = {}
        if not reserve:
            return
        try:
            for role in roles:
                strategy = "SPREAD" if role.name in execution.spread else "PACK"
                bundle = {"CPU": role.cpus, "GPU": role.gpus}
                bundle = {name: share for name, share in bundle.items() if share > 0}
                bundles = [bundle] * (role.floor * role.processes)
                if bundle:
                    self._groups[role.name] = placement_group(bundles, strategy=strategy)
            self._wait(execution.placement_deadline_s)
        except BaseException:
            self.close()
            raise

    def quarters(self, role: str) -> Quarters:
        """Where the workers of a role live."""
        environment = self._environments.get(role)
        return Quarters(
            runtime_env(environment) if environment else {},
            self._groups.get(role),
            self._roles[role].floor,
        )

    def close(self) -> None:
        """Gives the room back; idempotent."""
        for group in self._groups.values():
            remove_placement_group(group)
        self._groups.clear()

    def _wait(self, deadline_s: float) -> None:
        start = time.monotonic()
        remind_at = start + _REMIND_AFTER_S
        waiting = {self._groups[name].ready(): name for name in self._groups}
        while waiting:
            ready, _ = ray.wait(list(waiting), timeout=_POLL_S)
            for ref in ready:
                del waiting[ref]
            now = time.monotonic()
            if waiting and now >= start + deadline_s:
                raise NotEnoughResources(
                    f"no room within {deadline_s:g} s (execution.placement_deadline_s) for "
                    f"{self._lacking(list(waiting.values()))}"
                )
            if waiting and now >= remind_at:
                remind_at += _REMIND_AFTER_S
                logger.warning("waiting for room for %s", self._lacking(list(waiting.values())))

    def _lacking(self, names: Sequence[str]) -> str:
        wanted = " and ".join(wants(self._roles[name]) for name in names)
        available = ray.available_resources()  # type: ignore[no-untyped-call]
        return f"{wanted}: others use the cluster, which has {free_of(available)} left"
