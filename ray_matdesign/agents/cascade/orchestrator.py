"""The orchestrator: what is known first, then the simple way or the deep one."""

from __future__ import annotations

from pathlib import Path

from ray_matdesign.agents.cascade.checkpoints import Checkpoints
from ray_matdesign.agents.cascade.course import Course, Keeper, Listener, Unkept
from ray_matdesign.agents.cascade.debugging import Workplace
from ray_matdesign.agents.cascade.deep import process, solve_in_depth, solve_simply
from ray_matdesign.agents.cascade.documentation import Consultation
from ray_matdesign.agents.cascade.knowing import credit, offered, recalled
from ray_matdesign.agents.cascade.meter import Meter, OutOfMeans
from ray_matdesign.agents.cascade.phases import (
    PROCESS,
    SIMPLE,
    Memory,
    Offered,
    Processed,
    Remembered,
    Step,
)
from ray_matdesign.agents.cascade.prompts import program_section, skills_section
from ray_matdesign.agents.cascade.running import Bench, Sandbox
from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.cascade.task import FoundSkill, Skills, Solution, Task
from ray_matdesign.agents.llm.protocol import Llm
from ray_matdesign.agents.tools.protocol import Toolbox


class MissingPart(ValueError):
    """An ability is on, and what it needs was not given."""


class Orchestrator:
    """Solves tasks: a ``Solver``.

    Args:
        llm: Who writes programs.
        sandbox: Runs them.
        settings: How.
        toolbox: Documentation and symbols.
        skills: The library, where skills are on.
        memory: Solved questions, where memory is on.
        folder: Where phases are kept; without one, nothing is.
        listener: Told of each step, from any thread.

    Raises:
        MissingTool: An ability is on, and its tool is not among the tools.
        MissingPart: The same of skills or memory.
    """

    def __init__(
        self,
        llm: Llm,
        sandbox: Sandbox,
        settings: CascadeSettings,
        *,
        toolbox: Toolbox | None = None,
        skills: Skills | None = None,
        memory: Memory | None = None,
        folder: Path | None = None,
        listener: Listener | None = None,
    ) -> None:
        able = settings.able
        for name, part in (("skills", skills), ("memory", memory)):
            if getattr(able, name) and part is None:
                raise MissingPart(f"abilities.{name}: on, but there is none; set it to false")
        self._llm = llm
        self._sandbox = sandbox
        self._settings = settings
        self._consultation = Consultation(toolbox or Toolbox(()), able)
        self._skills = skills
        self._memory = memory
        self._folder = folder
        self._listener = listener or _unheard

    def solve(self, task: Task, listener: Listener | None = None) -> Solution:
        """Solves a task, or goes on with one that was broken off; see :class:`Solver`.

        Args:
            task: The question.
            listener: Told of the steps of this task; by default the one of this solver.

        Raises:
            LlmError: ``Unreachable``, ``BudgetSpent`` or ``NotRecorded``.
            SandboxUnavailable: Nothing can be run.
            BadJob: The task's files cannot be put beside a program.
            BadCheckpoint: The folder holds another question, or is damaged.
        """
        kept: Keeper = Unkept()
        llm = self._llm
        if self._folder is not None:
            checkpoints = Checkpoints(self._folder, task, self._settings)
            kept, llm = checkpoints, checkpoints.recorded(llm)
        course = Course(llm, Meter(self._settings), kept, listener or self._listener)
        offers: tuple[Offered, ...] = ()
        try:
            known = self._recalled(course, task)
            offers = self._offered(course, task)
            processed = self._solved(course, task, known, offers)
        except OutOfMeans as error:
            processed = Processed(reason=str(error))
        else:
            if offers and self._skills is not None and self._settings.credit_skills:
                credit(course, self._skills, offers, task, solved=processed.chosen is not None)
        chosen = processed.chosen
        return Solution(
            task=task.id,
            solved=chosen is not None,
            answer=None if chosen is None else chosen.answer,
            code="" if chosen is None else chosen.source,
            reason=processed.reason,
            skills=tuple(one.id for one in offers),
            cost=course.meter.cost,
            phases=kept.phases(),
        )

    def _recalled(self, course: Course, task: Task) -> tuple[Remembered, ...]:
        if self._memory is None or not self._settings.able.memory:
            return ()
        return recalled(course, self._memory, task)

    def _offered(self, course: Course, task: Task) -> tuple[Offered, ...]:
        if self._skills is None or not self._settings.able.skills:
            return ()
        return offered(course, self._skills, task, self._settings.prompt.skills)

    def _solved(
        self,
        course: Course,
        task: Task,
        known: tuple[Remembered, ...],
        offers: tuple[Offered, ...],
    ) -> Processed:
        size = self._settings.prompt
        context = [
            program_section(f"A program for a like question, {one.question!r:.300}", one.code, size)
            for one in known
        ]
        if offers:
            found = [FoundSkill(s.id, s.name, s.signature, s.description) for s in offers]
            context.append(skills_section(found))
        place = self._place(task, offers)
        if self._settings.able.route and context:
            simple = solve_simply(place, course, context).run
            if simple.ok:
                alone = {SIMPLE: simple}
                return course.phase(PROCESS, Processed, lambda llm: process(place, llm, alone))
        return solve_in_depth(place, course, context)

    def _place(self, task: Task, offers: tuple[Offered, ...]) -> Workplace:
        bench = Bench(
            self._sandbox,
            task,
            self._settings.run.limits(),
            beside={f"{one.name}.py": one.source for one in offers},
            repair=self._settings.able.repair,
            known=self._consultation.place,
        )
        return Workplace(task, self._settings, bench, self._consultation)


def _unheard(step: Step) -> None:
    """Nobody listens."""
