"""Reading the results of a sweep from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_matdesign.config.loading import ConfigError
from ray_matdesign.config.sweep import LogUniform, SweepConfig
from ray_matdesign.config.trials import Sweep, read_sweep
from ray_matdesign.report.run_data import RunDirectoryError
from ray_matdesign.report.wording import property_of

if TYPE_CHECKING:
    import pandas as pd

CHANGE = "change."
"""Prefix of the columns of settings changed."""


@dataclass(frozen=True)
class SweepData:
    """Everything that the results of a sweep tell.

    Attributes:
        directory: Of the sweep.
        sweep: Its settings and bases.
        trials: One row a trial.
        crystals: One row an evaluated crystal, in the order they were found.
        pareto: One row a crystal of the front.
        curves: Hypervolume over evaluations.
        units: Of each property, as its scorer tells.
    """

    directory: Path
    sweep: Sweep
    trials: pd.DataFrame
    crystals: pd.DataFrame
    pareto: pd.DataFrame
    curves: pd.DataFrame
    units: Mapping[str, str]

    def label(self, name: str) -> str:
        """Axis title of a property."""
        return property_of(name, self.units.get(name)).axis

    @property
    def config(self) -> SweepConfig:
        """The sweep's settings."""
        return self.sweep.config


def read_results(directory: Path) -> SweepData:
    """Reads the folder of a sweep whose results have been written.

    Raises:
        RunDirectoryError: It is none, or its results are missing or damaged.
    """
    import pandas as pd
    import pyarrow as pa

    try:
        sweep = read_sweep(directory)
    except ConfigError as error:
        raise RunDirectoryError(str(error)) from error
    tables = []
    for name in ("trials", "crystals", "pareto", "curves"):
        path = directory / f"{name}.parquet"
        try:
            tables.append(pd.read_parquet(path))
        except (OSError, pa.ArrowException) as error:
            raise RunDirectoryError(f"{path}: cannot be read: {error}") from error
    try:
        units = json.loads((directory / "units.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"{directory / 'units.json'}: cannot be read: {error}") from error
    trials, crystals, pareto, curves = tables
    return SweepData(directory, sweep, trials, crystals, pareto, curves, units)


def axes(data: SweepData) -> list[dict[str, Any]]:
    """Axes of the parallel coordinates: what was changed, then the metrics.

    Each ``{key, label, kind, metric, values}``; ``kind`` is ``number``, ``log`` or ``category``,
    and a missing value ``None``. Settings that are the same in all trials are left out.
    """
    found = []
    scorers = [term.scorer for term in data.sweep.judge({}).terms]
    for key, dimension in data.config.space.items():
        column = f"{CHANGE}{key}"
        if column not in data.trials or data.trials[column].nunique(dropna=False) < 2:
            continue
        values = [_plain(v) for v in data.trials[column]]
        kind = "log" if isinstance(dimension, LogUniform) else "number"
        if not all(value is None or _is_number(value) for value in values):
            kind, values = "category", [None if v is None else str(v) for v in values]
        found.append(_axis(key, _short(key, scorers), kind, values, metric=False))
    for metric in data.config.metrics:
        if metric.name in data.trials:
            values = [_plain(v) for v in data.trials[metric.name]]
            found.append(_axis(metric.name, metric.name, "number", values, metric=True))
    return [axis for axis in found if any(value is not None for value in axis["values"])]


def task_terms(table: pd.DataFrame) -> list[str]:
    """Names of the properties that the crystals of one task have, in their order."""
    names = [str(name).removeprefix("value_") for name in table if str(name).startswith("value_")]
    return [name for name in names if table[f"value_{name}"].notna().any()]


def lifetimes(table: pd.DataFrame) -> list[int | None]:
    """When each crystal left the front, as a number of evaluations.

    Args:
        table: Crystals of one task with their scores, in the order they were found.

    Returns:
        ``None`` for one that was never on it, -1 for one that still is; else how many crystals had
        been found when one of them surpassed it.
    """
    scores = table[[f"score_{name}" for name in task_terms(table)]].to_numpy(np.float64)
    until: list[int | None] = [None] * len(scores)
    front: list[int] = []
    for place, point in enumerate(scores):
        held = scores[front]
        if ((held >= point).all(axis=1) & (held > point).any(axis=1)).any():
            continue
        surpassed = (point >= held).all(axis=1) & (point > held).any(axis=1)
        for index, gone in zip(front, surpassed, strict=True):
            if gone:
                until[index] = place + 1
        front = [index for index, gone in zip(front, surpassed, strict=True) if not gone]
        front.append(place)
        until[place] = -1
    return until


def steps(curve: pd.DataFrame) -> list[list[float]]:
    """A curve of steps as its corners: the first point, every rise, and the last point."""
    counts, volumes = curve["evaluations"].to_numpy(), curve["hypervolume"].to_numpy()
    rises = np.flatnonzero(np.diff(volumes, prepend=-1.0) > 0.0)
    kept = sorted({*rises.tolist(), len(volumes) - 1})
    return [[int(counts[k]), float(volumes[k])] for k in kept]


def told(row: Mapping[Any, Any]) -> str:
    """What a trial changed, in a line."""
    pairs = [
        (str(name).removeprefix(CHANGE), _plain(value))
        for name, value in row.items()
        if str(name).startswith(CHANGE)
    ]
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in pairs
    )


def _short(key: str, scorers: Sequence[str]) -> str:
    """A dotted key for an axis: its last parts, a term by what it scores."""
    parts = key.split(".")
    if parts[:2] == ["objective", "terms"] and len(parts) > 3 and int(parts[2]) < len(scorers):
        return f"{scorers[int(parts[2])]} {parts[-1]}"
    return ".".join(parts[-2:])


def _axis(key: str, label: str, kind: str, values: list[Any], *, metric: bool) -> dict[str, Any]:
    return {"key": key, "label": label, "kind": kind, "metric": metric, "values": values}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """A cell as JSON has it; what is missing as ``None``."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if value is None or (isinstance(value, float) and not np.isfinite(value)) else value
