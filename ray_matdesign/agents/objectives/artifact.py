"""A written scorer as it lies on disk: its specification, its code, and all that became of it."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol, Self

from pydantic import ValidationError, model_validator

from ray_matdesign.agents.objectives.features import Batch
from ray_matdesign.agents.objectives.interpreter import evaluate
from ray_matdesign.agents.objectives.language import Program, needs_of
from ray_matdesign.agents.objectives.python_scorer import LIMITS, PythonScorer, Sandbox
from ray_matdesign.agents.objectives.specification import ObjectiveSpec
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.config.problems import describe, dotted
from ray_matdesign.config.settings import Settings
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.potentials.protocol import Failed

_LARGEST_FILE = 4 * 2**20


class ArtifactError(ValueError):
    """A file that is no artifact, or not the one it says it is."""


class State(StrEnum):
    """How far a scorer has come."""

    DRAFTED = "drafted"
    STATIC = "static"
    """It can be read: an expression with the right unit, or Python that does nothing forbidden."""
    SANDBOX = "sandbox"
    """It ran and gave values."""
    VALIDATED = "validated"
    """It passed every check."""
    REGISTERED = "registered"
    """It lies on disk and may be used."""
    REJECTED = "rejected"


class Transition(Settings):
    """A step of its life."""

    state: State
    reason: str


class Check(Settings):
    """One thing that was examined."""

    name: str
    passed: bool
    detail: str = ""
    """What was found; always given where it did not pass."""


class Scoring(Protocol):
    """A written scorer that can be called.

    Attributes:
        needs: Registered scorers whose values it takes.
    """

    @property
    def needs(self) -> tuple[str, ...]:
        """Registered scorers whose values it takes."""
        ...

    def values(self, batch: Batch, seed: int = 0) -> list[float | Failed]:
        """Values in the order of the crystals; a population has one in all.

        Raises:
            ScorerFailed: It gave no values at all.
        """
        ...


class DeclaredScorer:
    """A program of the scorer language, ready to be called.

    Args:
        program: Checked.
        unit: To express values in.
    """

    def __init__(self, program: Program, unit: str) -> None:
        self._program = program
        self._unit = unit
        self.needs = needs_of(program.expression)

    def values(self, batch: Batch, seed: int = 0) -> list[float | Failed]:
        """See :class:`Scoring`; there is no chance in it."""
        return evaluate(self._program, batch, self._unit)


class ScorerArtifact(Settings):
    """A written scorer; only a registered one may be used."""

    version: Literal[1] = 1
    spec: ObjectiveSpec
    program: Program | None = None
    """In the scorer language, or"""
    source: str | None = None
    """in Python."""
    transitions: tuple[Transition, ...] = (Transition(state=State.DRAFTED, reason="written"),)
    checks: tuple[Check, ...] = ()

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.program is None) == (self.source is None):
            raise ValueError("give program or source, and not both")
        return self

    @property
    def form(self) -> Literal["declarative", "python"]:
        """The language it is written in."""
        return "declarative" if self.program is not None else "python"

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.transitions[-1].state

    @property
    def reason(self) -> str:
        """Why it stands there."""
        return self.transitions[-1].reason

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that its values depend on: definition, range and code, hexadecimal."""
        program = None if self.program is None else self.program.model_dump(mode="json")
        content = [self.spec.hash, self.spec.range.model_dump(mode="json"), program, self.source]
        return _digest(content)

    def moved(self, state: State, reason: str, checks: tuple[Check, ...] = ()) -> Self:
        """The same scorer one step further."""
        step = Transition(state=state, reason=reason)
        update = {"transitions": (*self.transitions, step), "checks": checks or self.checks}
        return self.model_copy(update=update)

    def scoring(self, sandbox: Sandbox | None, limits: Limits = LIMITS) -> Scoring:
        """The scorer, ready to be called.

        Args:
            sandbox: To run Python in; a program of the scorer language needs none.
            limits: Of one call of Python.

        Raises:
            ArtifactError: Python without a sandbox.
        """
        if self.program is not None:
            return DeclaredScorer(self.program, self.spec.unit)
        if sandbox is None or self.source is None:
            raise ArtifactError(f"{self.spec.name}: written in Python, which needs a sandbox")
        population = self.spec.kind == "population"
        return PythonScorer(self.source, self.spec.needs, population, sandbox, limits)


def register(artifact: ScorerArtifact, folder: Path) -> tuple[ScorerArtifact, Path]:
    """Puts a validated scorer on disk, from where runs can use it; idempotent.

    Args:
        artifact: Validated.
        folder: Made if it is missing.

    Returns:
        The artifact as registered, and its file ``NAME-HASH.json``.

    Raises:
        ArtifactError: It has not passed validation.
    """
    if artifact.state is State.VALIDATED:
        artifact = artifact.moved(State.REGISTERED, "may be used")
    if artifact.state is not State.REGISTERED:
        raise ArtifactError(f"{artifact.spec.name}: {artifact.state}, not validated")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{artifact.spec.name}-{artifact.hash[:16]}.json"
    content = artifact.model_dump(mode="json")
    write_atomic(path, json.dumps({"sha256": _digest(content), **content}, indent=1) + "\n")
    return artifact, path


def load_artifact(path: str | Path) -> ScorerArtifact:
    """Reads a registered scorer.

    Raises:
        ArtifactError: The file is missing, damaged, changed by hand, or not registered.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise ArtifactError(f"{file}: larger than any artifact")
        content = json.loads(file.read_text())
        said = content.pop("sha256")
    except OSError as error:
        raise ArtifactError(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{file}: not an artifact of a scorer") from error
    if said != _digest(content):
        raise ArtifactError(f"{file}: its content is not what its checksum says")
    try:
        artifact = ScorerArtifact.model_validate(content)
    except ValidationError as error:
        where, problem = describe(error, ScorerArtifact, content)[0]
        raise ArtifactError(f"{file}: {dotted(where)}: {problem}") from error
    if artifact.state is not State.REGISTERED:
        raise ArtifactError(f"{file}: {artifact.state}, so it may not be used")
    return artifact


def registered_in(folder: Path) -> list[tuple[Path, ScorerArtifact]]:
    """All scorers of a folder, by file name; a folder that does not exist has none.

    Raises:
        ArtifactError: One of them cannot be used.
    """
    return [(path, load_artifact(path)) for path in sorted(folder.glob("*.json"))]


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
