"""What a language model is asked about skills: few words each time."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import Field, JsonValue

from ray_matdesign.agents.cascade.task import Task
from ray_matdesign.agents.llm.protocol import Message, Request
from ray_matdesign.agents.skills.lifting import Parameter
from ray_matdesign.agents.skills.skill import Skill
from ray_matdesign.agents.skills.static_check import PACKAGES
from ray_matdesign.config.settings import Settings

VERSION = "1"
"""Raised when the wording changes, so that recorded answers are not taken for the new question."""

_WORDS = """\
A program solved a task. It becomes a function for tasks of the same kind with other values. Name
and describe it. Answer with a JSON object:
name: of the function, two to four lower-case words joined by underscores, without the values;
description: one sentence, what it computes and by which method;
when_to_use: one sentence that begins with "Use it";
tags: three to six single words to find it by;
arguments: an object; for each argument listed, its meaning in a few words, with the unit."""

_VALUES = """\
A function will be tested. Give other sets of arguments it should work for, physically sensible, as
a JSON object {"sets": [...]} with an object of all arguments in each set, three sets."""

_PATCH = f"""\
A Python function fails for some arguments. Write the whole module again with the error put right:
the same function name and arguments (a new one needs a default), all types, a docstring, helpers
with a leading underscore. It returns plain Python values, and reads or writes no files. You may
import only: {", ".join(sorted(PACKAGES))}.
Answer with one ```python block and nothing else."""


class Words(Settings):
    """How a model calls and describes a function."""

    name: str = Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", min_length=3, max_length=48)
    description: str = Field(min_length=10, max_length=300)
    when_to_use: str = Field(min_length=5, max_length=300)
    tags: tuple[str, ...] = Field(default=(), max_length=8)
    arguments: dict[str, str] = Field(default_factory=dict)


class Values(Settings):
    """Arguments a function should work for."""

    sets: tuple[dict[str, JsonValue], ...] = Field(max_length=8)


def words_request(
    task: Task, program: str, parameters: Sequence[Parameter], seed: int = 0
) -> Request:
    """Asks for name and description."""
    listed = "\n".join(f"- {one.name}: {one.annotation}, was {one.value!r}" for one in parameters)
    user = f"Task: {task.question}\n\nProgram:\n{program}\n\nArguments:\n{listed}"
    return _request("skills.words", _WORDS, user, Words.model_json_schema(), 384, seed)


def values_request(task: Task, parameters: Sequence[Parameter], seed: int = 0) -> Request:
    """Asks for other values of the arguments."""
    known = {one.name: one.value for one in parameters}
    user = f"Task: {task.question}\n\nArguments that worked: {json.dumps(known)}"
    return _request("skills.values", _VALUES, user, Values.model_json_schema(), 384, seed)


def patch_request(skill: Skill, failure: str, seed: int = 0) -> Request:
    """Asks for a better version of a skill, as text that holds a block of Python."""
    user = f"Module:\n{skill.source}\n\nFailure: {failure}"
    return _request("skills.patch", _PATCH, user, None, 2048, seed)


def _request(
    purpose: str, system: str, user: str, answer: dict[str, object] | None, tokens: int, seed: int
) -> Request:
    messages = (Message("system", system), Message("user", user))
    return Request(purpose, VERSION, messages, answer, max_tokens=tokens, seed=seed)
