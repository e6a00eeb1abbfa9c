"""The course of a solution: phase after phase, each counted, kept and told of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from ray_matdesign.agents.cascade.meter import Meter, Metered, Spent
from ray_matdesign.agents.cascade.phases import Step
from ray_matdesign.agents.llm.protocol import Llm

AnyPhase = TypeVar("AnyPhase", bound=BaseModel)

Listener = Callable[[Step], None]
"""Told of each step, from any thread."""


class Keeper(Protocol):
    """Keeps what phases leave behind; see :class:`checkpoints.Checkpoints`."""

    def phase(self, name: str, kind: type[AnyPhase], work: Callable[[], AnyPhase]) -> AnyPhase:
        """What the phase left behind, worked on only if there is nothing yet."""
        ...

    def phases(self) -> Mapping[str, Any]:
        """All that finished phases left behind, by name; plain JSON."""
        ...


class Unkept:
    """Keeps phases for the solution alone: nobody can go on with such a task."""

    def __init__(self) -> None:
        self._done: dict[str, Any] = {}

    def phase(self, name: str, kind: type[AnyPhase], work: Callable[[], AnyPhase]) -> AnyPhase:
        """What the phase does now."""
        done = work()
        self._done[name] = done.model_dump(mode="json")
        return done

    def phases(self) -> Mapping[str, Any]:
        """What they did, by name."""
        return dict(sorted(self._done.items()))


@dataclass(frozen=True)
class Course:
    """What the phases of one task share.

    Attributes:
        llm: Whom to ask.
        meter: Counts.
        keeper: Keeps what is done.
        listener: Told of each step.
    """

    llm: Llm
    meter: Meter
    keeper: Keeper
    listener: Listener

    def phase(
        self, name: str, kind: type[AnyPhase], work: Callable[[Metered], AnyPhase]
    ) -> AnyPhase:
        """Does a phase, or takes what an earlier process left of it.

        Args:
            name: Of the phase.
            kind: What it leaves behind, with a field ``spent``.
            work: Does it, with a model that counts.

        Raises:
            BadCheckpoint: What was left is damaged.
        """
        fresh = False

        def begin() -> AnyPhase:
            nonlocal fresh
            fresh = True
            self.say(name, "began", name)
            return work(Metered(self.llm, self.meter))

        done = self.keeper.phase(name, kind, begin)
        if not fresh:
            self.meter.restored(getattr(done, "spent", Spent()))
            self.say(name, "kept", "done before")
        return done

    def say(self, phase: str, kind: str, text: str) -> None:
        """Tells the listener."""
        self.listener(Step(phase, kind, text))
