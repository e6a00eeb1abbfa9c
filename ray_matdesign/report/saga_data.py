"""Reading the folder of a campaign whose objectives evolve: going on, stopped, or finished."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_matdesign.config.yaml_text import YamlError, parse
from ray_matdesign.report.run_data import RunDirectoryError, is_locked, read_json

if TYPE_CHECKING:
    import pandas as pd

SETTINGS, EVENTS, OUTCOME = "saga.yaml", "events.jsonl", "final.json"
ASKED, BUDGET = "llm.jsonl", "llm-budget.json"


class CampaignStatus(StrEnum):
    """Whether anything is to be done."""

    RUNNING = "running"
    """A process holds the campaign."""
    FINISHED = "finished"
    FAILED = "failed"
    """It broke off for a reason that is on record, and can be resumed."""
    STOPPED = "stopped"
    """It is not finished, and nobody is at work on it."""


@dataclass
class SagaRound:
    """What is on record of one round; all of it as JSON has it.

    Attributes:
        number: From 1.
        plans: By attempt.
        objectives: In force, with their scorers; the plan's, while there are no scorers yet.
        agreed: Whether they are in force.
        dropped: Objectives that did not come to be: ``name``, ``attempt``, ``reason``.
        reviews: Decided ones, in order.
        optimized: What the inner loop found.
        statistics: What was counted.
        analysis: What the analyzer, or a reviewer, made of it.
        decision: Whether the campaign went on, and why.
        seconds: By kind of event.
    """

    number: int
    plans: list[Mapping[str, Any]] = field(default_factory=list)
    objectives: Sequence[Mapping[str, Any]] = ()
    agreed: bool = False
    dropped: Sequence[Mapping[str, Any]] = ()
    reviews: list[Mapping[str, Any]] = field(default_factory=list)
    optimized: Mapping[str, Any] | None = None
    statistics: Mapping[str, Any] | None = None
    analysis: Mapping[str, Any] | None = None
    decision: Mapping[str, Any] | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def retired(self) -> Sequence[str]:
        """Objectives of the round before that were given up."""
        return self.plans[-1].get("retired", ()) if self.plans else ()

    @property
    def figures(self) -> dict[str, float | None]:
        """Statistics by id."""
        found = (self.statistics or {}).get("figures", ())
        return {str(figure["id"]): figure.get("value") for figure in found}


@dataclass(frozen=True)
class SagaData:
    """Everything that the folder of a campaign tells.

    Attributes:
        directory: Where it was read from.
        settings: As resolved at the start.
        events: In order.
        rounds: In order.
        failures: All of them, those that were overcome included.
        spending: On language models: ``tokens``, ``requests``, ``seconds``.
        asked: One row a question to a language model, without its text.
        pending: Reviews that nobody has decided.
        outcome: ``final.json``, once there is one.
        status: Whether anything is to be done.
        notices: What was missing or unreadable, each one line for the reader.
    """

    directory: Path
    settings: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]
    rounds: tuple[SagaRound, ...]
    failures: tuple[Mapping[str, Any], ...]
    spending: Mapping[str, Any]
    asked: tuple[Mapping[str, Any], ...]
    pending: tuple[Mapping[str, Any], ...]
    outcome: Mapping[str, Any]
    status: CampaignStatus
    notices: list[str]

    @property
    def name(self) -> str:
        """The campaign's."""
        return str(self.settings.get("name", self.directory.name))

    @property
    def most_rounds(self) -> int:
        """As many as the settings allow."""
        return int(self.settings.get("rounds", len(self.rounds)))

    @property
    def begun(self) -> datetime | None:
        """When the first event was over."""
        return moment(self.events[0].get("time")) if self.events else None

    @property
    def updated(self) -> datetime | None:
        """When the last event was over."""
        return moment(self.events[-1].get("time")) if self.events else None

    @property
    def by_name(self) -> dict[str, Mapping[str, Any]]:
        """Every objective that ever was in force, as it stood last, in the order they came."""
        found: dict[str, Mapping[str, Any]] = {}
        for one in self.rounds:
            for objective in one.objectives if one.agreed else ():
                found[name_of(objective)] = objective
        return found

    def of_kind(self, kind: str) -> Mapping[str, Any] | None:
        """Data of the last event of a kind."""
        return next((e["data"] for e in reversed(self.events) if e["kind"] == kind), None)

    def population(self, number: int) -> pd.DataFrame:
        """The crystals that a round handed on; empty, with a notice, where they cannot be read."""
        return read_table(self.directory / f"rounds/{number:02d}/population.parquet", self.notices)


def read_campaign(directory: Path) -> SagaData:
    """Reads the folder of a campaign.

    Raises:
        RunDirectoryError: It holds no readable settings or events of one.
    """
    path = directory / SETTINGS
    try:
        settings = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunDirectoryError(f"{directory} is no campaign: it holds no {SETTINGS}") from error
    except (OSError, UnicodeDecodeError, YamlError) as error:
        raise RunDirectoryError(f"{path}: cannot be read: {error}") from error
    if not isinstance(settings, Mapping):
        raise RunDirectoryError(f"{path}: must be a mapping of keys to values")
    notices: list[str] = []
    events = read_events(directory / EVENTS)
    reviews = [read_json(p, "a review", notices) for p in _numbered(directory / "reviews")]
    return SagaData(
        directory=directory,
        settings=settings,
        events=events,
        rounds=tuple(_rounds(events)),
        failures=tuple(event["data"] for event in events if event["kind"] == "failed"),
        spending=_if_there(directory / BUDGET, "what was spent on language models", notices),
        asked=tuple(_questions(directory / ASKED, notices)),
        pending=tuple(review for review in reviews if review.get("state") == "pending"),
        outcome=_if_there(directory / OUTCOME, "the outcome", notices),
        status=state_of(directory, events),
        notices=notices,
    )


def read_events(path: Path, after: int = 0) -> tuple[Mapping[str, Any], ...]:
    """Events of a log; none where there is no log yet.

    Args:
        path: The log; the unfinished line of a writer at work is left out.
        after: Number of the last event that is not wanted.

    Raises:
        RunDirectoryError: It is no event log.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise RunDirectoryError(f"{path}: cannot be read: {error.strerror}") from error
    return tuple(_event(path, number, line) for number, line in enumerate(lines, 1))[after:]


def read_table(path: Path, notices: list[str]) -> pd.DataFrame:
    """A Parquet file; empty, with a notice, where it cannot be read.

    Args:
        path: The file.
        notices: Where to add.
    """
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        notices.append(f"{path.parent.name}/{path.name} is missing: left out.")
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        notices.append(f"{path.parent.name}/{path.name} could not be read ({reason}): left out.")
    return pd.DataFrame()


def name_of(objective: Mapping[str, Any]) -> str:
    """The name of an objective, planned or implemented."""
    return str(spec_of(objective)["name"])


def spec_of(objective: Mapping[str, Any]) -> Mapping[str, Any]:
    """The specification of an objective, planned or implemented."""
    found: Mapping[str, Any] = planned(objective)["spec"]
    return found


def planned(objective: Mapping[str, Any]) -> Mapping[str, Any]:
    """An objective as it was planned, whether or not it was implemented since."""
    found: Mapping[str, Any] = objective.get("objective", objective)
    return found


def moment(stamp: object) -> datetime | None:
    """A moment as events tell it."""
    try:
        return datetime.fromisoformat(str(stamp)).astimezone(UTC)
    except ValueError:
        return None


def _event(path: Path, number: int, line: bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(line)
        if event["number"] == number and isinstance(event["data"], dict) and event["kind"]:
            found: Mapping[str, Any] = event
            return found
    except (ValueError, TypeError, KeyError):
        pass
    raise RunDirectoryError(f"{path}: line {number}: not the event of that number")


def state_of(directory: Path, events: Sequence[Mapping[str, Any]]) -> CampaignStatus:
    """Whether anything is to be done in a campaign.

    Args:
        directory: Of the campaign.
        events: All of its log.
    """
    kinds = [event["kind"] for event in events]
    if "finished" in kinds:
        return CampaignStatus.FINISHED
    if is_locked(directory / ".lock"):
        return CampaignStatus.RUNNING
    broken = bool(kinds) and kinds[-1] == "failed" and events[-1]["data"].get("fatal")
    return CampaignStatus.FAILED if broken else CampaignStatus.STOPPED


def _rounds(events: Sequence[Mapping[str, Any]]) -> list[SagaRound]:
    rounds: dict[int, SagaRound] = {}
    for event in events:
        number = int(event.get("round") or 0)
        if number:
            _record(rounds.setdefault(number, SagaRound(number)), event)
    return [rounds[number] for number in sorted(rounds)]


def _record(found: SagaRound, event: Mapping[str, Any]) -> None:
    kind, data = str(event["kind"]), event["data"]
    found.seconds[kind] = found.seconds.get(kind, 0.0) + float(event.get("seconds") or 0.0)
    match kind:
        case "planned":
            found.plans.append(data)
            found.objectives = data["objectives"]
        case "agreed":
            found.objectives, found.dropped = data["objectives"], data.get("dropped", ())
            found.agreed = True
        case "reviewed":
            found.reviews.append(data)
            if data["gate"] == "analysis":
                found.analysis = data["content"]
        case "optimized":
            found.optimized = data
        case "measured":
            found.statistics = data
        case "analyzed":
            found.analysis = data
        case "decided":
            found.decision = data


def _if_there(path: Path, told: str, notices: list[str]) -> Mapping[str, Any]:
    """What a file holds that may rightly be missing."""
    return read_json(path, told, notices) if path.exists() else {}


def _numbered(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.json"))


def _questions(path: Path, notices: list[str]) -> Iterator[Mapping[str, Any]]:
    kept = (
        "time", "purpose", "model", "prompt_tokens", "completion_tokens", "seconds", "finish",
        "error", "reason",
    )  # fmt: skip
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            yield {key: entry[key] for key in kept if key in entry}
        except (ValueError, TypeError):
            notices.append(f"{path.name}, line {number}, is no question: left out.")
