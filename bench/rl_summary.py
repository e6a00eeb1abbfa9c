"""From the readings of single runs to what is said of a mode on a task: means over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rl_curves import MARKS, Point, comparison_mark, evaluations_to
from rl_plan import BASELINE, PRIOR, Plan
from rl_readings import Reading

MEASURES = ("survivors", "evaluated")
"""Whose mean is to arrive: that of all survivors, or that of the evaluated, as in the paper."""


@dataclass(frozen=True)
class Figure:
    """A mean over seeds.

    Attributes:
        value: The mean.
        error: Its standard error; not a number for a single seed.
    """

    value: float
    error: float


@dataclass(frozen=True)
class ModeSummary:
    """One mode on one task.

    Attributes:
        seeds: Of its complete runs.
        figures: By name; over the seeds that have the figure.
        arrivals: Evaluations to each mark, one for each seed, infinite where it was not reached; by
            measure, then by mark. Empty where the prior was not measured.
        curves: Learning curves of the survivors.
        elements: Mean share of final S.U.N. crystals that hold an element, most frequent first.
    """

    seeds: list[int]
    figures: dict[str, Figure]
    arrivals: dict[str, dict[float, list[float]]]
    curves: list[list[Point]]
    elements: dict[str, float]


@dataclass(frozen=True)
class TaskSummary:
    """All modes on one task.

    Attributes:
        task: Of the plan.
        start: The prior's mean; ``None`` where it was not measured.
        target: Where the mean was sent.
        mark: The share of the way at which ablations are compared, the farthest that every run of
            the baseline reached; ``None`` where there is none.
        modes: By name, the prior among them.
    """

    task: str
    start: float | None
    target: float
    mark: float | None
    modes: dict[str, ModeSummary]


def summarise(plan: Plan, readings: Sequence[Reading]) -> list[TaskSummary]:
    """All that was read, task by task, in the plan's order."""
    found = []
    for task in plan.tasks:
        here = [reading for reading in readings if reading.job.task == task]
        if here:
            found.append(_task_summary(plan, task, here))
    return found


@dataclass(frozen=True)
class Saving:
    """How many times fewer evaluations one mode takes than another.

    Attributes:
        times: The ratio.
        bound: Empty, or what is known of the true ratio: ``>`` where the baseline had not arrived
            with all its evaluations, ``<`` where the mode had not; these then stand in its place.
    """

    times: float
    bound: Literal["", ">", "<"] = ""

    def __str__(self) -> str:
        return f"{self.bound} {self.times:.2f}".lstrip()


def _task_summary(plan: Plan, task: str, readings: Sequence[Reading]) -> TaskSummary:
    target = plan.tasks[task].target
    prior = [r.numbers for r in readings if r.job.mode == PRIOR]
    starts = [numbers["final mean"] for numbers in prior if "final mean" in numbers]
    start = statistics.fmean(starts) if starts else None
    modes = {}
    for mode in (PRIOR, *plan.modes):
        runs = sorted(
            (reading for reading in readings if reading.job.mode == mode),
            key=lambda reading: reading.job.seed,
        )
        if runs:
            modes[mode] = _mode_summary(runs, start, target)
    mark = None
    if start is not None and BASELINE in modes:
        mark = comparison_mark(modes[BASELINE].arrivals["survivors"])
    return TaskSummary(task, start, target, mark, modes)


def _mode_summary(runs: Sequence[Reading], start: float | None, target: float) -> ModeSummary:
    names = dict.fromkeys(name for run in runs for name in run.numbers)
    figures = {
        name: over_seeds([run.numbers[name] for run in runs if name in run.numbers])
        for name in names
    }
    arrivals: dict[str, dict[float, list[float]]] = {}
    if start is not None and runs[0].job.mode != PRIOR:
        for measure in MEASURES:
            curves: list[list[Point]] = [getattr(run, measure) for run in runs]
            arrivals[measure] = {
                mark: [evaluations_to(curve, start, target, mark) for curve in curves]
                for mark in MARKS
            }
    symbols = {symbol for run in runs for symbol in run.elements}
    shares = {s: statistics.fmean(run.elements.get(s, 0.0) for run in runs) for s in symbols}
    return ModeSummary(
        seeds=[run.job.seed for run in runs],
        figures=figures,
        arrivals=arrivals,
        curves=[run.survivors for run in runs],
        elements=dict(sorted(shares.items(), key=lambda item: (-item[1], item[0]))),
    )


def over_seeds(values: Sequence[float]) -> Figure:
    """Mean and standard error."""
    if len(values) < 2:
        return Figure(values[0], math.nan)
    return Figure(statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values)))


def arrival(runs: Sequence[float]) -> float:
    """Median evaluations to a mark; infinite where half of the runs or more never reached it."""
    return sorted(runs)[len(runs) // 2]


def farthest_mark(summary: TaskSummary, mode: str) -> float | None:
    """The farthest mark that all runs of the mode, or all of the baseline, reached."""
    both = [
        comparison_mark(summary.modes[m].arrivals.get("survivors", {})) for m in (BASELINE, mode)
    ]
    return max((mark for mark in both if mark is not None), default=None)


def saving(summary: TaskSummary, mode: str, measure: str) -> Saving | None:
    """How many times fewer evaluations than the baseline a mode took to where they are compared.

    Returns:
        ``None`` where no mark was reached, or a mode took no evaluation at all.
    """
    mark = farthest_mark(summary, mode)
    if mark is None:
        return None
    baseline, ours = summary.modes[BASELINE], summary.modes[mode]
    theirs, own = (arrival(each.arrivals[measure][mark]) for each in (baseline, ours))
    if own == 0.0:
        return None
    if math.isinf(own):
        return None if math.isinf(theirs) else Saving(theirs / _spent(ours), "<")
    return Saving(_spent(baseline) / own, ">") if math.isinf(theirs) else Saving(theirs / own)


def _spent(mode: ModeSummary) -> float:
    """Median evaluations of a mode's whole runs."""
    return arrival([float(curve[-1].paid) for curve in mode.curves])


def no_lower(own: Figure, baseline: Figure) -> bool:
    """Whether a figure is no lower than another, within twice the error of the difference.

    Of single runs, whose errors are not known, it must be no lower at all.
    """
    errors = [0.0 if math.isnan(f.error) else f.error for f in (own, baseline)]
    return own.value >= baseline.value - 2.0 * math.hypot(*errors)


def is_ablation(mode: str) -> bool:
    """Whether a mode is another one with something switched off."""
    return "-no-" in mode


def ablations_of(summary: TaskSummary) -> Mapping[str, list[str]]:
    """Ablated modes by the mode they were made from, where both were run."""
    found: dict[str, list[str]] = {}
    for mode in summary.modes:
        base = mode.partition("-no-")[0]
        if is_ablation(mode) and base in summary.modes:
            found.setdefault(base, []).append(mode)
    return found
