"""Questions that people asked, and all that happened to them, on disk and as it happens."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from ray_matdesign.agents.cascade.prompts import program_section
from ray_matdesign.agents.cascade.settings import PromptSettings
from ray_matdesign.agents.cascade.task import Mode, Task
from ray_matdesign.agents.json_lines import append_line, read_lines
from ray_matdesign.config.settings import Settings

ASKED, STEP, SOLUTION, FAILED, DECISION, LEARNT = (
    "asked", "step", "solution", "failed", "decision", "learnt",
)  # fmt: skip
"""Kinds of events; ``solution`` and ``failed`` end the solving."""

State = Literal["solving", "solved", "unsolved", "failed"]
_EVENTS_NAME = "events.jsonl"


class NoSuchSession(LookupError):
    """There is no session of that name."""


class Question(Settings):
    """What a person asks; see :class:`ray_matdesign.agents.cascade.task.Task`."""

    question: str = Field(min_length=1, max_length=20_000)
    answer_type: Literal["number", "integer", "string", "boolean", "list", "object"] = "number"
    unit: str = Field(default="", max_length=100)
    packages: tuple[str, ...] = ()
    files: dict[str, str] = Field(default_factory=dict)
    seed: int = 0
    mode: Mode | None = None
    """How much help the model gets; by default as the service is set."""

    def task(self, name: str) -> Task:
        """As a solver takes it."""
        return Task.model_validate({"id": name, **self.model_dump(exclude={"mode"})})


class Decision(Settings):
    """What a person makes of an answer.

    ``accept`` keeps it, and a skill if one can be made of it; ``improve`` has it corrected, and
    ``continue`` goes on from it, both as a session of their own.
    """

    decision: Literal["accept", "improve", "continue"]
    text: str = Field(default="", max_length=20_000)
    """What is wrong, or what comes next."""


class Session:
    """One question and its events.

    Args:
        folder: Where the events lie; its name is that of the session.
        events: Those there are.
    """

    def __init__(self, folder: Path, events: list[dict[str, Any]]) -> None:
        self.name = folder.name
        self._path = folder / _EVENTS_NAME
        self.events = events
        self._news = asyncio.Condition()

    @classmethod
    def begin(cls, folder: Path, question: Question, after: str | None) -> Self:
        """A session with its first event on disk.

        Raises:
            OSError: The folder cannot be written.
        """
        folder.mkdir(parents=True)
        session = cls(folder, [])
        session._append(ASKED, question=question.model_dump(mode="json"), after=after)
        return session

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """A session from disk; None if it ended before its question was written.

        Raises:
            BadLines: The file is damaged.
        """
        path = folder / _EVENTS_NAME
        events = [event for _, event in read_lines(path)] if path.exists() else []
        return cls(folder, events) if events else None

    @property
    def question(self) -> Question:
        """What was asked."""
        return Question.model_validate_json(json.dumps(self.events[0]["question"]), strict=True)

    @property
    def end(self) -> dict[str, Any] | None:
        """The event that ended the solving."""
        ends = [one for one in self.events if one["event"] in (SOLUTION, FAILED)]
        return ends[-1] if ends else None

    @property
    def state(self) -> State:
        """How far it is."""
        end = self.end
        if end is None:
            return "solving"
        if end["event"] == FAILED:
            return "failed"
        return "solved" if end["solution"]["solved"] else "unsolved"

    def summary(self) -> dict[str, Any]:
        """For a list of sessions."""
        decided = [one["decision"] for one in self.events if one["event"] == DECISION]
        return {
            "id": self.name,
            "question": self.events[0]["question"]["question"],
            "after": self.events[0]["after"],
            "time": self.events[0]["time"],
            "state": self.state,
            "answer": (self.end or {}).get("solution", {}).get("answer"),
            "decisions": decided,
        }

    async def add(self, event: str, **told: Any) -> None:
        """Writes an event to disk and wakes who follows."""
        self._append(event, **told)
        async with self._news:
            self._news.notify_all()

    async def follow(self, after: int = 0) -> AsyncIterator[dict[str, Any]]:
        """Events from a number on, as they come, up to the one that ends the solving."""
        while True:
            while after < len(self.events):
                yield self.events[after]
                after += 1
            if self.end is not None:
                return
            await self._longer_than(after)

    async def _longer_than(self, count: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: len(self.events) > count)

    def _append(self, event: str, **told: Any) -> None:
        entry = {"number": len(self.events), "event": event, "time": round(time.time(), 3), **told}
        append_line(self._path, entry)
        self.events.append(entry)


class Sessions:
    """All sessions of a folder.

    Args:
        folder: Made if it is missing.

    Raises:
        BadLines: A session's file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        found = (Session.read(one) for one in sorted(folder.iterdir()) if one.is_dir())
        self._sessions = {one.name: one for one in found if one is not None}

    def __getitem__(self, name: str) -> Session:
        if name not in self._sessions:
            raise NoSuchSession(f"no session {name}")
        return self._sessions[name]

    def open(self) -> list[Session]:
        """Those that are not yet solved, or that a process left in the middle."""
        return [one for one in self._sessions.values() if one.end is None]

    def summaries(self) -> list[dict[str, Any]]:
        """All, the latest first."""
        return sorted(
            (one.summary() for one in self._sessions.values()), key=lambda one: -one["time"]
        )

    def begin(self, question: Question, after: str | None = None) -> Session:
        """A new session.

        Raises:
            OSError: It cannot be written.
        """
        name = f"q{int(time.time())}-{secrets.token_hex(4)}"
        self._sessions[name] = Session.begin(self._folder / name, question, after)
        return self._sessions[name]


def further(session: Session, decision: Decision) -> Question:
    """The question that follows from an answer and what a person says to it."""
    question = session.question
    end = session.end or {}
    solution: Mapping[str, Any] = end.get("solution", {})
    parts = [question.question]
    if solution.get("code"):
        parts.append(program_section("An earlier program", solution["code"], PromptSettings()))
        parts.append(f"Its answer: {solution['answer']!r:.500}")
    elif solution.get("reason"):
        parts.append(f"An earlier attempt failed: {solution['reason']:.500}")
    heading = "What to improve" if decision.decision == "improve" else "Now go on"
    parts.append(f"{heading}: {decision.text}")
    return question.model_copy(update={"question": "\n\n".join(parts)})
