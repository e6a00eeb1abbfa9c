"""Solvers that only know answers: what a benchmark must give 100 % or 0 % to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from ray_matdesign.agents.benchmark.attempts import Workshop
from ray_matdesign.agents.benchmark.problem import Item
from ray_matdesign.agents.benchmark.running import Key
from ray_matdesign.agents.benchmark.tolerance import Tolerance
from ray_matdesign.agents.cascade.task import Solution, Task


class FixedAnswers:
    """Gives the answers it was given: a ``Solver``.

    Args:
        answers: By id of the task; other tasks stay without an answer.
    """

    def __init__(self, answers: Mapping[str, JsonValue]) -> None:
        self._answers = dict(answers)

    def solve(self, task: Task) -> Solution:
        """Looks the answer up."""
        if task.id not in self._answers:
            return Solution(task.id, solved=False, reason="has no answer to this question")
        return Solution(task.id, solved=True, answer=self._answers[task.id])


def fixed_answers(settings: Mapping[str, Any]) -> Workshop:
    """The factory: ``settings`` has ``answers``, those of :class:`FixedAnswers`."""
    solver = FixedAnswers(settings["answers"])

    def workshop(folder: Path) -> FixedAnswers:
        return solver

    return workshop


def oracle(items: Iterable[Item], key: Key) -> dict[str, JsonValue]:
    """The right answers."""
    return {item.task.id: key.reference(item) for item in items}


def perturbed(items: Iterable[Item], key: Key) -> dict[str, JsonValue]:
    """The right answers, each moved a little further than it may be off."""
    return {item.task.id: moved(key.reference(item), item.tolerance) for item in items}


def memorised(known: Sequence[Item], asked: Sequence[Item], key: Key) -> dict[str, JsonValue]:
    """To the questions of one variant, the right answers of another.

    Args:
        known: Questions whose answers are known by heart.
        asked: Questions of another variant of the same suite.
        key: The right answers.
    """
    answers = {(item.problem, item.level): key.reference(item) for item in known}
    return {item.task.id: answers[item.problem, item.level] for item in asked}


def moved(value: JsonValue, tolerance: Tolerance) -> JsonValue:
    """A value just beyond its tolerance, in one place."""
    if isinstance(value, dict):
        if not value:
            return {"unasked": 0}
        first = next(iter(value))
        return value | {first: moved(value[first], tolerance.of(first))}
    if isinstance(value, list):
        return [moved(value[0], tolerance.of(0)), *value[1:]] if value else [0]
    if isinstance(value, str):
        return f"{value}?"
    if isinstance(value, bool) or value is None:
        return not value
    # More than the bound by more than what judges allow for rounding.
    beyond = 1.001 * tolerance.bound(value) + 1e-9 * max(1.0, abs(value))
    return value + (math.floor(beyond) + 1 if isinstance(value, int) else beyond)
