"""Several processes that do one worker's batches together, as ranks of a torch process group.

The pools know nothing of it: to them a group is one worker, whose host starts the ranks and waits
for them. It computes nothing itself, so that it notices at once when a rank dies, whatever
collective the others are stuck in, and whatever the backend would make of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import RayError

from ray_matdesign.distributed.host import Raised, WorkerHost, raised
from ray_matdesign.distributed.search_path import search_path
from ray_matdesign.rl.executor import Payload, Role

_START_ATTEMPTS = 3
"""Groups that lost a process while they were being built, before the worker gives up."""


class GroupFailed(RuntimeError):
    """A rank raised, or died; the group starts anew with its next batch."""


class RankLost(GroupFailed):
    """A rank died, which says nothing against the others, or against another attempt."""


def as_one_worker(role: Role) -> Role:
    """A role as a pool sees it: groups of processes become workers that need nothing themselves."""
    if role.processes == 1:
        return role
    settings = {
        "role": role.name,
        "factory": role.factory,
        "settings": role.settings,
        "processes": role.processes,
        "cpus": role.cpus,
        "gpus": role.gpus,
        "deadline_s": role.deadline_s,
    }
    here = f"{__name__}:WorkerGroup"
    return replace(role, factory=here, settings=settings, processes=1, cpus=0.0, gpus=0.0)


class WorkerGroup:
    """Gives every payload to all ranks, and answers with what the first one says.

    Args:
        settings: From :func:`as_one_worker`.

    Raises:
        GroupFailed: A rank's factory raised, or its process is lost.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._ranks: list[Any] = []
        self._published: tuple[list[Any], int] | None = None
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                self._form()
                break
            except RankLost:
                if attempt == _START_ATTEMPTS:
                    raise

    def load(self, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Has every rank load these weights before its next batch."""
        self._published = ([ray.put(dict(weights))], version)

    def __getattr__(self, verb: str) -> Callable[[Payload], Any]:
        """Any verb of the role's workers."""
        if verb.startswith("_"):
            raise AttributeError(verb)
        return partial(self._call, verb)

    def _call(self, verb: str, payload: Payload) -> Any:
        if not self._ranks:
            self._form()
        shared = ray.put(payload)
        return self._together(
            [rank.take_part.remote(verb, shared, self._published) for rank in self._ranks]
        )

    def _form(self) -> None:
        asked = self._settings
        cpus, size = asked["cpus"], asked["processes"]
        host = _RANK.options(num_cpus=cpus, num_gpus=asked["gpus"], max_restarts=0)
        self._ranks = [
            host.remote(asked["factory"], asked["settings"], max(1, int(cpus)), search_path())
            for _ in range(size)
        ]
        meeting_place = self._together([self._ranks[0].open_store.remote(size)])
        joining = [
            rank.join.remote(number, size, meeting_place, asked["deadline_s"])
            for number, rank in enumerate(self._ranks)
        ]
        self._together(joining)
        self._together([rank.build.remote() for rank in self._ranks])

    def _together(self, calls: list[Any]) -> Any:
        """The first rank's answer, once all are through; the first trouble ends all ranks."""
        waiting = list(calls)
        try:
            while waiting:
                (ready,), waiting = ray.wait(waiting)
                outcome = ray.get(ready)
                if isinstance(outcome, Raised):
                    raise GroupFailed(outcome.reason)
        except GroupFailed:
            self._disband()
            raise
        except RayError as error:
            self._disband()
            size, first_line = self._settings["processes"], str(error).strip().partition("\n")[0]
            raise RankLost(
                f"one of the {size} {self._settings['role']} processes is lost ({first_line})"
            ) from error
        return ray.get(calls[0])

    def _disband(self) -> None:
        for rank in self._ranks:
            ray.kill(rank, no_restart=True)
        self._ranks = []


class _Rank(WorkerHost):
    """One process of a group."""

    _number = 0

    def open_store(self, size: int) -> tuple[str, int]:
        """Opens the place where the ranks meet, on a port that is free on this node."""
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        host = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        self._store = TCPStore(host, 0, size, is_master=True, wait_for_workers=False)
        return host, self._store.port

    def join(
        self, number: int, size: int, meeting_place: tuple[str, int], deadline_s: float
    ) -> Raised | None:
        """Becomes a rank; over NCCL what is on GPUs is added up, over Gloo what is not."""
        import torch
        from torch import distributed
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        self._number = number
        limit = timedelta(seconds=deadline_s)
        try:
            if number > 0:
                self._store = TCPStore(*meeting_place, size, False, timeout=limit)
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
                store=self._store,
                rank=number,
                world_size=size,
                timeout=limit,
            )
        except (RuntimeError, ValueError) as error:
            return raised(error)
        return None

    def take_part(self, verb: str, payload: Any, published: Any) -> Any:
        """Runs a verb; only the first rank's answer is worth its way."""
        outcome = self.call(verb, payload, published)
        return outcome if self._number == 0 or isinstance(outcome, Raised) else None


_RANK: Any = ray.remote(_Rank)  # Ray's types know no methods of actors
