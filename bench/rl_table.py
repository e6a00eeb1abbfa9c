"""How the benchmark of reinforcement learning is shown: Markdown, figures on record, a plot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rl_curves import MARKS, WINDOW
from rl_jobs import JUDGE
from rl_plan import BASELINE, PRIOR, Plan
from rl_summary import (
    Figure,
    ModeSummary,
    TaskSummary,
    ablations_of,
    arrival,
    farthest_mark,
    is_ablation,
    no_lower,
    saving,
)

TOP_ELEMENTS = 6


@dataclass(frozen=True)
class Line:
    """One figure of every mode.

    Attributes:
        name: Key among the figures.
        label: Heading.
        unit: ``%`` shows a share times 100; ``*`` stands for the unit of what is measured.
        digits: Decimals shown, or significant digits where the unit is ``*``.
    """

    name: str
    label: str
    unit: str = ""
    digits: int = 0


LINES = (
    Line("survivors, last loops", f"mean of all survivors, last {WINDOW} loops", "*", 4),
    Line("evaluated, last loops", f"mean of the evaluated, last {WINDOW} loops", "*", 4),
    Line("evaluations", "evaluations"),
    Line("relaxations", "relaxations"),
    Line("samples", "samples"),
    Line("S.U.N. of the relaxed", "S.U.N. of the relaxed, second half of the run", "%", 1),
    Line(
        "S.U.N. on the hull, of the relaxed",
        "S.U.N. on or below the hull of the relaxed, second half",
        "%",
        1,
    ),
    Line("unique hits", "unique hits among the evaluated"),
    Line("burden", "evaluations per unique hit", "", 2),
    Line("diversity ratio", "diversity ratio", "", 3),
    Line("front of the evaluated", "hypervolume of the evaluated", "", 3),
    Line("final mean", "final policy: mean of survivors", "*", 4),
    Line("valid", "final policy: valid", "%", 1),
    Line("S.U.N.", "final policy: S.U.N.", "%", 1),
    Line("S.U.N. on the hull", "final policy: S.U.N. on or below the hull", "%", 1),
    Line("S.U.N. hits", "final policy: S.U.N. and above the reward threshold", "%", 1),
    Line("distinct formulas", "final policy: distinct formulas", "%", 1),
    Line("final front", "final policy: hypervolume", "", 3),
    Line("pure elements", "final policy: pure elements", "%", 1),
    Line("noble gases", "final policy: with noble gases", "%", 1),
    Line("radioactive", "final policy: with radioactive elements", "%", 1),
    Line("unscored", "final policy: survivors that could not be scored", "", 1),
    Line("judged", f"judged by {JUDGE}", "", 0),
    Line("confirmed", f"of these, share of the S.U.N. that are so by {JUDGE} too", "%", 1),
    Line("S.U.N., both", "final policy: S.U.N. by both potentials", "%", 1),
    Line("first mean", "mean of the judged", "*", 4),
    Line("second mean", f"mean of the judged by {JUDGE}", "*", 4),
    Line("gap", f"gap, {JUDGE} less own", "*", 4),
    Line("seconds a loop", "seconds a loop", "s", 1),
    Line("seconds, sample", "of which sampling", "s", 1),
    Line("seconds, relax", "of which relaxation", "s", 1),
    Line("seconds, evaluate", "of which evaluation", "s", 1),
    Line("seconds, finetune", "of which fine-tuning", "s", 1),
    Line("share of fine-tuning", "share of fine-tuning", "%", 1),
)
BY_NAME = {line.name: line for line in LINES}

PAPER = {
    "no-sun": "speed unchanged; S.U.N. and diversity much lower",
    "no-replay": "slower; S.U.N. unchanged; more diverse",
    "no-diversity": "less diverse; speed and S.U.N. unchanged",
    "no-prior": "faster and less diverse; can end in unreasonable crystals",
}
"""What MatInvent's authors found on the density task (arXiv:2511.03112), by what is off."""

EXPLANATION = f"""\
Means over seeds with their standard errors. *Survivors* are all crystals of a loop that pass the
task's gate, evaluated or not; the properties of those that a run did not pay for were computed
afterwards and billed to nobody. *Evaluations to a mark*: billed evaluations after which the median
of {WINDOW} loops' means had gone that share of the way from the prior's mean to the target; the
median over seeds, then each seed, a dash where it was not reached. A mode is compared with
`{BASELINE}` at the farthest mark that every run of either reached; `>` where `{BASELINE}` had not
arrived there with all its evaluations, `<` where the mode had not. *Of the evaluated* is the
paper's measure: it flatters a mode that chooses what it evaluates. *No lower* allows for twice the
standard error of the difference. Shares of the final policy are of all crystals drawn from it, with
seeds that no loop used; relaxed and judged by CHGNet, then once more by SevenNet-l3i5, which no
reward saw (of magnetic densities SevenNet gives the geometry only). Hits and burden count unique
formulas above the recipe's reward threshold, from the first on. All modes of a task share the sizes
of their loops; `bench/rl.yaml` holds them, and what each mode changes.
"""


def markdown(
    plan: Plan,
    summaries: Sequence[TaskSummary],
    lacking: Sequence[str],
    commits: Mapping[str, int],
) -> str:
    """The whole report.

    Args:
        plan: What there is to run.
        summaries: Of what was run.
        lacking: A line on each run that is not in it.
        commits: How many runs were made by which code.
    """
    parts = ["# Reinforcement learning on the embedded stack", EXPLANATION.rstrip()]
    parts += ["## Against the faithful mode", verdict_table(summaries)]
    for summary in summaries:
        parts += [f"## {summary.task}", task_heading(plan, summary), task_table(plan, summary)]
        if ablations_of(summary):
            parts += [f"### {summary.task}: ablations", ablation_table(plan, summary)]
    told = ", ".join(f"{commit} ({count})" for commit, count in commits.items())
    parts += ["## Code", f"Commits, and how many runs were read by each: {told}."]
    if lacking:
        parts += ["## Not in these tables", "\n".join(f"- {line}" for line in lacking)]
    return "\n\n".join(parts) + "\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns after the first are set flush right."""
    lines = [f"| {' | '.join(headings)} |", f"|---|{'---:|' * (len(headings) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def verdict_table(summaries: Sequence[TaskSummary]) -> str:
    """Whether each mode needs at most half the evaluations, at no cost in S.U.N. and diversity."""
    rows = []
    for summary in summaries:
        modes = [m for m in summary.modes if m not in (PRIOR, BASELINE) and not is_ablation(m)]
        for mode in modes if BASELINE in summary.modes else []:
            own, base = summary.modes[mode], summary.modes[BASELINE]
            gains = [saving(summary, mode, measure) for measure in ("survivors", "evaluated")]
            kept = [
                no_lower(own.figures[name], base.figures[name])
                for name in ("S.U.N.", "diversity ratio")
            ]
            halved = gains[0] is not None and gains[0].times >= 2.0 and gains[0].bound != "<"
            mark = farthest_mark(summary, mode)
            rows.append(
                [
                    summary.task,
                    mode,
                    "–" if mark is None else f"{mark:.0%}",
                    arrivals_text(base, "survivors", mark),
                    arrivals_text(own, "survivors", mark),
                    *("–" if gain is None else str(gain) for gain in gains),
                    *("no lower" if kept_one else "lower" for kept_one in kept),
                    "yes" if halved and all(kept) else "no",
                ]
            )
    headings = ["task", "mode", "mark", f"evaluations, {BASELINE}", "evaluations", "times fewer"]
    headings += ["times fewer, of the evaluated", "S.U.N.", "diversity ratio", "half or less"]
    return table(headings, rows)


def task_heading(plan: Plan, summary: TaskSummary) -> str:
    """From where to where."""
    task = plan.tasks[summary.task]
    what = "reward" if task.measure == "reward" else f"property{unit_of(plan, summary, '*')}"
    start = "not measured" if summary.start is None else f"{summary.start:.4g}"
    return f"Mean {what} of the prior: {start}; target {summary.target:g}."


def task_table(plan: Plan, summary: TaskSummary) -> str:
    """Figures down, modes across; ablations have a table of their own."""
    modes = {name: mode for name, mode in summary.modes.items() if not is_ablation(name)}
    rows = [["seeds", *(", ".join(map(str, m.seeds)) for m in modes.values())]]
    for measure in ("survivors", "evaluated"):
        for mark in MARKS:
            label = f"evaluations to {mark:.0%}, mean of {measure}"
            rows.append([label, *(arrivals_text(m, measure, mark) for m in modes.values())])
    rows += [
        [f"{line.label}{unit_of(plan, summary, line.unit)}", *cells]
        for line in LINES
        if any(cells := [shown(mode, line) for mode in modes.values()])
    ]
    rows.append(["most frequent elements", *(elements_text(m) for m in modes.values())])
    return table(["", *modes], [[cell or "–" for cell in row] for row in rows])


def ablation_table(plan: Plan, summary: TaskSummary) -> str:
    """Each part off in turn, against the mode it is a part of."""
    names = ("survivors, last loops", "S.U.N.", "valid", "diversity ratio", "distinct formulas")
    lines = [BY_NAME[name] for name in names]
    rows = []
    for base, ablated in ablations_of(summary).items():
        for name in (base, *ablated):
            mode = summary.modes[name]
            cells = [arrivals_text(mode, "survivors", summary.mark)]
            cells += [shown(mode, line) or "–" for line in lines]
            found = PAPER.get(name.removeprefix(f"{BASELINE}-"), "") if name != base else ""
            rows.append([name, *cells, found])
    mark = "–" if summary.mark is None else f"{summary.mark:.0%}"
    headings = [f"{line.label}{unit_of(plan, summary, line.unit)}" for line in lines]
    return table(["mode", f"evaluations to {mark}", *headings, "the paper found"], rows)


def unit_of(plan: Plan, summary: TaskSummary, unit: str) -> str:
    """A unit in brackets, for headings; nothing for pure numbers."""
    name = plan.tasks[summary.task].unit if unit == "*" else unit
    return f" ({name})" if name else ""


def shown(mode: ModeSummary, line: Line) -> str:
    """A figure with its error; empty where there is none."""
    figure = mode.figures.get(line.name)
    if figure is None:
        return ""
    scale = 100.0 if line.unit == "%" else 1.0

    def text(value: float) -> str:
        if line.unit == "*":
            return f"{value:.{line.digits}g}"
        return f"{scale * value:,.{line.digits}f}"

    error = "" if math.isnan(figure.error) else f" ± {text(figure.error)}"
    return f"{text(figure.value)}{error}"


def arrivals_text(mode: ModeSummary, measure: str, mark: float | None) -> str:
    """Median evaluations to a mark, and each seed's."""
    runs = mode.arrivals.get(measure, {}).get(mark, []) if mark is not None else []
    if not runs:
        return "–"
    each = [f"{n:.0f}" if math.isfinite(n) else "–" for n in runs]
    median = arrival(runs)
    head = f"{median:.0f}" if math.isfinite(median) else "not reached"
    return head if len(runs) == 1 else f"{head} ({', '.join(each)})"


def elements_text(mode: ModeSummary) -> str:
    """The most frequent elements of the final S.U.N. crystals."""
    return ", ".join(f"{s} {share:.0%}" for s, share in [*mode.elements.items()][:TOP_ELEMENTS])


def figures(plan: Plan, summaries: Sequence[TaskSummary]) -> list[dict[str, Any]]:
    """Everything in the format of the records, each mode against the faithful one."""
    found: list[dict[str, Any]] = []
    for summary in summaries:
        baseline = summary.modes.get(BASELINE)
        for name, mode in summary.modes.items():
            rival = baseline if name != BASELINE else None
            for line in LINES:
                if line.name not in mode.figures:
                    continue
                unit = plan.tasks[summary.task].unit if line.unit == "*" else line.unit
                against = rival.figures.get(line.name) if rival else None
                found.append(
                    record(
                        f"{summary.task}; {name}; {line.label}",
                        mode.figures[line.name],
                        against.value if against else None,
                        unit,
                    )
                )
            found += arrival_figures(summary, name)
    return found


def arrival_figures(summary: TaskSummary, name: str) -> list[dict[str, Any]]:
    """Median evaluations to each mark that the median run reached, and how many runs did."""
    found = []
    mode, baseline = summary.modes[name], summary.modes.get(BASELINE)
    for measure, marks in mode.arrivals.items():
        for mark, runs in marks.items():
            title = f"{summary.task}; {name}; evaluations to {mark:.0%}, mean of {measure}"
            reached = sum(math.isfinite(n) for n in runs) / len(runs)
            found.append(record(f"{title}; runs that reached it", Figure(reached, math.nan), None))
            median = arrival(runs)
            if math.isfinite(median):
                rival = baseline if name != BASELINE else None
                against = arrival(rival.arrivals[measure][mark]) if rival else math.inf
                known = against if math.isfinite(against) else None
                found.append(record(title, Figure(median, math.nan), known, "evaluations"))
    return found


def record(name: str, figure: Figure, baseline: float | None, unit: str = "") -> dict[str, Any]:
    """One figure on record; shares stay shares, and are called by the unit 1."""
    told: dict[str, Any] = {"name": name, "value": round(figure.value, 6)}
    told |= {} if math.isnan(figure.error) else {"error": round(figure.error, 6)}
    told["unit"] = "1" if unit in ("", "%") else unit
    told["baseline"] = None if baseline is None else round(baseline, 6)
    told["ratio"] = round(figure.value / baseline, 4) if baseline else None
    return told


COLORS = ("#8a8a8a", "#c05a1c", "#1f5a99", "#3c8a3c", "#7d4fa0", "#b8860b", "#30a0a0", "#a03050")


def plot(plan: Plan, summaries: Sequence[TaskSummary], path: Path) -> None:
    """Mean of survivors against billed evaluations, a panel a task: means and ranges over seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    columns = min(3, len(summaries))
    rows = -(-len(summaries) // columns)
    canvas = Canvas(figsize=(4.0 * columns, 3.1 * rows), dpi=150, layout="constrained")
    FigureCanvasAgg(canvas)
    panels = canvas.subplots(rows, columns, squeeze=False).ravel()
    for panel, summary in zip(panels, summaries, strict=False):
        shown_modes = [m for m in summary.modes if m != PRIOR and not is_ablation(m)]
        for name, color in zip(shown_modes, COLORS[1:], strict=False):
            draw_mode(panel, summary.modes[name], name, color)
        panel.axhline(summary.target, color="black", linestyle=":", linewidth=1.0)
        if summary.start is not None:
            panel.axhline(summary.start, color=COLORS[0], linestyle=":", linewidth=1.0)
        unit = plan.tasks[summary.task].unit or "reward"
        panel.set_title(f"{summary.task} ({unit})", fontsize=10)
        panel.set_xlabel("evaluations")
        panel.grid(alpha=0.3, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    panels[0].legend(fontsize=8, frameon=False)
    for panel in panels[len(summaries) :]:
        panel.set_visible(False)
    canvas.savefig(path)


def draw_mode(panel: Any, mode: ModeSummary, name: str, color: str) -> None:
    """One mode's learning curves, brought to common numbers of evaluations."""
    curves = [[(p.paid, p.mean) for p in curve if p.mean is not None] for curve in mode.curves]
    curves = [curve for curve in curves if curve]
    if not curves:
        return
    paid = np.linspace(0.0, min(curve[-1][0] for curve in curves), 100)
    means = np.array([np.interp(paid, *zip(*curve, strict=True)) for curve in curves])
    panel.plot(paid, means.mean(axis=0), color=color, linewidth=1.6, label=name)
    if len(curves) > 1:
        panel.fill_between(paid, means.min(axis=0), means.max(axis=0), color=color, alpha=0.18)
