"""How the generators' benchmark is shown: a table on the terminal and in Markdown, and a plot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Measured = Mapping[str, Any]
"""One row: ``{title, generated, drawn, chgnet, judged, sevennet, ..., evaluations, seconds}``."""


@dataclass(frozen=True)
class Column:
    """One figure of every row.

    Attributes:
        stage: Key of the row's part it is in, empty for the row itself.
        key: Key within the part.
        label: Heading.
        unit: Unit of the value on record; ``%`` shows a share times 100.
        digits: Decimals shown.
    """

    stage: str
    key: str
    label: str
    unit: str
    digits: int


def _judged(stage: str, judge: str) -> list[Column]:
    """The columns of one relaxer and judge."""
    return [
        Column(stage, "stable", f"stable, {judge}", "%", 1),
        Column(stage, "S.U.N.", f"S.U.N., {judge}", "%", 1),
        Column(stage, "S.U.N. and SMACT", f"S.U.N. and SMACT, {judge}", "%", 1),
        Column(stage, "E_hull, mean", f"mean E_hull, {judge}", "meV/atom", 0),
        Column(stage, "E_hull, median", f"median E_hull, {judge}", "meV/atom", 0),
        Column(stage, "displacement", f"displacement, {judge}", "Angstrom", 3),
        Column(stage, "RMSD of matched", f"RMSD, {judge}", "", 3),
        Column(stage, "matched to relaxed", f"matched, {judge}", "%", 1),
        Column(stage, "steps", f"steps, {judge}", "", 0),
    ]


COLUMNS = [
    Column("", "drawn", "drawn", "", 0),
    Column("generated", "structural validity", "structure valid", "%", 1),
    Column("generated", "SMACT validity", "SMACT valid", "%", 1),
    Column("generated", "unique", "unique", "%", 1),
    Column("generated", "novel", "novel", "%", 1),
    Column("", "judged by chgnet", "judged, CHGNet", "", 0),
    *_judged("chgnet", "CHGNet"),
    Column("", "judged by sevennet", "judged, SevenNet", "", 0),
    *_judged("sevennet", "SevenNet"),
    Column("", "seconds", "s per 1,000", "s", 0),
    Column("", "evaluations", "evaluations", "", 0),
]

EXPLANATION = """\
Shares are of all crystals drawn (first block) or judged, failures included; `±` is the standard
error. *Structure valid*: atoms at least 0.5 Å apart, cell edges below 25 Å. *Unique* and *novel* in
the first block are of the structurally valid crystals as generated. *Stable*: relaxed to within 0.1
eV/atom of the packaged hull; crystals of elements it does not cover count as not stable. *S.U.N.*:
stable, unique among the relaxed, and novel. *Novel* is against the packaged reference set (39,241
crystals, most of MP-20 among them); published peers were trained on MP-20, the embedded model on
the reference set's own crystals, so neither's novelty says more than that the crystal is not in
that set. Held-back crystals are in it: their novelty, and with it S.U.N., is zero by construction.
*Displacement*: root mean square move of the atoms while relaxing. *RMSD*: of the sites mapped onto
the relaxed crystal by pymatgen's matcher (ltol 0.3, stol 0.5, angle 10°), over the mean atomic
spacing, where it finds a match. SevenNet (l3i5, MP2020 corrections applied) relaxes further what
CHGNet relaxed; its displacement and RMSD count from the crystal as generated, its steps from
CHGNet's end. *s per 1,000*: wall-clock of sampling with {workers} single-threaded processes.
*Evaluations*: network calls for one crystal, with those for crystals given up (known from the
training data, overlapping atoms); a published figure for DiffCSP (1,000 predictor and 1,000
corrector steps).
"""


def cell(row: Measured, column: Column) -> tuple[float, float] | None:
    """Value and standard error (not a number where it has none) in the column's unit, if known."""
    part = row if not column.stage else row.get(column.stage)
    found = None if part is None else part.get(column.key)
    if found is None:
        return None
    value, error = (
        (found["value"], found["error"]) if isinstance(found, Mapping) else (found, math.nan)
    )
    scale = {"%": 100.0, "meV/atom": 1000.0}.get(column.unit, 1.0)
    return scale * value, scale * error


def known_columns(rows: Sequence[Measured]) -> list[Column]:
    """The columns of which any row has a value."""
    return [column for column in COLUMNS if any(cell(row, column) for row in rows)]


def shown(row: Measured, column: Column) -> str:
    """The cell as text."""
    found = cell(row, column)
    if found is None or math.isnan(found[0]):
        return "–"
    value, error = found
    text = f"{value:,.{column.digits}f}"
    return text if math.isnan(error) else f"{text} ± {error:,.{column.digits}f}"


def heading(column: Column) -> str:
    """Label and unit."""
    return f"{column.label} ({column.unit})" if column.unit else column.label


def print_table(rows: Sequence[Measured], columns: Sequence[Column]) -> None:
    """Prints figures down and generators across: there are more figures."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    table.add_column("")
    for row in rows:
        table.add_column(row["title"], justify="right")
    for column in columns:
        table.add_row(heading(column), *(shown(row, column) for row in rows))
    Console().print(table)


def markdown(rows: Sequence[Measured], columns: Sequence[Column]) -> str:
    """The same table in Markdown."""
    lines = ["| | " + " | ".join(row["title"] for row in rows) + " |"]
    lines.append("|---|" + "---:|" * len(rows))
    for column in columns:
        cells = " | ".join(shown(row, column) for row in rows)
        lines.append(f"| {heading(column)} | {cells} |")
    return "\n".join(lines) + "\n"


def figures(
    rows: Sequence[Measured], baseline: str, columns: Sequence[Column]
) -> list[dict[str, Any]]:
    """The table in the format of the records, each row against the one of a title."""
    by_title = {row["title"]: row for row in rows}
    found = []
    for row in rows:
        for column in columns:
            measured = cell(row, column)
            if measured is None or math.isnan(measured[0]):
                continue
            rival = None
            if row["title"] != baseline and baseline in by_title:
                rival = cell(by_title[baseline], column)
            value, error = (round(number, 6) for number in measured)
            against = None if rival is None or math.isnan(rival[0]) else round(rival[0], 6)
            figure = {"name": f"{row['title']}: {column.label}", "value": value}
            figure |= {} if math.isnan(error) else {"error": error}
            ratio = round(value / against, 4) if against else None
            found.append(figure | {"unit": column.unit, "baseline": against, "ratio": ratio})
    return found


PLOTTED = (
    Column("chgnet", "S.U.N.", "S.U.N.", "%", 1),
    Column("chgnet", "E_hull, mean", "mean $E_\\mathrm{hull}$", "meV/atom", 0),
    Column("chgnet", "displacement", "displacement to relaxed", "Å", 3),
)


def plot_steps(rows: Sequence[Measured], path: Path) -> None:
    """Quality against the number of network evaluations, with standard errors, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.1), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, column in zip(figure.subplots(1, len(PLOTTED)), PLOTTED, strict=True):
        points = [(row["evaluations"], *found) for row in rows if (found := cell(row, column))]
        calls, values, errors = zip(*points, strict=True)
        bars = [0.0 if math.isnan(error) else error for error in errors]
        axes.errorbar(
            calls, values, yerr=bars, marker="o", markersize=4.5, capsize=2.5,
            linewidth=1.4, elinewidth=1.0, color="#1f5a99",
        )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks(calls, [f"{call:.0f}" for call in calls])
        axes.minorticks_off()
        axes.set_ylim(bottom=0.0)
        axes.set_title(heading(column), fontsize=10)
        axes.set_xlabel("network evaluations")
        axes.grid(alpha=0.3, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.savefig(path)
