"""CASCADE as an application of Ray Serve: an orchestrator that people ask, and solvers behind it.

``serve run``, ``serve deploy`` and KubeRay's RayService take the same file, such as
``clusters/serve/cascade.yaml``, whose ``args`` are :class:`CascadeServiceSettings`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import NonNegativeFloat, PositiveInt
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.responses import Response

from ray_matdesign.agents.cascade.building import Workshop, WorkshopSettings
from ray_matdesign.agents.cascade.checkpoints import BadCheckpoint
from ray_matdesign.agents.cascade.documentation import MissingTool
from ray_matdesign.agents.cascade.orchestrator import MissingPart
from ray_matdesign.agents.cascade.phases import Step
from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.cascade.task import Solution, Task
from ray_matdesign.agents.llm.protocol import LlmError
from ray_matdesign.agents.sandbox.box import SandboxUnavailable
from ray_matdesign.agents.sandbox.job import BadJob
from ray_matdesign.agents.skills.library import Library
from ray_matdesign.agents.skills.proposing import learn
from ray_matdesign.agents.skills.trial import Workbench
from ray_matdesign.config.llm import EnvironmentVariable
from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.config.settings import Settings
from ray_matdesign.serve.cascade_front import Front
from ray_matdesign.serve.sessions import FAILED, SOLUTION, STEP, Sessions

ORCHESTRATOR = "orchestrator"
SOLVER = "solver"
_RETRIES = 2
"""How often a session goes on with another solver after its own was lost."""


_NO_VERDICT = (LlmError, SandboxUnavailable, BadJob, BadCheckpoint, MissingTool, MissingPart)
"""What ends the solving of a task without a word on the task."""


class CascadeServiceSettings(Settings):
    """CASCADE as a service."""

    directory: str
    """Where sessions lie, and what solvers keep; every node must see it."""
    workshop: WorkshopSettings = WorkshopSettings()
    token_env: EnvironmentVariable | None = None
    """Environment variable of the replicas with the token that clients must send; without one,
    only clients on this machine are answered."""
    solvers: PositiveInt = 1
    """Replicas that solve."""
    tasks_each: PositiveInt = 2
    """Tasks that each of them works on at once."""
    solver_cpus: NonNegativeFloat = 1.0
    """Ray's CPUs for each."""
    orchestrator_cpus: NonNegativeFloat = 0.1
    most_open: PositiveInt = 16
    """Sessions at once, beyond which questions are refused with status 503."""
    max_request_bytes: PositiveInt = 1_000_000


class NoToken(ValueError):
    """The environment of a replica lacks the token that clients are to send."""


def app(args: dict[str, Any]) -> serve.Application:
    """Builds the application.

    Args:
        args: As :class:`CascadeServiceSettings`.

    Raises:
        ConfigError: One line for each thing that is wrong with them.
    """
    settings = apply_overrides(CascadeServiceSettings, args, "args of the application", ())
    plain = settings.model_dump(mode="json")
    solver = serve.deployment(
        name=SOLVER,
        num_replicas=settings.solvers,
        max_ongoing_requests=settings.tasks_each,
        ray_actor_options={"num_cpus": settings.solver_cpus},
        graceful_shutdown_timeout_s=10.0,
    )
    orchestrator = serve.deployment(
        name=ORCHESTRATOR,
        # One, for it alone writes to the sessions.
        num_replicas=1,
        max_ongoing_requests=1000,
        ray_actor_options={"num_cpus": settings.orchestrator_cpus},
        graceful_shutdown_timeout_s=5.0,
    )
    return orchestrator(OrchestratorReplica).bind(plain, solver(SolverReplica).bind(plain))


class SolverReplica:
    """Solves tasks; what is done lies on disk, so that another can go on.

    Args:
        settings: As :class:`CascadeServiceSettings`, plain.

    Raises:
        SandboxUnavailable: There is no sandbox on this machine.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        read = apply_overrides(CascadeServiceSettings, settings, "settings", ())
        self._folder = Path(read.directory) / "solved"
        self._workshop = Workshop(read.workshop)

    async def solve(
        self, task: dict[str, Any], settings: dict[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        """Steps as they happen, and last the solution; all plain JSON."""
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        asked = Task.model_validate(task)
        how = apply_overrides(CascadeSettings, settings, "settings", ())

        def heard(step: Step) -> None:
            loop.call_soon_threadsafe(events.put_nowait, {"event": STEP, **asdict(step)})

        def work() -> Solution:
            return self._workshop.solver(self._folder / asked.id, heard, how).solve(asked)

        working: asyncio.Future[Solution] = loop.run_in_executor(None, work)
        while not (working.done() and events.empty()):
            getting = asyncio.ensure_future(events.get())
            either: list[asyncio.Future[Any]] = [getting, working]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                yield getting.result()
            else:
                getting.cancel()
                await asyncio.sleep(0)  # lets steps in that were told before the end
        try:
            yield {"event": SOLUTION, "solution": plain(await working)}
        except _NO_VERDICT as error:
            yield {"event": FAILED, "reason": f"{type(error).__name__}: {error}"}

    async def learn(self, task: dict[str, Any], solution: dict[str, Any]) -> str:
        """Remembers an accepted solution and makes a skill of it; tells in a line what came."""
        library = self._workshop.library
        asked = Task.model_validate(task)
        solved = Solution(
            task=asked.id, solved=True, answer=solution["answer"], code=solution["code"]
        )
        if self._workshop.memory is not None:
            self._workshop.memory.keep(asked, solved, asked.id)
        if library is None:
            return "accepted; there is no library to keep a skill in (workshop.skills)"
        folder = self._folder / asked.id
        bench = Workbench(self._workshop.sandbox)
        try:
            learnt = await asyncio.to_thread(
                learn, library, asked, solved, self._workshop.llm(folder), bench
            )
        except LlmError as error:
            return f"accepted; nothing learnt: {error}"
        if learnt.new:
            return f"learnt the skill {learnt.id}"
        return f"accepted; no new skill: {learnt.reason}"

    def __del__(self) -> None:
        """Called by Serve when the replica is taken away."""
        if hasattr(self, "_workshop"):
            self._workshop.close()


class OrchestratorReplica:
    """Keeps the sessions and answers over HTTP.

    Args:
        settings: As :class:`CascadeServiceSettings`, plain.
        solver: Solves.

    Raises:
        NoToken: ``token_env`` names a variable that is not set here.
    """

    def __init__(self, settings: dict[str, Any], solver: DeploymentHandle[Any]) -> None:
        read = apply_overrides(CascadeServiceSettings, settings, "settings", ())
        skills = read.workshop.skills
        self._solver = solver
        self._front = Front(
            Sessions(Path(read.directory) / "sessions"),
            read.workshop.solver,
            self._solve,
            learn=self._learn,
            library=None if skills is None else Library(Path(skills)),
            token=_token(read.token_env),
            most_bytes=read.max_request_bytes,
            most_open=read.most_open,
        )
        self._resumed = False

    async def __call__(self, request: Request) -> Response:
        """Answers over HTTP."""
        self._resume()
        return await self._front.answer(request)

    async def check_health(self) -> None:
        """Called by Serve soon after the start: sessions that were left open are gone on with."""
        self._resume()

    def _resume(self) -> None:
        if not self._resumed:
            self._resumed = True
            self._front.resume()

    async def _solve(self, task: Task, settings: CascadeSettings) -> AsyncIterator[dict[str, Any]]:
        asked, how = task.model_dump(mode="json"), settings.model_dump(mode="json")
        solving: Any = self._solver.options(stream=True).solve
        for left in range(_RETRIES, -1, -1):
            try:
                async for event in solving.remote(asked, how):
                    yield event
                return
            except RayActorError:
                if not left:
                    raise
                told = "the solver was lost; another goes on"
                yield {"event": STEP, "phase": "solver", "kind": "broke", "text": told}

    async def _learn(self, task: Task, solution: dict[str, Any]) -> str:
        told: str = await self._solver.learn.remote(task.model_dump(mode="json"), solution)
        return told


def plain(solution: Solution) -> dict[str, Any]:
    """A solution as plain JSON."""
    told = asdict(solution)
    return {**told, "skills": list(solution.skills), "phases": dict(solution.phases)}


def _token(variable: str | None) -> str | None:
    if variable is None:
        return None
    token = os.environ.get(variable, "").strip()
    if not token:
        raise NoToken(
            f"token_env: the environment variable {variable} is not set where the replica runs"
        )
    return token
