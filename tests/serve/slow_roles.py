"""Roles that a test can slow down, kill and have fail; found by import path.

What they are asked to do besides stands in files of the campaign's folder: ``VERB.order`` holds
``sleep SECONDS``, ``die``, ``refuse`` or ``break``. Each call leaves a line
``VERB ROUND PID`` in ``calls``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray_matdesign.agents.saga.protocol import (
    Analysis,
    AnalyzeRequest,
    Chosen,
    Evaluated,
    EvaluateRequest,
    Finding,
    Implementation,
    ImplementRequest,
    Optimized,
    OptimizeRequest,
    Plan,
    PlanRequest,
    RoleError,
    Roles,
    Selection,
    SelectRequest,
)
from tests.report.saga_folder import implemented, members, planned


class SlowRoles:
    """Plays every role without a model or a potential."""

    def __init__(self, campaign: Path) -> None:
        self._campaign = campaign

    def plan(self, asked: PlanRequest) -> Plan:
        self._obey("plan", asked.round)
        return Plan(thoughts="as before", objectives=planned(asked.round))

    def implement(self, asked: ImplementRequest) -> Implementation:
        self._obey("implement", asked.round)
        return Implementation(implemented=implemented(asked.round))

    def optimize(self, asked: OptimizeRequest) -> Optimized:
        from ray_matdesign.agents.saga.population import write_population

        self._obey("optimize", asked.round)
        found, names = members(asked.round), [one.name for one in asked.objectives]
        folder = Path(asked.directory)
        folder.mkdir(parents=True, exist_ok=True)
        digest = write_population(folder / "population.parquet", found, names)
        return Optimized(size=len(found), sampled=48, evaluated=16, best_reward=0.5, digest=digest)

    def analyze(self, asked: AnalyzeRequest) -> Analysis:
        self._obey("analyze", asked.round)
        cited = asked.statistics.ids[:1]
        return Analysis(overview=(Finding(text="It went on.", cites=cited),), reason="more to find")

    def evaluate(self, asked: EvaluateRequest) -> Evaluated:
        from ray_matdesign.agents.saga.population import write_population

        self._obey("evaluate", 0)
        found = [one for place in range(len(asked.populations)) for one in members(place + 1)]
        Path(asked.output).parent.mkdir(parents=True, exist_ok=True)
        digest = write_population(Path(asked.output), found, ["density", "light_share"])
        success = tuple(0.5 for _ in asked.populations) if asked.held_out else ()
        return Evaluated(crystals=len(found), success=success, digest=digest)

    def select(self, asked: SelectRequest) -> Selection:
        self._obey("select", 0)
        return Selection(chosen=(Chosen(id=asked.candidates[0].id),))

    def _obey(self, verb: str, in_round: int) -> None:
        with open(self._campaign / "calls", "a") as calls:
            calls.write(f"{verb} {in_round} {os.getpid()}\n")
        path = self._campaign / f"{verb}.order"
        order = path.read_text() if path.exists() else ""
        if order.startswith("sleep"):
            time.sleep(float(order.split()[1]))
        elif order == "die":
            # Long enough for Serve to learn that the request was taken: before, it would give it to
            # another replica by itself.
            time.sleep(1.0)
            os.kill(os.getpid(), signal.SIGKILL)
        elif order == "refuse":
            raise RoleError("planner", "budget", "all 10 tokens are spent")
        elif order == "break":
            raise ZeroDivisionError("a slip\nof two lines")


@contextmanager
def roles_in(campaign: Path) -> Iterator[Roles]:
    yield SlowRoles(campaign)
