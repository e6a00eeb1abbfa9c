"""What the phases of a solution leave behind; each is kept as a JSON file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from ray_matdesign.agents.cascade.meter import Spent
from ray_matdesign.agents.cascade.running import Run
from ray_matdesign.agents.cascade.settings import Strategy
from ray_matdesign.config.settings import Settings

RECALL = "recall"
SKILLS = "skills"
RESEARCH = "research"
SIMPLE = "simple"
CODE = "code"
DEBUG = "debug"
PROCESS = "process"
CREDIT = "credit"
"""Names of the phases, in their order; debuggers add their number and strategy: ``debug-1-direct``.
"""


class Remembered(Settings):
    """A question that was solved before."""

    question: str
    code: str
    answer: JsonValue = None


class Memory(Protocol):
    """Solved questions, as a solver sees them; safe to ask from several threads at once."""

    def recall(self, question: str, limit: int = 1) -> list[Remembered]:
        """Questions close enough to be of help, the closest first."""
        ...


class Recalled(Settings):
    """What memory knew."""

    found: tuple[Remembered, ...] = ()
    spent: Spent = Spent()


class Offered(Settings):
    """A skill whose code lies beside the program."""

    id: str
    name: str
    signature: str
    description: str
    source: str


class OfferedSkills(Settings):
    """What the library offered."""

    skills: tuple[Offered, ...] = ()
    spent: Spent = Spent()


class Researched(Settings):
    """What was read before the first program.

    Attributes:
        symbols: That the model would use, as it named them.
        known: What the tools know of them, a line each.
        passages: Of the documentation.
    """

    symbols: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()
    spent: Spent = Spent()


class Coded(Settings):
    """A program and what came of it."""

    run: Run
    spent: Spent = Spent()


class Debugged(Settings):
    """What one debugger did.

    Attributes:
        strategy: That it was assigned.
        attempts: Its programs, in order; the last one has an answer if any has.
    """

    strategy: Strategy
    attempts: tuple[Run, ...] = ()
    spent: Spent = Spent()

    @property
    def answered(self) -> Run | None:
        """The program that gave an answer."""
        return self.attempts[-1] if self.attempts and self.attempts[-1].ok else None


class Processed(Settings):
    """Which answer was taken, and why.

    Attributes:
        chosen: The program.
        reason: In one line, why there is no answer.
        clusters: Names of the phases whose answers agreed, in groups, the largest first.
        judged: Whether the model was asked to break a tie.
    """

    chosen: Run | None = None
    reason: str = ""
    clusters: tuple[tuple[str, ...], ...] = ()
    judged: bool = False
    spent: Spent = Spent()


class Credited(Settings):
    """Skills that were told how it went."""

    skills: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """Something to be told while a task is being solved.

    Attributes:
        phase: Which phase it belongs to.
        kind: ``began``, ``asked``, ``ran``, ``done`` or ``kept``: taken from an earlier process.
        text: In one line.
    """

    phase: str
    kind: str
    text: str
