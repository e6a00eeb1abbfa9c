"""Solvers put together from their settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from pydantic import PositiveInt

from ray_matdesign.agents.cascade.course import Listener
from ray_matdesign.agents.cascade.orchestrator import MissingPart, Orchestrator
from ray_matdesign.agents.cascade.remembering import SolvedQuestions
from ray_matdesign.agents.cascade.running import PRELOAD, Sandbox
from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.cascade.task import Skills
from ray_matdesign.agents.documentation.building import build_index
from ray_matdesign.agents.documentation.index import DocumentationIndex
from ray_matdesign.agents.llm.budget import Budgeted
from ray_matdesign.agents.llm.building import BUDGET_NAME, LOG_NAME, live
from ray_matdesign.agents.llm.cassette import Replayer
from ray_matdesign.agents.llm.logged import Logged
from ray_matdesign.agents.llm.protocol import Llm
from ray_matdesign.agents.memory.memory import Memory
from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.sandbox.result import Result
from ray_matdesign.agents.sandbox.tiers import best_tier
from ray_matdesign.agents.skills.library import Library
from ray_matdesign.agents.tools.documentation import documentation_tools
from ray_matdesign.agents.tools.introspect import introspect_tool
from ray_matdesign.agents.tools.protocol import Toolbox
from ray_matdesign.config.documentation import DocumentationSettings
from ray_matdesign.config.llm import LlmSettings
from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.config.settings import Settings


class WorkshopSettings(Settings):
    """All that solvers are made of."""

    solver: CascadeSettings = CascadeSettings()
    llm: LlmSettings = LlmSettings()
    """Its budget is for each folder that a solver is made for."""
    documentation: DocumentationSettings = DocumentationSettings()
    skills: str | None = None
    """Folder of the library."""
    memory: str | None = None
    """File of the memory."""
    sandboxes: PositiveInt = 1
    """How many programs may run at once."""
    preload: tuple[str, ...] = PRELOAD
    """Modules that each sandbox imports before there is any program."""


class Boxes:
    """Several sandboxes, of which each job takes one that is free: a ``Sandbox``.

    Args:
        count: How many.
        preload: Modules that each imports beforehand.

    Raises:
        SandboxUnavailable: There is no sandbox here.
    """

    def __init__(self, count: int, preload: Sequence[str]) -> None:
        self._boxes: list[Box] = []
        self._free: SimpleQueue[Box] = SimpleQueue()
        tier = best_tier()
        try:
            for _ in range(count):
                self._boxes.append(Box(tier, preload))
                self._free.put(self._boxes[-1])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, job: Job) -> Result:
        """What came of the job; see :meth:`Box.run`."""
        box = self._free.get()
        try:
            return box.run(job)
        finally:
            self._free.put(box)

    def close(self) -> None:
        """Ends all of them; idempotent."""
        for box in self._boxes:
            box.close()


class Workshop:
    """Makes solvers that share a model, sandboxes, an index and a library.

    Args:
        settings: Of all of them.
        llm: Whom to ask; by default what the settings say.
        sandbox: To run in; by default sandboxes of its own.

    Raises:
        Unreachable: A variable that should hold a token is not set.
        SandboxUnavailable: There is no sandbox here.
        NothingInstalled: There is no package to index.
        MissingPart: Skills or memory are on, and no library or file is named.
    """

    def __init__(
        self,
        settings: WorkshopSettings,
        *,
        llm: Llm | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        able = settings.solver.able
        if able.skills and settings.skills is None:
            raise MissingPart("abilities.skills: on; name the folder of the library in skills")
        if able.memory and settings.memory is None:
            raise MissingPart("abilities.memory: on; name the file of the memory in memory")
        self.settings = settings
        self.library = None if settings.skills is None else Library(Path(settings.skills))
        memory = None if settings.memory is None else Memory(Path(settings.memory))
        self.memory = None if memory is None else SolvedQuestions(memory)
        self._source = llm if llm is not None else _source(settings.llm)
        self._boxes = Boxes(settings.sandboxes, settings.preload) if sandbox is None else None
        self.sandbox: Sandbox = self._boxes or sandbox  # type: ignore[assignment]
        try:
            self._toolbox = _toolbox(settings, self.sandbox)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def llm(self, folder: Path) -> Llm:
        """The model, within the budget of a folder and with a log there."""
        folder.mkdir(parents=True, exist_ok=True)
        budgeted = Budgeted(self._source, self.settings.llm.budget, folder / BUDGET_NAME)
        return Logged(budgeted, folder / LOG_NAME)

    def solver(
        self,
        folder: Path,
        listener: Listener | None = None,
        settings: CascadeSettings | None = None,
    ) -> Orchestrator:
        """A solver that keeps what it does in a folder, and goes on with what is there.

        Args:
            folder: Made if it is missing.
            listener: Told of each step, from any thread.
            settings: Of this solver; by default those of all.

        Raises:
            MissingTool: An ability is on that the workshop was not made for.
            MissingPart: The same of skills or memory.
        """
        skills: Skills | None = self.library
        return Orchestrator(
            self.llm(folder),
            self.sandbox,
            settings or self.settings.solver,
            toolbox=self._toolbox,
            skills=skills,
            memory=self.memory,
            folder=folder / "phases",
            listener=listener,
        )

    def __call__(self, folder: Path) -> Orchestrator:
        """A solver for a folder, as benchmarks want it; see :meth:`solver`."""
        return self.solver(folder)

    def close(self) -> None:
        """Ends the sandboxes it made; idempotent."""
        if self._boxes is not None:
            self._boxes.close()


def benchmark_workshop(settings: Mapping[str, Any]) -> Workshop:
    """The factory for benchmarks: makes what all solvers share, and is called for each of them.

    Args:
        settings: As :class:`WorkshopSettings`, and ``mode``, which is that of the solver.

    Raises:
        ConfigError: One line for each thing that is wrong with them.
    """
    given = {key: value for key, value in settings.items() if key != "mode"}
    if "mode" in settings:
        given["solver"] = {**given.get("solver", {}), "mode": settings["mode"]}
    return Workshop(apply_overrides(WorkshopSettings, given, "settings of the solver", ()))


def _source(settings: LlmSettings) -> Llm:
    if settings.replay is not None:
        return Replayer(Path(settings.replay))
    return live(settings, os.environ)


def _toolbox(settings: WorkshopSettings, sandbox: Sandbox) -> Toolbox:
    able = settings.solver.able
    if not (able.documentation or able.introspection):
        return Toolbox(())
    index = DocumentationIndex(build_index(settings.documentation, sandbox))
    return Toolbox([*documentation_tools(index), introspect_tool(index, sandbox)])
