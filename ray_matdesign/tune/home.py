"""The folder of a trial: which run it is at, what it reported, and how it fared.

::

    trials/00003/
        trial.json       number and what this trial has otherwise than the base
        attempts.jsonl   one line for each start, and for each failure with its reason
        metrics.jsonl    one line a loop: the figures trials are compared by
        state.json       how it ended: finished, stopped early, or failed
        run/             the run; run-2/, run-3/ where it went on from a copy of another trial
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.rl import records
from ray_matdesign.rl.run import changed_settings
from ray_matdesign.tune.judging import FORK_NAME, origin_of

ORIGIN_NAME = "origin.json"
"""File of a checkpoint for other trials: the run it is of, relative to the trials' folder."""

_OF_A_FORK = ("prior.safetensors", "objective.json")


@dataclass(frozen=True)
class Home:
    """A trial's folder.

    Attributes:
        folder: Made by :meth:`open`.
    """

    folder: Path

    @classmethod
    def open(cls, trials: Path, number: int) -> Home:
        """The folder of trial ``number``, made if it is missing."""
        folder = trials / f"{number:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder)

    @property
    def number(self) -> int:
        """Of the trial, from 1."""
        return int(self.folder.name)

    def begin(self, changes: Mapping[str, Any]) -> None:
        """Writes what the trial is; of one that goes on from another, what it has become."""
        told = {"number": self.number, "changes": dict(changes)}
        write_atomic(self.folder / "trial.json", json.dumps(told, indent=2) + "\n")
        (self.folder / "state.json").unlink(missing_ok=True)

    def note(self, what: str, **told: Any) -> None:
        """Adds a line to the attempts: ``started``, or ``failed`` with a reason."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._append("attempts.jsonl", {"at": at, what: True, **told})

    def report(self, figures: Mapping[str, Any]) -> None:
        """Adds the figures of a loop."""
        self._append("metrics.jsonl", figures)

    def end(self, state: str, reason: str = "") -> None:
        """Writes how the trial ended: ``finished``, ``stopped`` or ``failed``."""
        told = {"state": state, "reason": reason}
        write_atomic(self.folder / "state.json", json.dumps(told) + "\n")

    def attempts(self) -> list[dict[str, Any]]:
        """What :meth:`note` noted."""
        return _rows(self.folder / "attempts.jsonl")

    def reports(self) -> list[dict[str, Any]]:
        """What :meth:`report` was given, one a loop of a run: of several the first."""
        rows: dict[tuple[str, int], dict[str, Any]] = {}
        for row in _rows(self.folder / "metrics.jsonl"):
            rows.setdefault((row["run"], row["loop"]), row)
        return list(rows.values())

    def runs(self) -> list[Path]:
        """Run directories, in the order they were begun."""
        found = [p for p in self.folder.glob("run*") if re.fullmatch(r"run(-\d+)?", p.name)]
        return sorted(found, key=_place)

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def place_run(home: Home, config: RunConfig, checkpoint: Path | None) -> tuple[Path, bool]:
    """The run directory a trial works in, and whether there is something in it to resume.

    Without a checkpoint, or with one of its own, a trial goes on with its last run. With one of
    another trial, or with settings that its last run does not have, it goes on in a new directory.

    Args:
        home: Of the trial.
        config: Of its run.
        checkpoint: Made by :func:`write_checkpoint`.

    Raises:
        OSError: A file cannot be copied.
    """
    last = next(iter(reversed(home.runs())), None)
    origin = None if checkpoint is None else _origin(checkpoint)
    if last is not None and not (last / "config.yaml").exists():  # broken off while it was begun
        shutil.rmtree(last)
        return place_run(home, config, checkpoint)
    if last is not None and _continues(last, config, origin, home.folder.parent):
        return last, True
    new = home.folder / ("run" if last is None else f"run-{_place(last) + 1}")
    if checkpoint is None or origin is None:
        return new, False
    _fork(checkpoint, origin, new, config, home.folder.parent)
    return new, True


def write_checkpoint(run: Path, target: Path, trials: Path) -> int:
    """Copies what another trial needs to go on from a run's last checkpoint.

    Policy, optimiser's moments, replay buffer and memory; random states follow from the seed.

    Args:
        run: A run directory with a checkpoint.
        target: An empty folder.
        trials: Folder of all trials.

    Returns:
        The loop of the checkpoint.
    """
    last = max((run / "checkpoints").glob("loop-*"))
    loop = int(last.name.removeprefix("loop-"))
    shutil.copytree(last, target / "checkpoints" / last.name)
    for name in _OF_A_FORK:
        shutil.copy2(run / name, target / name)
    origin = {"run": run.relative_to(trials).as_posix(), "loop": loop}
    (target / ORIGIN_NAME).write_text(json.dumps(origin))
    return loop


def _fork(
    checkpoint: Path, origin: tuple[str, int], run: Path, config: RunConfig, trials: Path
) -> None:
    """Makes a run directory that goes on from a checkpoint, with settings of its own."""
    run.mkdir()
    shutil.copytree(checkpoint / "checkpoints", run / "checkpoints")
    for name in _OF_A_FORK:
        shutil.copy2(checkpoint / name, run / name)
    source = os.path.relpath(trials / origin[0], run)
    records.write_json(run / FORK_NAME, {"run": source, "loop": origin[1]})
    records.write_versions(run, config.seed)
    records.write_config(run, config)  # last: a folder with it can be resumed


def _continues(last: Path, config: RunConfig, origin: tuple[str, int] | None, trials: Path) -> bool:
    """Whether a trial's last run is the one to go on with."""
    if changed_settings(records.read_config(last), config):
        return False
    if origin is None:
        return True
    forked = origin_of(last)
    source = (trials / origin[0]).resolve()
    return source == last.resolve() or forked == (source, origin[1])


def _origin(checkpoint: Path) -> tuple[str, int]:
    told = json.loads((checkpoint / ORIGIN_NAME).read_text())
    return told["run"], int(told["loop"])


def _rows(path: Path) -> list[dict[str, Any]]:
    """Lines of JSON; the last one may have been cut short by a crash."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _place(run: Path) -> int:
    _, _, place = run.name.partition("-")
    return int(place or 1)
