"""What a sweep leaves behind, made from its trials' folders alone.

::

    trials.parquet      one row a trial: how it ended, settings changed, figures
    crystals.parquet    one row an evaluated crystal of any trial: values and scores
    pareto.parquet      the front over these: with relaxed crystals in the wire codec
    curves.parquet      hypervolume over evaluations, of each trial and of all together
    units.json          unit of each property
    front/001-FORMULA.cif    the front's crystals
    best.yaml           settings of the best trial, for ``ray-matdesign run``
    report.html         the page made of all this
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.config.loading import dump
from ray_matdesign.config.sweep import RECIPE, Metric
from ray_matdesign.config.trials import Sweep, read_sweep
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.cif import write_cif_text
from ray_matdesign.crystals.codec import decode_crystals
from ray_matdesign.rl.front import non_dominated
from ray_matdesign.rl.hypervolume import hypervolume
from ray_matdesign.tune.home import Home
from ray_matdesign.tune.judging import Judged, judge_loop, units_of

if TYPE_CHECKING:
    import pandas as pd

TRIALS = "trials"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial fared.

    Attributes:
        number: From 1.
        state: ``finished``, ``stopped``, ``failed`` or ``unfinished``.
        reason: Why it was stopped or failed.
        failures: Failed attempts, those made good by another included.
        changes: What it had otherwise than the base.
        figures: Of its last loop; empty where none was finished.
        crystals: Evaluated by itself, in the order of the loops; with the time of each loop's end.
    """

    number: int
    state: str
    reason: str
    failures: int
    changes: Mapping[str, Any]
    figures: Mapping[str, Any]
    crystals: tuple[tuple[float, Judged], ...] = field(repr=False)


@dataclass(frozen=True)
class Results:
    """A sweep's results.

    Attributes:
        folder: Of the sweep.
        trials: That finished a loop at least, by number.
        failed: That failed for good.
        best: Number of the best trial; of several metrics the one of the front nearest to the best
            of each; ``None`` without trials.
        front: Numbers of the trials on the front of the metrics.
        report: The page.
    """

    folder: Path
    trials: tuple[TrialOutcome, ...]
    failed: tuple[TrialOutcome, ...]
    best: int | None
    front: tuple[int, ...]
    report: Path

    @property
    def reason(self) -> str:
        """Why trials failed: the first reason."""
        return self.failed[0].reason if self.failed else "none was started"


def collect(folder: Path) -> Results:
    """Writes a sweep's results anew, from whatever its trials have left so far.

    Raises:
        ConfigError: The folder is none of a sweep.
        OSError: A file cannot be read or written.
    """
    from ray_matdesign.report.sweep_page import build_sweep_report

    sweep = read_sweep(folder)
    outcomes = [_outcome(sweep, Home(path)) for path in sorted((folder / TRIALS).glob("[0-9]*"))]
    ran = [outcome for outcome in outcomes if outcome.figures]
    points = metric_points(ran, sweep.config.metrics)
    on_front = [o.number for o, kept in zip(ran, non_dominated(points), strict=True) if kept]
    best = best_of(ran, points)
    _write_table(folder / "trials.parquet", _trial_rows(outcomes, on_front, best))
    _write_crystals(folder, sweep, ran)
    if best is not None:
        chosen = next(outcome for outcome in ran if outcome.number == best)
        write_atomic(folder / "best.yaml", _best_yaml(sweep, chosen))
    failed = tuple(outcome for outcome in outcomes if outcome.state == "failed")
    report = build_sweep_report(folder)
    return Results(folder, tuple(ran), failed, best, tuple(on_front), report)


def metric_points(outcomes: Sequence[TrialOutcome], metrics: Sequence[Metric]) -> Floats:
    """Metrics of trials, shape ``(n, metrics)``, all to be maximised."""
    signs = np.array([1.0 if metric.mode == "max" else -1.0 for metric in metrics])
    rows = [[float(outcome.figures[m.name]) for m in metrics] for outcome in outcomes]
    points: Floats = np.array(rows, dtype=np.float64).reshape(-1, len(metrics)) * signs
    return points


def best_of(outcomes: Sequence[TrialOutcome], points: Floats) -> int | None:
    """The trial nearest to the best of each metric, in units of the metrics' ranges.

    Of one metric, the best trial. The first of equals.
    """
    if not len(points):
        return None
    span = np.ptp(points, axis=0)
    missing = (points.max(axis=0) - points) / np.where(span > 0.0, span, 1.0)
    return outcomes[int(np.argmin(np.square(missing).sum(axis=1)))].number


def hypervolume_curve(scores: Floats) -> Floats:
    """Hypervolume of the first 1, 2, ... points, from the zeros; shape ``(n,)``."""
    front = np.empty((0, scores.shape[1]))
    volumes = np.zeros(len(scores))
    last = 0.0
    for place, point in enumerate(scores):
        if not (front >= point).all(axis=1).any():
            front = np.vstack([front[~(front <= point).all(axis=1)], point])
            last = hypervolume(front, np.zeros(scores.shape[1]))
        volumes[place] = last
    return volumes


def _outcome(sweep: Sweep, home: Home) -> TrialOutcome:
    told = json.loads((home.folder / "trial.json").read_text(encoding="utf-8"))
    state = {"state": "unfinished", "reason": ""}
    if (home.folder / "state.json").exists():
        state = json.loads((home.folder / "state.json").read_text(encoding="utf-8"))
    reports = home.reports()
    judge = sweep.judge(told["changes"])
    crystals = [
        (float(row["at"]), crystal)
        for row in reports
        for crystal in judge_loop(home.folder / row["run"], int(row["loop"]), judge)
    ]
    return TrialOutcome(
        number=home.number,
        state=state["state"],
        reason=state["reason"],
        failures=sum("failed" in attempt for attempt in home.attempts()),
        changes=told["changes"],
        figures=reports[-1] if reports else {},
        crystals=tuple(crystals),
    )


def _trial_rows(
    outcomes: Sequence[TrialOutcome], on_front: Sequence[int], best: int | None
) -> list[dict[str, Any]]:
    return [
        {
            "trial": outcome.number,
            "state": outcome.state,
            "reason": outcome.reason,
            "failures": outcome.failures,
            "on_front": outcome.number in on_front,
            "best": outcome.number == best,
            **{f"change.{key}": _plain(value) for key, value in outcome.changes.items()},
            **{name: value for name, value in outcome.figures.items() if name != "at"},
        }
        for outcome in outcomes
    ]


def _plain(value: Any) -> Any:
    """A changed setting as one cell: mappings and lists as text."""
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value)


def _write_crystals(folder: Path, sweep: Sweep, outcomes: Sequence[TrialOutcome]) -> None:
    """Tables of the crystals, of their front and of the hypervolume; CIFs of the front.

    Crystals of trials with different objectives, as of a grid over recipes, do not compare: each
    objective has a front of its own.
    """
    tasks: dict[str, list[TrialOutcome]] = {}
    for outcome in outcomes:
        tasks.setdefault(outcome.changes.get(RECIPE, sweep.config.recipe), []).append(outcome)
    crystals: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for task, members in tasks.items():
        found, of_task = _task(task, members)
        crystals += found
        curves += of_task
    front = [row for row in crystals if row["on_front"]]
    front.sort(key=lambda row: (row["task"], -row["reward"], row["trial"], row["key"]))
    _write_table(folder / "crystals.parquet", [_without(row, "directory") for row in crystals])
    _write_table(folder / "curves.parquet", curves)
    units = {
        name: unit
        for members in tasks.values()
        for _, crystal in members[0].crystals[:1]
        for name, unit in units_of(crystal.run).items()
    }
    write_atomic(folder / "units.json", json.dumps(units, indent=2) + "\n")
    relaxed = _relaxed(front)
    full = [
        {**_without(row, "directory"), **relaxed[row["directory"], row["key"]]} for row in front
    ]
    _write_table(folder / "pareto.parquet", full)
    _write_cifs(folder / "front", full)


def _task(
    task: str, members: Sequence[TrialOutcome]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the crystals of one objective, in the order they were found, and of its curves."""
    found = sorted(
        ((at, o.number, crystal) for o in members for at, crystal in o.crystals),
        key=lambda row: (row[0], row[1], row[2].loop, row[2].key),
    )
    if not found:
        return [], []
    names = list(units_of(found[0][2].run))
    points = np.array([crystal.scores for _, _, crystal in found])
    kept = non_dominated(points)
    rows = [
        {
            "task": task,
            "trial": number,
            "run": crystal.run.name,
            "directory": crystal.run,
            "key": crystal.key,
            "loop": crystal.loop,
            "order": place,
            "formula": crystal.formula,
            "reward": crystal.reward,
            "on_front": bool(kept[place]),
            **{f"value_{n}": v for n, v in zip(names, crystal.values, strict=True)},
            **{f"score_{n}": v for n, v in zip(names, crystal.scores, strict=True)},
        }
        for place, (_, number, crystal) in enumerate(found)
    ]
    owners = np.array([number for _, number, _ in found])
    curves = _curve(task, 0, points)
    for number in dict.fromkeys(owners.tolist()):
        curves += _curve(task, number, points[owners == number])
    return rows, curves


def _curve(task: str, trial: int, points: Floats) -> list[dict[str, Any]]:
    """Rows of one curve; trial 0 stands for all together."""
    volumes = hypervolume_curve(points)
    return [
        {"task": task, "trial": trial, "evaluations": n, "hypervolume": float(volume)}
        for n, volume in enumerate(volumes, start=1)
    ]


def _relaxed(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[Path, str], dict[str, Any]]:
    """What the run directories hold of crystals beyond their scores."""
    import pyarrow.parquet as pq

    columns = ["key", "e_above_hull_ev_per_atom", "relaxed"]
    wanted = {(row["directory"], row["loop"]) for row in rows}
    return {
        (directory, held["key"]): held
        for directory, loop in wanted
        for held in pq.read_table(
            directory / "candidates" / f"loop-{loop:05d}.parquet", columns=columns
        ).to_pylist()
    }


def _write_cifs(target: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replaces ``front/`` by a new folder."""
    scratch = target.with_name(f".{target.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for rank, row in enumerate(rows, start=1):
        name = f"{row['formula']} trial={row['trial']} candidate={row['key']}"
        text = write_cif_text(decode_crystals(row["relaxed"])[0], name)
        (scratch / f"{rank:03d}-{row['formula']}.cif").write_text(text)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(scratch, target)


def _best_yaml(sweep: Sweep, outcome: TrialOutcome) -> str:
    figures = ", ".join(f"{m.name} {outcome.figures[m.name]:.4g}" for m in sweep.config.metrics)
    config = sweep.run_config(outcome.changes, outcome.number)
    return f"# Trial {outcome.number} of the sweep {sweep.config.name}: {figures}\n{dump(config)}"


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import pandas as pd

    buffer = io.BytesIO()
    _frame(pd.DataFrame(list(rows))).to_parquet(buffer, index=False)
    write_atomic(path, buffer.getvalue())


def _frame(table: pd.DataFrame) -> pd.DataFrame:
    """The table with columns of mixed kinds, such as a choice of 1 and "off", as text."""
    for name in table.columns:
        if str(name).startswith("change.") and table[name].map(type).nunique() > 1:
            table[name] = table[name].map(str)
    return table


def _without(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}
