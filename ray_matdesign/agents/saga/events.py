"""What happened in a campaign, in order: the only truth of it. Its state is a fold over this.

The folder of a campaign::

    saga.yaml             resolved settings
    base.yaml             the run that rounds are made from
    events.jsonl          this log
    llm.jsonl             every question to a language model, its answer and its cost
    llm-cassette.jsonl    answers by question: what a resumed campaign does not ask again
    llm-budget.json       what was spent
    reviews/00001.json    what people are asked and what they decided
    scorers/              registered written scorers
    rounds/01/            run/ (as of any run), population.parquet, statistics.json
    final.parquet         every crystal on the union of objectives
    held_out/             the same on properties no role knows, written last
    final.json            the outcome
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationError

from ray_matdesign.agents.json_lines import BadLines, append_line, read_lines
from ray_matdesign.agents.saga.protocol import (
    Analysis,
    Dropped,
    Evaluated,
    Implementation,
    Implemented,
    Optimized,
    Plan,
    Planned,
    Selection,
    Statistics,
)
from ray_matdesign.config.settings import Settings

EVENTS_NAME = "events.jsonl"

Kind = Literal[
    "started",
    "planned",
    "reviewed",
    "implemented",
    "agreed",
    "optimized",
    "measured",
    "analyzed",
    "decided",
    "rescored",
    "selected",
    "judged",
    "finished",
    "failed",
    "resumed",
]
UNKEYED: tuple[Kind, ...] = ("failed", "resumed")
"""What tells of an interruption, and is no part of the outcome."""


class BadEvents(ValueError):
    """A file that is no event log; the message names the file and line."""


class Event(Settings):
    """One thing that happened."""

    number: PositiveInt
    """Its place in the log."""
    time: str
    """UTC, when it was over."""
    kind: Kind
    key: str
    """Unique: a step that is on record under its key is not taken again. Empty for an unkeyed
    kind."""
    round: NonNegativeInt = 0
    """0 outside the rounds."""
    seconds: NonNegativeFloat = 0.0
    """How long it took."""
    data: dict[str, Any]


class Agreement(Settings):
    """Data of ``agreed``: what a round designs for, and what it had to do without."""

    objectives: tuple[Implemented, ...]
    dropped: tuple[Dropped, ...] = ()


class Reviewed(Settings):
    """Data of ``reviewed``."""

    number: PositiveInt
    gate: Literal["plan", "analysis"]
    decision: Literal["approved", "edited", "rejected", "timed-out"]
    reason: str = ""
    by: str = ""
    content: dict[str, Any]
    """The plan or analysis that came out of it."""


class Decision(Settings):
    """Data of ``decided``: whether a round was the last."""

    stop: bool
    by: Literal["", "rounds", "gain", "analyzer", "reviewer", "budget"] = ""
    reason: str = ""
    measure: float | None = None
    """Of :class:`~.settings.StoppingSettings`, after the round."""


class Failure(Settings):
    """Data of ``failed``."""

    role: str
    kind: str
    reason: str
    fatal: bool
    """Whether the campaign broke off; it can be resumed."""


class EventLog:
    """The log of one campaign; one process at a time writes to it.

    Args:
        path: Begun if it is not there; its folder must exist.

    Raises:
        BadEvents: There is a file, and it is none of a campaign.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._events = read_events(path) if path.exists() else []

    @property
    def events(self) -> Sequence[Event]:
        """All so far."""
        return tuple(self._events)

    def append(
        self, kind: Kind, key: str, data: Settings, *, in_round: int = 0, seconds: float = 0.0
    ) -> Event:
        """Adds an event; it is on disk when this returns.

        Raises:
            OSError: The disk is full, say.
            ValueError: The key is on record already.
        """
        if key and any(event.key == key for event in self._events):
            raise ValueError(f"{self._path}: {key} is on record already")
        event = Event(
            number=len(self._events) + 1,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            kind=kind,
            key=key,
            round=in_round,
            seconds=round_off(seconds),
            data=data.model_dump(mode="json"),
        )
        append_line(self._path, event.model_dump(mode="json"))
        self._events.append(event)
        return event


def round_off(seconds: float) -> float:
    """To milliseconds; more is noise."""
    return float(f"{max(0.0, seconds):.3f}")


def read_events(path: Path) -> list[Event]:
    """All events; the unfinished line of a writer that died is none.

    Raises:
        OSError: The file cannot be read.
        BadEvents: It is no event log.
    """
    events: list[Event] = []
    try:
        for number, line in read_lines(path):
            event = Event.model_validate(line)
            if event.number != len(events) + 1:
                raise BadEvents(f"{path}: line {number}: an event is missing before it")
            events.append(event)
    except BadLines as error:
        raise BadEvents(str(error)) from error
    except ValidationError as error:
        where = f"{path}: line {len(events) + 1}"
        raise BadEvents(f"{where}: not an event: {error.errors()[0]['msg']}") from error
    return events


@dataclass
class RoundState:
    """How far a round has come.

    Attributes:
        number: From 1.
        plans: As planned, by attempt.
        implementations: What became of them, by attempt.
        reviews: Decided ones, in order.
        objectives: In force, once agreed.
        dropped: What could not be had.
        optimized: Once the inner loop is over.
        statistics: Once measured.
        analysis: Once analysed; as reviewed, where it was.
        decision: Once the round is over.
        seconds: By kind of event.
    """

    number: int
    plans: list[Plan] = field(default_factory=list)
    implementations: list[Implementation] = field(default_factory=list)
    reviews: list[Reviewed] = field(default_factory=list)
    objectives: tuple[Implemented, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    optimized: Optimized | None = None
    statistics: Statistics | None = None
    analysis: Analysis | None = None
    decision: Decision | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def planned(self) -> tuple[Planned, ...]:
        """The objectives in force, as they were planned."""
        return tuple(one.objective for one in self.objectives)


@dataclass
class CampaignState:
    """What a log comes to.

    Attributes:
        name: The campaign's.
        status: ``running`` also where its process was killed; ``failed`` after a fatal failure,
            until it is resumed.
        rounds: In order.
        rescored: Once every crystal is scored on the union of objectives.
        selection: Once picked.
        judged: Once the held-out properties are known.
        failures: All of them, the overcome ones included.
        digest: Sha256 of the outcome, once finished.
    """

    name: str = ""
    status: Literal["new", "running", "failed", "finished"] = "new"
    rounds: list[RoundState] = field(default_factory=list)
    rescored: Evaluated | None = None
    selection: Selection | None = None
    judged: Evaluated | None = None
    failures: list[Failure] = field(default_factory=list)
    digest: str = ""

    def round(self, number: int) -> RoundState:
        """A round, begun if it is not there."""
        while len(self.rounds) < number:
            self.rounds.append(RoundState(len(self.rounds) + 1))
        return self.rounds[number - 1]


def fold(events: Iterable[Event]) -> CampaignState:
    """The state that a log comes to.

    Raises:
        BadEvents: The data of an event are not of its kind.
    """
    state = CampaignState()
    for event in events:
        try:
            _apply(state, event)
        except ValidationError as error:
            detail = error.errors()[0]
            where = ".".join(map(str, detail["loc"]))
            raise BadEvents(
                f"event {event.number} ({event.kind}): {where}: {detail['msg']}"
            ) from error
    return state


def _apply(state: CampaignState, event: Event) -> None:
    data = event.data
    state.status = "running"
    if event.round:
        _apply_to_round(state.round(event.round), event)
    elif event.kind == "started":
        state.name = data["name"]
    elif event.kind == "rescored":
        state.rescored = Evaluated.model_validate(data)
    elif event.kind == "selected":
        state.selection = Selection.model_validate(data)
    elif event.kind == "judged":
        state.judged = Evaluated.model_validate(data)
    elif event.kind == "finished":
        state.status, state.digest = "finished", data["digest"]
    if event.kind == "failed":
        failure = Failure.model_validate(data)
        state.failures.append(failure)
        state.status = "failed" if failure.fatal else state.status


def _apply_to_round(state: RoundState, event: Event) -> None:
    data, kind = event.data, event.kind
    state.seconds[kind] = round_off(state.seconds.get(kind, 0.0) + event.seconds)
    if kind == "planned":
        state.plans.append(Plan.model_validate(data))
    elif kind == "implemented":
        state.implementations.append(Implementation.model_validate(data))
    elif kind == "agreed":
        agreed = Agreement.model_validate(data)
        state.objectives, state.dropped = agreed.objectives, agreed.dropped
    elif kind == "optimized":
        state.optimized = Optimized.model_validate(data)
    elif kind == "measured":
        state.statistics = Statistics.model_validate(data)
    elif kind == "analyzed":
        state.analysis = Analysis.model_validate(data)
    elif kind == "reviewed":
        review = Reviewed.model_validate(data)
        state.reviews.append(review)
        if review.gate == "analysis":
            state.analysis = Analysis.model_validate(review.content)
    elif kind == "decided":
        state.decision = Decision.model_validate(data)


def digest(events: Iterable[Event]) -> str:
    """Sha256 of what was found and decided, and of nothing that differs between two courses.

    Times, interruptions and failures that were overcome have no part in it.
    """
    kept = [
        [event.key, event.data]
        for event in events
        if event.key and event.kind not in (*UNKEYED, "finished")
    ]
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
