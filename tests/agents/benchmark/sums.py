"""A small suite whose answers take no time, and solvers of every temper."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray_matdesign.agents.benchmark.attempts import Workshop
from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.suite import Suite
from ray_matdesign.agents.benchmark.tolerance import Tolerance
from ray_matdesign.agents.cascade.task import Cost, Solution, Solver, Task
from ray_matdesign.agents.llm.protocol import BudgetSpent, Unreachable

BOOK = Book("analysis")

for _name in ("red", "green", "blue", "white"):

    @BOOK.problem(
        _name,
        functions="With sum(), add {first} and {second}.",
        goal="How much are {first} and {second} together?",
        answer_type="integer",
        tolerance=Tolerance(),
        packages=(),
        draw=lambda rng: {"first": rng.randint(1, 999), "second": rng.randint(1, 999)},
    )
    def add(first: int, second: int) -> int:
        return first + second


def suite() -> Suite:
    return Suite(tuple(BOOK.problems))


class Adder:
    """Adds the numbers in the question, as its manner has it."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder = folder
        self._settings = settings

    def solve(self, task: Task) -> Solution:
        time.sleep(self._settings.get("rest_s", 0.0))
        (self._folder / "note.txt").write_text(f"{task.id} {task.seed}")
        for manner in ("broken", "late", "out_of_reach", "spends", "dies_once", "dies"):
            if self._settings.get(manner, "none") in task.id:
                getattr(self, f"_{manner}")(task)
        words = task.question.replace(".", "").split()
        answer = sum(int(word) for word in words if word.isdigit())
        cost = Cost(prompt_tokens=100, completion_tokens=10, requests=1, runs=1)
        return Solution(task.id, solved=True, answer=answer, code="answer = a + b", cost=cost)

    def _broken(self, task: Task) -> None:
        raise ZeroDivisionError("division\nby zero")

    def _late(self, task: Task) -> None:
        time.sleep(600)

    def _spends(self, task: Task) -> None:
        raise BudgetSpent("the budget of 100 tokens is spent")

    def _out_of_reach(self, task: Task) -> None:
        raise Unreachable("nobody answers")

    def _dies_once(self, task: Task) -> None:
        grave = Path(self._settings["graves"]) / task.id
        if not grave.exists():
            grave.touch()
            os._exit(1)

    def _dies(self, task: Task) -> None:
        os._exit(1)


def adding(settings: Mapping[str, Any]) -> Workshop:
    def workshop(folder: Path) -> Solver:
        return Adder(folder, settings)

    return workshop
