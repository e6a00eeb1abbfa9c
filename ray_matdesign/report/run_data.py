"""Reading a run directory: finished, still running, stopped, or damaged in part."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_matdesign.config.loading import ConfigError, load_run_config
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.report.wording import Property, property_of

if TYPE_CHECKING:
    import pandas as pd

FLAGS = ("valid", "stable", "unique", "novel", "evaluated")
"""Columns of the candidates that are true, false, or empty where the check was not reached."""


class RunDirectoryError(ValueError):
    """A folder that is no run directory, or whose configuration cannot be read."""


@dataclass(frozen=True)
class RunData:
    """Everything a run directory tells.

    Attributes:
        directory: Where it was read from.
        config: As resolved at the start of the run.
        versions: Packages, seed and start time, as recorded.
        objective: The potential, and each scorer's name, unit and source, as recorded.
        metrics: One mapping per completed loop, ascending by ``loop``.
        candidates: One row per candidate of all loops; see ``docs/run-directory.md``.
        notices: What was missing or unreadable, each one line for the reader.
        updated: When the last record was written; ``None`` where there is none.
        running: Whether a process on this machine holds the run's lock.
    """

    directory: Path
    config: RunConfig
    versions: Mapping[str, Any]
    objective: Mapping[str, Any]
    metrics: tuple[Mapping[str, Any], ...]
    candidates: pd.DataFrame
    notices: tuple[str, ...]
    updated: datetime | None
    running: bool

    @property
    def complete(self) -> bool:
        """Whether every configured loop is on record."""
        return len(self.metrics) >= self.config.rl.loops

    @property
    def properties(self) -> tuple[Property, ...]:
        """The objective's properties, in its order, with the names and units the run recorded."""
        return self._recorded("terms", [term.scorer for term in self.config.objective.terms])

    @property
    def limited(self) -> tuple[Property, ...]:
        """The properties of the objective's filters, in their order; some may be terms as well."""
        terms = [term.scorer for term in self.config.objective.terms]
        limits = [limit.scorer for limit in self.config.objective.filters]
        alone = [scorer for scorer in limits if scorer not in terms]
        told = {
            **dict(zip(terms, self.properties, strict=True)),
            **dict(zip(alone, self._recorded("filters", alone), strict=True)),
        }
        return tuple(told[scorer] for scorer in limits)

    def _recorded(self, kind: str, scorers: Sequence[str]) -> tuple[Property, ...]:
        """Scorers as the run recorded them; those that it did not, by name alone."""
        recorded = self.objective.get(kind)
        if not isinstance(recorded, list) or len(recorded) != len(scorers):
            return tuple(property_of(scorer) for scorer in scorers)
        return tuple(
            property_of(str(told["name"]), told["unit"], told.get("source"))
            if isinstance(told, Mapping) and "name" in told and isinstance(told.get("unit"), str)
            else property_of(scorer)
            for told, scorer in zip(recorded, scorers, strict=True)
        )


def read_run(directory: Path) -> RunData:
    """Reads a run directory.

    Args:
        directory: Holds at least ``config.yaml``. A missing or damaged other file becomes a
            notice.

    Raises:
        RunDirectoryError: There is no readable configuration.
    """
    config = read_config(directory)
    notices: list[str] = []
    versions = read_json(directory / "versions.json", "package versions and start time", notices)
    objective = read_json(directory / "objective.json", "units and sources", notices)
    metrics = read_metrics(directory / "metrics.jsonl", notices)
    candidates = _read_candidates(directory / "candidates", notices)
    _compare(metrics, candidates, notices)
    log = directory / "metrics.jsonl"
    updated = datetime.fromtimestamp(log.stat().st_mtime, UTC) if log.exists() else None
    return RunData(
        directory=directory,
        config=config,
        versions=versions,
        objective=objective,
        metrics=tuple(metrics),
        candidates=candidates,
        notices=tuple(notices),
        updated=updated,
        running=is_locked(directory / ".lock"),
    )


def read_config(directory: Path) -> RunConfig:
    """The settings a run recorded.

    Raises:
        RunDirectoryError: There are none, or they cannot be read.
    """
    path = directory / "config.yaml"
    if not path.is_file():
        raise RunDirectoryError(f"{directory} is not a run directory: it holds no {path.name}")
    try:
        return load_run_config(path)
    except ConfigError as error:
        raise RunDirectoryError(str(error)) from error


def read_json(path: Path, told: str, notices: list[str]) -> Mapping[str, Any]:
    """The object a file holds; nothing, and a notice, where it holds none.

    Args:
        path: The file.
        told: What the file tells.
        notices: Where to add.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        notices.append(f"{path.name} is missing: {told} are unknown.")
        return {}
    except (OSError, ValueError) as error:
        notices.append(f"{path.name} could not be read ({error}): {told} are unknown.")
        return {}
    return content if isinstance(content, dict) else {}


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock that every run takes on its directory."""
    try:
        with path.open("rb") as file:
            # Shared and at once released: two reports do not disturb each other.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def read_metrics(path: Path, notices: list[str]) -> list[Mapping[str, Any]]:
    """One record per loop, ascending; none where there is no file.

    A resumed run may have recorded a loop twice: the later record stands.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    by_loop: dict[int, Mapping[str, Any]] = {}
    repeated = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            loop = int(record["loop"])
        except (ValueError, TypeError, KeyError):
            notices.append(f"metrics.jsonl, line {number}, is no record of a loop: left out.")
            continue
        repeated += loop in by_loop
        by_loop[loop] = record
    if repeated:
        notices.append(
            f"{repeated} loop(s) were recorded twice, as by a resumed run: the later record counts."
        )
    return [by_loop[loop] for loop in sorted(by_loop)]


def _read_candidates(folder: Path, notices: list[str]) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    frames = []
    for path in sorted(folder.glob("loop-*.parquet")):
        try:
            frames.append(pd.read_parquet(path))
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            notices.append(f"candidates/{path.name} could not be read ({reason}): left out.")
    frames = [frame for frame in frames if len(frame)]
    if not frames:
        return pd.DataFrame()
    table = pd.concat(frames, ignore_index=True)
    missing = [name for name in (*FLAGS, "loop", "formula", "reward") if name not in table]
    if missing:
        notices.append(f"The candidate files lack {', '.join(missing)}: left out.")
        return pd.DataFrame()
    for flag in FLAGS:
        # An empty cell is a check that was never reached, hence not passed.
        table[flag] = table[flag].astype("boolean").fillna(False).astype(bool)
    return table


def _compare(
    metrics: list[Mapping[str, Any]], candidates: pd.DataFrame, notices: list[str]
) -> None:
    recorded = {int(record["loop"]) for record in metrics}
    present = set(candidates["loop"].astype(int)) if len(candidates) else set()
    absent = sorted(recorded - present)
    if absent:
        shown = ", ".join(str(loop) for loop in absent[:8]) + (" ..." if len(absent) > 8 else "")
        notices.append(f"No candidates on file for loop(s) {shown}.")
