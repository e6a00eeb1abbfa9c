"""The run directory: what a campaign writes as it goes.

::

    config.yaml         resolved settings
    versions.json       seed, start, Python and package versions; every resumption
    objective.json      each scorer's unit, source, cost and version
    log.jsonl           what happened; see ``rl.log``
    metrics.jsonl       one line a loop, as it ends; metrics.parquet: the same as a table
    tensorboard/        the same as event files
    candidates/         loop-00012.parquet: every candidate of the loop
    front.parquet       the evaluated crystals that none surpasses in every property at once
    best/               001-FORMULA.cif: the best crystals, one of each formula
    ledger/             results paid for since the oldest checkpoint kept
    checkpoints/        see ``rl.checkpoint``
    prior.safetensors   the weights the run started from
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ray_matdesign.config.loading import dump, load_run_config
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.cif import write_cif_text
from ray_matdesign.crystals.codec import decode_crystals, encode_crystals
from ray_matdesign.rl.candidate import Candidate
from ray_matdesign.rl.loop import LoopRecord
from ray_matdesign.rl.metrics import flat
from ray_matdesign.rl.tables import write_candidates

BEST = 20
"""Crystals kept in ``best/``."""

_PACKAGES = (
    "ray_matdesign", "numpy", "torch", "torch-sim-atomistic", "chgnet", "pymatgen", "ase", "smact",
    "ray", "pandas", "pyarrow", "pydantic", "safetensors",
)  # fmt: skip


@dataclass(frozen=True)
class BestCrystal:
    """An entry of ``best/``."""

    formula: str
    reward: float
    key: str
    relaxed: bytes


class Records:
    """Writes a run directory."""

    def __init__(self, directory: Path, scorers: Sequence[str]) -> None:
        """Turns to a run directory.

        Args:
            directory: Exists already.
            scorers: Names of the objective's scorers.
        """
        # Not SummaryWriter: its thread, and what it does when the process ends, get in the way of
        # a run that is stopped from outside.
        from tensorboardX.event_file_writer import EventsWriter

        self._directory = directory
        self._scorers = list(scorers)
        self.rows: list[dict[str, Any]] = []
        self._best: dict[str, BestCrystal] = {}
        (directory / "candidates").mkdir(exist_ok=True)
        (directory / "tensorboard").mkdir(exist_ok=True)
        prefix = str(directory / "tensorboard" / "events")
        self._events = EventsWriter(prefix, f".{os.getpid()}")

    def rewind(self, loop: int) -> None:
        """Takes up the record of the loops up to ``loop``; forgets later ones, to be run again."""
        path = self._directory / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        self.rows = [row for row in map(_whole, lines) if row and row["loop"] <= loop]
        write_atomic(path, "".join(_line(row) for row in self.rows))
        for table in sorted((self._directory / "candidates").glob("loop-*.parquet")):
            if int(table.stem.removeprefix("loop-")) > loop:
                table.unlink()
            else:
                self._recall_best(table)

    def append(self, record: LoopRecord) -> None:
        """Writes what a loop left behind.

        Raises:
            OSError: The disk is full.
        """
        loop = record.metrics["loop"]
        table = self._directory / "candidates" / f"loop-{loop:05d}.parquet"
        write_candidates(table, record.candidates, self._scorers)
        self.rows.append(record.metrics)
        with (self._directory / "metrics.jsonl").open("a") as file:
            file.write(_line(record.metrics))
            file.flush()
            os.fsync(file.fileno())
        self._write_metrics_table()
        self._write_events(record.metrics)
        if self._consider(record.candidates):
            self._write_best()

    def close(self) -> None:
        """Flushes the event files."""
        self._events.close()

    def _write_metrics_table(self) -> None:
        import pandas as pd

        buffer = io.BytesIO()
        pd.DataFrame([flat(row) for row in self.rows]).to_parquet(buffer, index=False)
        write_atomic(self._directory / "metrics.parquet", buffer.getvalue())

    def _write_events(self, metrics: Mapping[str, Any]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name, value in flat(metrics).items():
            if isinstance(value, int | float):
                tag = name if "." in name else f"loop/{name}"
                # Reasons of rejections hold characters that are no part of a tag.
                tag = re.sub(r"[^\w/.-]+", "_", tag.replace(".", "/", 1))
                event = Event(
                    wall_time=time.time(), step=metrics["loop"], summary=scalar(tag, value)
                )
                self._events.write_event(event)
        self._events.flush()

    def _consider(self, candidates: Sequence[Candidate]) -> bool:
        """Offers a loop's crystals a place in ``best/``; says whether one was taken."""
        before = self._ranked()
        for c in candidates:
            if c.reward is not None and c.assessment is not None:
                relaxed = encode_crystals([c.assessment.relaxed])
                self._offer(BestCrystal(c.generated.formula, c.reward, c.key, relaxed))
        return self._ranked() != before

    def _offer(self, crystal: BestCrystal) -> None:
        held = self._best.get(crystal.formula)
        if held is None or crystal.reward > held.reward:
            self._best[crystal.formula] = crystal

    def _recall_best(self, table: Path) -> None:
        import pyarrow.parquet as pq

        columns = ["formula", "reward", "key", "relaxed"]
        for row in pq.read_table(table, columns=columns).to_pylist():
            if row["reward"] is not None:
                self._offer(BestCrystal(**row))

    def _ranked(self) -> list[BestCrystal]:
        return sorted(self._best.values(), key=lambda b: (-b.reward, b.key))[:BEST]

    def _write_best(self) -> None:
        """Replaces ``best/`` by a new folder."""
        target, scratch = self._directory / "best", self._directory / ".best.partial"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        for rank, best in enumerate(self._ranked(), start=1):
            name = f"{best.formula} reward={best.reward:.4f} candidate={best.key}"
            text = write_cif_text(decode_crystals(best.relaxed)[0], name)
            (scratch / f"{rank:03d}-{best.formula}.cif").write_text(text)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(scratch, target)


def write_config(directory: Path, config: RunConfig) -> None:
    """Writes the resolved settings."""
    write_atomic(directory / "config.yaml", dump(config))


def read_config(directory: Path) -> RunConfig:
    """Reads the settings a run was started with.

    Raises:
        ConfigError: There is no such file, or it does not hold valid settings.
    """
    return load_run_config(directory / "config.yaml")


def write_versions(directory: Path, seed: int) -> None:
    """Writes who computed this, on what, and when."""
    write_json(directory / "versions.json", {"seed": seed, **_circumstances(), "resumed": []})


def note_resumption(directory: Path, loop: int) -> None:
    """Adds to the versions that the run went on after ``loop``."""
    path = directory / "versions.json"
    versions = json.loads(path.read_text())
    versions["resumed"].append({"after_loop": loop, **_circumstances()})
    write_json(path, versions)


def write_json(path: Path, content: Any) -> None:
    """Writes indented JSON, atomically."""
    write_atomic(path, json.dumps(content, indent=2) + "\n")


def _circumstances() -> dict[str, Any]:
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: v for name in _PACKAGES if (v := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, allow_nan=False) + "\n"


def _whole(line: str) -> dict[str, Any] | None:
    """A line of ``metrics.jsonl``; ``None`` for one cut short by a crash."""
    try:
        row: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row
