"""A skill: a typed function with the tests that prove it, and where it came from."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator

from ray_matdesign.agents.skills.versions import Version
from ray_matdesign.config.settings import Settings

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", min_length=3, max_length=64)]
"""Of an entry function; with hyphens for underscores, also of the folder."""

Inputs = dict[str, JsonValue]
"""Arguments of one call, by name."""


class SkillError(ValueError):
    """A skill that cannot be read or used; the message names it."""


class Status(StrEnum):
    """How far a skill has come."""

    DRAFTED = "drafted"
    """Written; nobody has tried it."""
    CANDIDATE = "candidate"
    """It passed admission and may be tried on tasks."""
    ACTIVE = "active"
    """Tasks were solved with it, or somebody approved it."""
    RETIRED = "retired"
    """No longer offered; its evidence stays."""


class Case(Settings):
    """A call with the value that must come back."""

    inputs: Inputs
    expected: JsonValue
    rel_tol: float = Field(default=1e-6, ge=0.0, le=0.05)
    abs_tol: float = Field(default=1e-9, ge=0.0)
    held_out: bool = False
    """Whether whoever wrote the code had not seen it."""


class Relation(Settings):
    """How the value must follow when inputs change: a test that needs no known value."""

    inputs: Inputs
    changed: Inputs
    """The arguments that take other values in the second call."""
    relation: Literal["same", "greater", "less", "scaled"]
    """Of the second value to the first, which are numbers unless they must be the same."""
    factor: float = 1.0
    """Second over first, where it is scaled."""
    rel_tol: float = Field(default=1e-6, ge=0.0, le=0.05)


class Tests(Settings):
    """All that a skill must satisfy."""

    __test__ = False  # pytest shall not take it for a test

    cases: tuple[Case, ...] = ()
    relations: tuple[Relation, ...] = ()


class Check(Settings):
    """One thing that was examined."""

    name: str
    passed: bool
    detail: str = ""
    """What was found."""


class Draft(Settings):
    """A skill that was proposed."""

    name: Name
    description: str = Field(min_length=1, max_length=600)
    """What it computes, in one or two sentences."""
    when_to_use: str = Field(default="", max_length=400)
    tags: tuple[str, ...] = ()
    source: str = Field(min_length=1)
    """Of the module; its one public function is the entry."""
    tests: Tests
    question: str = ""
    """Wording of the task that it comes from; helps to find it."""
    source_task: str = ""
    model: str = ""
    """Who wrote it."""
    parent: str | None = None
    """Id of the skill that it is a better version of."""

    @field_validator("description", "when_to_use", "question")
    @classmethod
    def _one_line(cls, text: str) -> str:
        return " ".join(text.split())


class Meta(Settings):
    """What ``meta.json`` holds."""

    id: str
    version: str
    parent: str | None = None
    environment: dict[str, str]
    """Versions of Python and of the imported packages that it was admitted with."""
    environment_hash: str
    code_hash: str
    """Of the code's normal form; the same for code that differs in names and layout only."""
    source_hash: str
    """SHA-256 of ``skill.py``, hexadecimal."""
    source_task: str = ""
    question: str = ""
    model: str = ""
    created: str
    """UTC, ISO 8601."""
    status: Status = Status.DRAFTED
    uses: int = 0
    successes: int = 0

    @field_validator("version")
    @classmethod
    def _is_version(cls, text: str) -> str:
        return str(Version.parse(text))


class Skill(Settings):
    """A version of a skill as its folder holds it."""

    name: Name
    description: str
    when_to_use: str = ""
    tags: tuple[str, ...] = ()
    source: str
    tests: Tests
    meta: Meta

    @property
    def id(self) -> str:
        """Of this version."""
        return self.meta.id

    def draft(self) -> Draft:
        """The same as a proposal, to be admitted elsewhere."""
        return Draft(
            name=self.name,
            description=self.description,
            when_to_use=self.when_to_use,
            tags=self.tags,
            source=self.source,
            tests=self.tests,
            question=self.meta.question,
            source_task=self.meta.source_task,
            model=self.meta.model,
        )


def id_of(name: str, version: Version) -> str:
    """Id of a version, such as ``lattice_energy@1.0.0``."""
    return f"{name}@{version}"


def digest(text: str) -> str:
    """SHA-256 of a text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
