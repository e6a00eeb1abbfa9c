"""Problems of the benchmark: what is asked, in two wordings, and the program that knows."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, get_args

from pydantic import JsonValue

from ray_matdesign.agents.benchmark.judge import Verdict, judge, type_of
from ray_matdesign.agents.benchmark.tolerance import Tolerance
from ray_matdesign.agents.cascade.task import Task

Category = Literal["retrieval", "analysis", "management", "processing", "simulation", "specialised"]
CATEGORIES: tuple[str, ...] = get_args(Category)

AnswerType = Literal["number", "integer", "string", "boolean", "list", "object"]

Level = Literal[0, 1]
"""0 names the functions to use, 1 the goal alone."""

Parameters = Mapping[str, Any]
"""Plain values that a question is put with."""

PUBLIC = 0
"""The variant whose questions, and so answers, anybody may know; all others are private."""

_DRAWS = 200


class BadProblem(ValueError):
    """A problem that cannot be put, or whose reference gives no answer; the message names it."""


@dataclass(frozen=True)
class Item:
    """One question, with what its judge needs. Solvers get the task and nothing else.

    Attributes:
        task: The question.
        problem: Id of its problem.
        category: Of the problem.
        level: Of the wording.
        variant: Of the parameters.
        tolerance: How far an answer may be off.
        reference: Computes the right answer; may take seconds.
    """

    task: Task
    problem: str
    category: str
    level: int
    variant: int
    tolerance: Tolerance
    reference: Callable[[], JsonValue] = field(compare=False)

    def judge(self, answer: JsonValue, reference: JsonValue) -> Verdict:
        """Whether an answer agrees with the reference, which is to be computed but once."""
        task = self.task
        return judge(answer, reference, task.answer_type, self.tolerance, task.unit)


@dataclass(frozen=True)
class Problem:
    """A question with parameters.

    Attributes:
        id: Unique in its suite.
        category: What kind of work it is.
        functions: Wording of level 0, naming the functions to use; a template of the parameters.
        goal: Wording of level 1, naming the goal alone; likewise.
        answer_type: Of the answer.
        unit: Of the answer's numbers; empty where there is none or the wording gives several.
        tolerance: How far an answer may be off.
        packages: Needed by the reference, by import name.
        draw: Parameters from a generator of random numbers.
        solve: The reference: computes the answer from the parameters, with no file at hand.
        files: Texts by name that a solver gets, made of the parameters.
        slow: Whether the reference takes more than a few seconds.
    """

    id: str
    category: Category
    functions: str
    goal: str
    answer_type: AnswerType
    tolerance: Tolerance
    packages: tuple[str, ...]
    draw: Callable[[Random], Parameters]
    solve: Callable[..., JsonValue]
    unit: str = ""
    files: Callable[..., Mapping[str, str]] | None = None
    slow: bool = False

    def parameters(self, variant: int = PUBLIC) -> Parameters:
        """Those of a variant: the same in every process, and never the public ones in another.

        Raises:
            BadProblem: There are no others.
        """
        public = self.draw(Random(f"{self.id}/{PUBLIC}"))
        if variant == PUBLIC:
            return public
        rng = Random(f"{self.id}/{variant}")
        for _ in range(_DRAWS):
            drawn = self.draw(rng)
            if drawn != public:
                return drawn
        raise BadProblem(f"problem {self.id}: has no parameters but the public ones")

    def item(self, level: Level, variant: int = PUBLIC) -> Item:
        """Puts the question.

        Raises:
            BadProblem: A wording names a parameter that is not drawn.
        """
        parameters = self.parameters(variant)
        wording = self.goal if level else self.functions
        try:
            question = wording.format(**parameters)
        except (KeyError, IndexError) as error:
            raise BadProblem(f"problem {self.id}, level {level}: no parameter {error}") from error
        task = Task(
            id=f"{self.id}.v{variant}.l{level}",
            question=question,
            answer_type=self.answer_type,
            unit=self.unit,
            packages=self.packages,
            files=dict(self.files(**parameters)) if self.files else {},
        )
        return Item(
            task=task,
            problem=self.id,
            category=self.category,
            level=level,
            variant=variant,
            tolerance=self.tolerance,
            reference=lambda: self.answer(variant),
        )

    def answer(self, variant: int = PUBLIC) -> JsonValue:
        """Runs the reference.

        Raises:
            BadProblem: What it returns is not of the type the question asks for.
        """
        found = self.solve(**self.parameters(variant))
        if type_of(found) != self.answer_type:
            raise BadProblem(
                f"problem {self.id}: the reference returns {type_of(found)}, not {self.answer_type}"
            )
        return found

    def missing(self) -> list[str]:
        """Packages of the reference that are not installed."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]


class Book:
    """Problems of one category, each declared above its reference.

    Args:
        category: Of all of them.

    Attributes:
        problems: In the order of declaration.
    """

    def __init__(self, category: Category) -> None:
        self.category: Category = category
        self.problems: list[Problem] = []

    def problem(
        self, name: str, **told: Any
    ) -> Callable[[Callable[..., JsonValue]], Callable[..., JsonValue]]:
        """Declares the function below as the reference of a problem.

        Args:
            name: The problem's id.
            told: The other attributes of :class:`Problem`.
        """

        def declare(solve: Callable[..., JsonValue]) -> Callable[..., JsonValue]:
            self.problems.append(Problem(id=name, category=self.category, solve=solve, **told))
            return solve

        return declare
