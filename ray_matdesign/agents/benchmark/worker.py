"""A solver as a worker: tasks in, solutions out, both as plain values."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray_matdesign.agents.benchmark.attempts import (
    SolverStopped,
    Unfinished,
    attempted,
    load_workshop,
)
from ray_matdesign.agents.benchmark.journal import recordable
from ray_matdesign.agents.cascade.task import Cost, Solution, Task


class SolverWorker:
    """Keeps what a solver needs, and makes one attempt after the other.

    Args:
        settings: ``solver``, the import path of a factory of workshops, and ``settings``, its
            argument.

    Raises:
        UnknownName: The path leads nowhere.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._workshop = load_workshop(settings["solver"], settings["settings"])

    def attempt(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Makes one attempt.

        Args:
            payload: ``task`` and ``folder``, on a disk this process can write to.

        Returns:
            ``seconds``, and ``solution``, ``unfinished`` or ``stopped``.
        """
        started = time.monotonic()
        told = self._try(payload)
        return told | {"seconds": time.monotonic() - started}

    def _try(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        task = Task.model_validate(payload["task"])
        try:
            came = attempted(self._workshop, task, Path(payload["folder"]))
        except SolverStopped as stopped:
            return {"stopped": str(stopped)}
        if isinstance(came, Unfinished):
            return {"unfinished": asdict(came)}
        return {"solution": _plain(came)}


def build(settings: Mapping[str, Any]) -> SolverWorker:
    """The factory for :class:`ray_matdesign.rl.executor.Role`."""
    return SolverWorker(settings)


def came_of(told: Mapping[str, Any]) -> Solution | Unfinished:
    """What a worker told of an attempt.

    Raises:
        SolverStopped: No attempt can be made.
    """
    if "stopped" in told:
        raise SolverStopped(told["stopped"])
    if "unfinished" in told:
        return Unfinished(**told["unfinished"])
    plain = dict(told["solution"])
    return Solution(**plain | {"cost": Cost(**plain["cost"]), "skills": tuple(plain["skills"])})


def _plain(solution: Solution) -> dict[str, Any]:
    # Phases stay in the folder, where the solver left them.
    kept = ("task", "solved", "code", "reason", "skills")
    plain = {name: getattr(solution, name) for name in kept}
    return plain | {"answer": recordable(solution.answer), "cost": asdict(solution.cost)}
