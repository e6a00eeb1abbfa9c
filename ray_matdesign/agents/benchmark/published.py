"""Questions of the published SciSkillBench, from files that a user has."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ray_matdesign.agents.benchmark.problem import PUBLIC, AnswerType, Item
from ray_matdesign.agents.benchmark.suite import LEVELS, BadSuite
from ray_matdesign.agents.benchmark.tolerance import Allowed, Tolerance
from ray_matdesign.agents.cascade.task import Task

_TYPES: Mapping[str, AnswerType] = {
    "float": "number", "number": "number", "int": "integer", "integer": "integer",
    "str": "string", "string": "string", "bool": "boolean", "boolean": "boolean",
    "list": "list", "array": "list", "tuple": "list",
    "dict": "object", "dictionary": "object", "object": "object",
}  # fmt: skip

_NAME = re.compile(r"[^a-z0-9_-]+")


class _Entry(BaseModel):
    """One problem of a file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_query: dict[Literal["0", "1"], str] = Field(min_length=2)
    output_type: str
    unit: str | None = None
    answer: JsonValue
    absolute_tolerance: JsonValue = None


@dataclass(frozen=True)
class Published:
    """Questions whose answers are stored numbers; there is one variant of each.

    Attributes:
        questions: In the order of the files.
    """

    questions: tuple[Item, ...]

    def items(self, variant: int = PUBLIC) -> list[Item]:
        """Every question.

        Raises:
            BadSuite: A private variant is asked for.
        """
        if variant != PUBLIC:
            raise BadSuite(f"published questions have no variant {variant}: leave it at {PUBLIC}")
        return list(self.questions)


def load_published(path: Path) -> Published:
    """Reads a file of entries, or every ``*.json`` of a folder; a file's name is its category.

    A file holds a list of entries, or an object of them by name. An entry has ``user_query`` with
    the wordings ``"0"`` and ``"1"``, ``output_type``, ``unit``, ``answer``, and
    ``absolute_tolerance``: a number, a list or an object like the answer, an object with one for
    each of the levels ``"0"`` and ``"1"``, or words such as ``exact``. Strings whose tolerance is
    words other than ``exact`` are compared without regard to case and spaces: there is no model
    here to judge their meaning.

    Raises:
        BadSuite: A file is no such thing; the message names the file, the entry and the key.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise BadSuite(f"{path}: there is no *.json in it")
    return Published(tuple(item for file in files for item in _items(file)))


def _items(file: Path) -> list[Item]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSuite(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise BadSuite(f"{file}: not JSON: {error}") from error
    if isinstance(content, list):
        content = {str(number): entry for number, entry in enumerate(content, start=1)}
    if not isinstance(content, dict) or not content:
        raise BadSuite(f"{file}: must hold a list of entries, or an object of them by name")
    items: list[Item] = []
    for name, entry in content.items():
        items += _questions(file, name, entry)
    return items


def _questions(file: Path, name: str, told: Any) -> list[Item]:
    where = f"{file}: entry {name}"
    try:
        entry = _Entry.model_validate(told)
    except ValidationError as error:
        detail = error.errors()[0]
        key = ".".join(map(str, detail["loc"])) or "the entry"
        raise BadSuite(f"{where}: {key}: {detail['msg']}") from error
    found = re.match(r"[a-z]+", entry.output_type.strip().lower())
    if found is None or found[0] not in _TYPES:
        raise BadSuite(
            f"{where}: output_type: {entry.output_type!r} is none of {', '.join(_TYPES)}"
        )
    problem = _NAME.sub("-", f"{file.stem}-{name}".lower()).strip("-")
    items = []
    for level in LEVELS:
        task = Task(
            id=f"{problem}.l{level}",
            question=entry.user_query["1" if level else "0"],
            answer_type=_TYPES[found[0]],
            unit=entry.unit or "",
        )
        tolerance = _tolerance(where, entry, level)
        items.append(Item(task, problem, file.stem, level, PUBLIC, tolerance, lambda: entry.answer))
    return items


def _tolerance(where: str, entry: _Entry, level: int) -> Tolerance:
    told = entry.absolute_tolerance
    if isinstance(told, dict) and told.keys() == {"0", "1"}:
        told = told[str(level)]
    if told is None:
        return Tolerance()
    if isinstance(told, str):
        return Tolerance(text="exact" if told.strip().lower().startswith("exact") else "normalised")
    return Tolerance(absolute=_allowed(f"{where}: absolute_tolerance", told, entry.answer))


def _allowed(where: str, told: JsonValue, answer: JsonValue) -> Allowed:
    """A tolerance that fits the answer: one for all of it, or one for each of its parts."""
    if isinstance(told, list) and isinstance(answer, list) and len(told) == len(answer):
        return [_allowed(where, *both) for both in zip(told, answer, strict=True)]
    if isinstance(told, dict) and isinstance(answer, dict) and told.keys() == answer.keys():
        return {key: _allowed(where, told[key], answer[key]) for key in told}
    if isinstance(told, int | float) and not isinstance(told, bool) and told >= 0:
        return told
    if told is None or isinstance(told, str):  # of a string among numbers
        return 0.0
    raise BadSuite(f"{where}: must be a number from 0 up, or be like the answer")
