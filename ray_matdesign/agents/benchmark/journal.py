"""What a run has finished so far: one line an attempt, on disk before the next one counts."""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue, ValidationError

from ray_matdesign.agents.benchmark.problem import Item
from ray_matdesign.agents.cascade.task import Cost
from ray_matdesign.agents.json_lines import append_line, read_lines
from ray_matdesign.config.settings import Settings
from ray_matdesign.crystals.atomic import write_atomic

Outcome = Literal["right", "wrong", "unanswered", "timeout", "budget", "lost"]

ANSWERED = ("right", "wrong")
"""Outcomes with an answer; the others are failures that published rates leave out."""


class BadRun(ValueError):
    """A run folder that cannot be used or gone on with; the message names it and says why."""


class Finished(Settings):
    """An attempt that is over, as one line of the journal."""

    task: str
    question: str
    """Digest of what was asked."""
    problem: str
    category: str
    level: int
    variant: int
    repetition: int
    outcome: Outcome
    reason: str = ""
    answer: JsonValue = None
    code: str = ""
    skills: tuple[str, ...] = ()
    seconds: float
    """By the runner's clock, to the deadline at most."""
    cost: Cost = Cost()


class Journal:
    """The attempts finished in a folder.

    Args:
        folder: Of the run; made if it is not there.
        plan: What a run must have in common with the one that began the folder: plain values.

    Raises:
        BadRun: The folder belongs to a run with another plan, or its journal is broken.
    """

    def __init__(self, folder: Path, plan: Mapping[str, JsonValue]) -> None:
        self.folder = folder
        self._path = folder / "attempts.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self._check_plan(dict(plan))
        self._done = {(each.task, each.repetition): each for each in self._read()}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other runs out of the folder.

        Raises:
            BadRun: Another one is under way.
        """
        with open(self.folder / ".lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BadRun(f"{self.folder}: another run is under way in it") from error
            yield

    def finished(self) -> list[Finished]:
        """In the order they ended."""
        return list(self._done.values())

    def holds(self, item: Item, repetition: int) -> bool:
        """Whether an attempt is over.

        Raises:
            BadRun: It is, and another question was asked by the same name.
        """
        found = self._done.get((item.task.id, repetition))
        if found is None:
            return False
        if found.question != digest(item):
            raise BadRun(
                f"{self._path}: {found.task} asked another question then; choose another folder"
            )
        return True

    def add(self, attempt: Finished) -> None:
        """Keeps an attempt; it is on disk when this returns."""
        append_line(self._path, attempt.model_dump(mode="json"))
        self._done[attempt.task, attempt.repetition] = attempt

    def _check_plan(self, plan: dict[str, JsonValue]) -> None:
        path = self.folder / "plan.json"
        if not path.exists():
            write_atomic(path, json.dumps(plan, indent=1) + "\n")
            return
        begun = json.loads(path.read_text())
        for key in {**begun, **plan}:
            if begun.get(key) != plan.get(key):
                raise BadRun(
                    f"{path}: {key} was {json.dumps(begun.get(key))}, not "
                    f"{json.dumps(plan.get(key))}; choose another folder"
                )

    def _read(self) -> Iterator[Finished]:
        if not self._path.exists():
            return
        for number, entry in read_lines(self._path):
            try:
                yield Finished.model_validate(entry)
            except ValidationError as error:
                detail = error.errors()[0]
                key = ".".join(map(str, detail["loc"]))
                raise BadRun(f"{self._path}: line {number}: {key}: {detail['msg']}") from error


def digest(item: Item) -> str:
    """Of all that a solver is told but the seed."""
    told = item.task.model_dump(mode="json", exclude={"seed"})
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def recordable(value: Any) -> JsonValue:
    """A value as JSON can hold it: what is not finite, or not plain, as text."""
    if isinstance(value, dict):
        return {str(key): recordable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [recordable(each) for each in value]
    if type(value) is float and not math.isfinite(value):
        return str(value)
    return value if value is None or type(value) in (bool, int, float, str) else repr(value)


def read_run(folder: Path) -> list[Finished]:
    """The attempts of a run, whatever its plan.

    Raises:
        BadRun: It is none, or its journal is broken.
    """
    plan = folder / "plan.json"
    if not plan.is_file():
        raise BadRun(f"{folder}: no run of the benchmark: there is no {plan.name}")
    return Journal(folder, json.loads(plan.read_text())).finished()
