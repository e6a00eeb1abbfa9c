"""A task that agents solve by code, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import Field, JsonValue

from ray_matdesign.config.settings import Settings

Mode = Literal["native", "search_debug", "deep", "deep+skills"]
"""How much help a model gets: one answer; documentation and one debugger; the deep solver; the deep
solver with skills."""


class Task(Settings):
    """A question whose answer is a plain value."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=100)
    question: str = Field(min_length=1)
    answer_type: Literal["number", "integer", "string", "boolean", "list", "object"]
    unit: str = ""
    packages: tuple[str, ...] = ()
    """Named in the question, or known to be of use; may be empty."""
    files: dict[str, str] = Field(default_factory=dict)
    """Texts by file name that lie in the folder the code runs in, such as a CIF."""
    seed: int = 0
    """Of the model's sampling and of the code's generators."""

    def prompt(self) -> str:
        """The question with the form its answer must have."""
        unit = f" in {self.unit}" if self.unit else ""
        files = f"\nFiles in the working folder: {', '.join(self.files)}." if self.files else ""
        return (
            f"{self.question}{files}\nThe answer is a plain Python value (no numpy types): "
            f"{self.answer_type}{unit}. The program assigns it to the variable `answer`."
        )


@dataclass(frozen=True)
class Cost:
    """What a solution cost.

    Attributes:
        prompt_tokens: Read by models.
        completion_tokens: Written by models.
        requests: Sent to models.
        runs: Of code in the sandbox.
        seconds: From the question to the answer.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0
    runs: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Solution:
    """What an agent came to.

    Attributes:
        task: Id of the task.
        solved: Whether there is an answer of the type asked for. Whether it is right, only a judge
            with the reference knows.
        answer: The value; ``None`` without one.
        code: The program that computed it; empty without one.
        reason: In one line, why there is no answer.
        skills: Ids of the skills whose code the program was given.
        cost: What it took.
        phases: What each phase left behind, by name; plain JSON.
    """

    task: str
    solved: bool
    answer: JsonValue = None
    code: str = ""
    reason: str = ""
    skills: tuple[str, ...] = ()
    cost: Cost = Cost()
    phases: Mapping[str, Any] = field(default_factory=dict)


class Solver(Protocol):
    """Solves one task after another; safe to ask from several threads at once."""

    def solve(self, task: Task) -> Solution:
        """Never raises for what a model wrote; a failure is a solution without an answer.

        Raises:
            LlmError: ``Unreachable``, ``BudgetSpent`` or ``NotRecorded``.
        """
        ...


@dataclass(frozen=True)
class FoundSkill:
    """A skill as a solver sees it first; its code is loaded on demand.

    Attributes:
        id: Of this version.
        name: Of its entry function.
        signature: Of its entry function, with types.
        description: What it does and when to use it.
    """

    id: str
    name: str
    signature: str
    description: str


class Skills(Protocol):
    """The library as a solver sees it; safe to ask from several threads at once."""

    def search(self, question: str, limit: int = 5) -> list[FoundSkill]:
        """Skills that may help, the most promising first; only such as run in this environment."""
        ...

    def code(self, skill: str) -> str:
        """Source of a skill's module.

        Raises:
            KeyError: There is no skill with that id.
        """
        ...

    def used(self, skill: str, task: str, *, solved: bool) -> None:
        """Notes that a skill was given to a program, and whether the task was solved."""
        ...
