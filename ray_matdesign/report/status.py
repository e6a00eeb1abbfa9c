"""How a run is doing, read off its directory: cheap enough to be asked for every few seconds."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from statistics import fmean
from typing import Any

from ray_matdesign.report.run_data import is_locked, read_config, read_json, read_metrics

_LOG_NAME = "log.jsonl"
_TAIL_BYTES = 65536
"""Of the log, enough for the lines since the last stage began."""

_RECENT_LOOPS = 5
"""Loops that the rate is averaged over: longer ago, crystals were of other sizes."""

_FAILED = ("relaxation_failed", "evaluation_failed")
"""Outcomes that are failures; the others are verdicts."""


class State(StrEnum):
    """Whether anything is to be done."""

    RUNNING = "running"
    """A process holds the run."""
    FINISHED = "finished"
    """Every loop is on record."""
    STOPPED = "stopped"
    """Loops are missing and nobody is at work on them."""


@dataclass(frozen=True)
class Stage:
    """What the run was last seen doing.

    Attributes:
        loop: In which loop.
        name: ``sample``, ``relax``, ``screen``, ``evaluate`` or ``finetune``.
        done: Crystals done with.
        total: Of how many.
    """

    loop: int
    name: str
    done: int
    total: int


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint a resumed run goes on from."""

    loop: int
    written: datetime


@dataclass(frozen=True)
class RunStatus:
    """How a run is doing.

    Attributes:
        directory: Of the run.
        name: Of its configuration.
        state: Running, finished or stopped. A run held on another machine counts as running where
            the shared file system passes locks on, as NFS from version 4 does.
        loop: Loops on record.
        loops: Loops asked for.
        stage: What it is at; ``None`` for one that does not run, or keeps no log.
        evaluations: Crystals whose properties were paid for.
        unique_hits: Distinct formulas among them with a reward above the threshold.
        best_reward: Of any crystal; ``None`` before the first.
        best_formula: Of that crystal.
        reward_mean: Of the last loop.
        sun_fraction: Stable, unique and novel crystals among those asked for, in the last loop.
        sun_total: The same crystals, counted over all loops.
        evaluations_per_hour: Over the last five loops.
        loop_seconds: Mean of the last five loops.
        remaining_s: Seconds to the last loop at that rate; ``None`` before the first loop.
        checkpoint: The newest one.
        rejections: Candidates by what became of them, over all loops, evaluated ones aside.
        failures: Failed relaxations and evaluations by reason, over all loops.
        resumed: How often the run was resumed.
        started: When it began; ``None`` where that is not on record.
        seen: When it last wrote anything.
        notices: What could not be read.
    """

    directory: Path
    name: str
    state: State
    loop: int
    loops: int
    stage: Stage | None
    evaluations: int
    unique_hits: int
    best_reward: float | None
    best_formula: str | None
    reward_mean: float | None
    sun_fraction: float | None
    sun_total: int
    evaluations_per_hour: float | None
    loop_seconds: float | None
    remaining_s: float | None
    checkpoint: Checkpoint | None
    rejections: Mapping[str, int]
    failures: Mapping[str, int]
    resumed: int
    started: datetime | None
    seen: datetime | None
    notices: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values; moments in ISO 8601."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def read_status(directory: Path) -> RunStatus:
    """Reads how a run is doing.

    Args:
        directory: Of a run: going on, finished, or broken off.

    Raises:
        RunDirectoryError: It is not a run directory, or its settings cannot be read.
    """
    config = read_config(directory)
    notices: list[str] = []
    versions = read_json(directory / "versions.json", "package versions and start time", notices)
    rows = read_metrics(directory / "metrics.jsonl", notices)
    last: Mapping[str, Any] = rows[-1] if rows else {}
    done = int(last.get("loop", 0))
    state = _state(directory, done, config.rl.loops)
    seconds = [row["wall_s"] for row in rows[-_RECENT_LOOPS:] if "wall_s" in row]
    pace = fmean(seconds) if seconds else None
    reasons: Counter[str] = Counter()
    for row in rows:
        reasons.update(row.get("rejections", {}))
    return RunStatus(
        directory=directory,
        name=config.name,
        state=state,
        loop=done,
        loops=config.rl.loops,
        stage=_stage(directory / _LOG_NAME) if state is State.RUNNING else None,
        evaluations=int(last.get("evaluations_total", 0)),
        unique_hits=int(last.get("unique_hits_total", 0)),
        best_reward=_greatest(rows, "reward_max"),
        best_formula=_best_formula(directory / "best"),
        reward_mean=last.get("reward_mean"),
        sun_fraction=last.get("sun_fraction"),
        sun_total=sum(int(row.get("sun", 0)) for row in rows),
        evaluations_per_hour=_per_hour(rows[-_RECENT_LOOPS:]),
        loop_seconds=pace,
        remaining_s=None if pace is None else pace * max(0, config.rl.loops - done),
        checkpoint=_checkpoint(directory / "checkpoints"),
        rejections=_by_outcome(reasons),
        failures=_failures(reasons),
        resumed=len(versions.get("resumed", ())),
        started=_moment(versions.get("started")),
        seen=_seen(directory),
        notices=tuple(notices),
    )


def _state(directory: Path, done: int, loops: int) -> State:
    if is_locked(directory / ".lock"):
        return State.RUNNING
    return State.FINISHED if done >= loops else State.STOPPED


def _stage(path: Path) -> Stage | None:
    """The last stage logged; ``None`` where a loop has ended since, or nothing is on record."""
    for line in _last_lines(path):
        event = line.get("event")
        if event == "stage":
            try:
                return Stage(line["loop"], line["stage"], line["done"], line["total"])
            except KeyError:
                return None
        if event in ("run_started", "loop_finished"):
            return None
    return None


def _last_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """Whole lines at the end of a log, the last first."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            tail = file.read()
    except OSError:
        return
    for text in reversed(tail.splitlines()):
        try:
            line = json.loads(text)
        except ValueError:  # cut short: by the beginning of the tail, or while it is written
            continue
        if isinstance(line, dict):
            yield line


def _checkpoint(folder: Path) -> Checkpoint | None:
    # One that is being written or removed has another name.
    held = sorted(folder.glob("loop-[0-9]*/state.json"))
    numbers = [(path, path.parent.name.removeprefix("loop-")) for path in held]
    for path, number in reversed(numbers):
        if number.isdecimal() and (written := _mtime(path)) is not None:
            return Checkpoint(int(number), written)
    return None


def _best_formula(folder: Path) -> str | None:
    first = next(iter(sorted(folder.glob("001-*.cif"))), None)
    return None if first is None else first.stem.removeprefix("001-")


def _per_hour(rows: Sequence[Mapping[str, Any]]) -> float | None:
    seconds = sum(row.get("wall_s", 0.0) for row in rows)
    return 3600.0 * sum(row.get("evaluated", 0) for row in rows) / seconds if seconds else None


def _by_outcome(reasons: Mapping[str, int]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for reason, count in reasons.items():
        counts[reason.partition(": ")[0]] += count
    return dict(counts.most_common())


def _failures(reasons: Counter[str]) -> dict[str, int]:
    return {reason: count for reason, count in reasons.most_common() if reason.startswith(_FAILED)}


def _greatest(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    return max((row[key] for row in rows if row.get(key) is not None), default=None)


def _seen(directory: Path) -> datetime | None:
    """The newest sign of life: ledger and log are written several times a loop."""
    signs = [directory / _LOG_NAME, directory / "metrics.jsonl", directory / "config.yaml"]
    moments = (_mtime(path) for path in (*signs, *(directory / "ledger").glob("loop-*.jsonl")))
    return max((moment for moment in moments if moment is not None), default=None)


def _mtime(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, Path):
        return str(value)
    return value
