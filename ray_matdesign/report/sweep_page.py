"""The page of a sweep: one HTML file whose plots answer to the reader, and that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_matdesign.config.loading import dump
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.report.sections import empty
from ray_matdesign.report.sweep_data import (
    SweepData,
    axes,
    lifetimes,
    read_results,
    steps,
    task_terms,
    told,
)
from ray_matdesign.report.wording import duration, number

if TYPE_CHECKING:
    import pandas as pd

HINT = "Point at a trial to see what it changed."
ROWS = 40
"""Crystals in the table of the front."""

_PLOTS = """
<section aria-labelledby="trials"><h2 id="trials">Trials</h2>
<div class="panel"><h3>Settings and figures</h3>
<p class="hint">One line a trial; coloured: on the front of the metrics; bold: the best. Drag along
an axis to keep the trials that pass there; double-click to let go.</p>
<div class="wide" id="sweep-parallel"></div><p class="pointed-at" id="sweep-pointed"></p></div>
</section>
<section aria-labelledby="front"><h2 id="front">Front over crystals</h2>
<p class="controls"><label>Task <select id="sweep-task"></select></label>
<label>Properties <select id="sweep-axes"></select></label>
<label><input type="range" id="sweep-slider" min="1" value="1" max="1">
<output id="sweep-count"></output></label></p>
<div class="pair"><div class="panel"><h3>Evaluated crystals of all trials</h3>
<p class="hint">Coloured: no other has better scores in every property.</p>
<div id="sweep-front"></div></div>
<div class="panel"><h3>Hypervolume</h3>
<p class="hint">Share of the space of scores that is covered; of one property, the best score.</p>
<div id="sweep-volume"></div></div></div>
"""


def build_sweep_report(directory: Path) -> Path:
    """Writes ``report.html`` of a sweep whose tables have been written.

    Returns:
        The file written, atomically.

    Raises:
        RunDirectoryError: The folder holds no results of a sweep.
        OSError: The file cannot be written.
    """
    target = directory / "report.html"
    write_atomic(target, render(read_results(directory)))
    return target


def render(data: SweepData) -> str:
    """The page as a string."""
    folder = files("ray_matdesign.report")
    style = "".join(folder.joinpath(n).read_text(encoding="utf-8") for n in _STYLES)
    script = folder.joinpath("sweep.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # In a script element only "</" could end it early, and "<!--" confuse it.
    content = json.dumps(_plotted(data), allow_nan=False).replace("<", "\\u003c")
    name = escape(data.config.name)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name} – sweep</title><style>{style}</style></head><body>"
        f"{_header(data)}<main>{_plots(data)}{_front_table(data)}</section>"
        f"{_trials_table(data)}{_settings(data)}</main>{_footer(data)}"
        f'<script type="application/json" id="sweep-data">{content}</script>'
        f"<script>{script}</script></body></html>\n"
    )


_STYLES = ("page.css", "sweep.css")


def _plotted(data: SweepData) -> dict[str, Any]:
    """What the script draws."""
    trials = [
        {
            "trial": int(row["trial"]),
            "state": row["state"],
            "on_front": bool(row["on_front"]),
            "best": bool(row["best"]),
            "told": told(row),
        }
        for row in data.trials.to_dict("records")
    ]
    tasks = []
    if len(data.crystals):
        for name, table in data.crystals.groupby("task", sort=False):
            tasks.append(_task(data, str(name), table, data.curves[data.curves["task"] == name]))
    return {"hint": HINT, "axes": axes(data), "trials": trials, "tasks": tasks}


def _task(data: SweepData, name: str, table: pd.DataFrame, curves: pd.DataFrame) -> dict[str, Any]:
    terms = task_terms(table)
    values = table[[f"value_{term}" for term in terms]].to_numpy().tolist()
    crystals = [
        {"trial": int(trial), "order": place, "formula": formula, "values": row, "until": until}
        for place, (trial, formula, row, until) in enumerate(
            zip(table["trial"], table["formula"], values, lifetimes(table), strict=True)
        )
    ]
    return {
        "name": name,
        "terms": [{"name": term, "label": data.label(term)} for term in terms],
        "volume": "Hypervolume" if len(terms) > 1 else "Best score",
        "crystals": crystals,
        "curves": [
            {"trial": int(str(trial)), "points": steps(curve)}
            for trial, curve in curves.groupby("trial", sort=True)
        ],
    }


def _plots(data: SweepData) -> str:
    if not len(data.crystals):
        none = empty("No trial has evaluated a crystal yet.")
        return f'<section aria-labelledby="trials"><h2 id="trials">Trials</h2>{none}'
    script_needed = empty("The plots are drawn by a script, which this browser does not run.")
    return f"{_PLOTS}<noscript>{script_needed}</noscript>"


def _header(data: SweepData) -> str:
    config = data.config
    metrics = ", ".join(f"{m.name} ({m.mode})" for m in config.metrics)
    facts = [f"Seed {config.seed}", f"algorithm {config.algorithm.kind}", f"base {config.recipe}"]
    line = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    states = data.trials["state"].value_counts() if len(data.trials) else {}
    counted = ", ".join(f"{n} {state}" for state, n in states.items())
    tiles = [("Trials", str(len(data.trials)), counted)]
    if len(data.crystals):
        volume = data.curves[data.curves["trial"] == 0].groupby("task")["hypervolume"].max()
        label = "Hypervolume" if len(task_terms(data.crystals)) > 1 else "Best score"
        spent = int(data.trials["evaluations"].fillna(0).sum())
        tiles += [
            ("Evaluations", f"{spent:,}", f"{len(data.crystals):,} of them successful"),
            ("Crystals on the front", f"{len(data.pareto):,}", "of all trials together"),
            (label, number(float(volume.max())), "of all trials together"),
            ("Time in runs", duration(float(data.trials["wall_s"].fillna(0.0).sum())), "summed"),
        ]
    cells = "".join(
        f'<div class="tile"><dt>{label}</dt><dd>{value}</dd>'
        f'<dd class="note">{escape(note)}</dd></div>'
        for label, value, note in tiles
    )
    return (
        f'<header><p class="eyebrow">Sweep</p><h1>{escape(config.name)}</h1>'
        f'<p class="objective">Trials are compared by {escape(metrics)}.</p>'
        f'<p class="facts">{line}</p><dl class="tiles">{cells}</dl></header>'
    )


def _front_table(data: SweepData) -> str:
    if not len(data.pareto):
        return ""
    terms = task_terms(data.pareto)
    heads = ["Crystal", "Task", "Trial", *(data.label(term) for term in terms)]
    heads += ["Energy above hull (eV/atom)", "File"]
    rows = []
    for rank, row in enumerate(data.pareto.head(ROWS).to_dict("records"), start=1):
        values = [row[f"value_{term}"] for term in terms]
        file = f"front/{rank:03d}-{row['formula']}.cif"
        cells = [row["formula"], row["task"], row["trial"], *map(_figure, values)]
        rows.append([*cells, _figure(row["e_above_hull_ev_per_atom"]), file])
    more = len(data.pareto) - len(rows)
    rest = f'<p class="hint">{more:,} more in pareto.parquet.</p>' if more > 0 else ""
    return f'<div class="panel"><h3>Crystals of the front</h3>{_table(heads, rows)}{rest}</div>'


def _trials_table(data: SweepData) -> str:
    if not len(data.trials):
        return ""
    metrics = [m.name for m in data.config.metrics if m.name in data.trials]
    heads = ["Trial", "State", "Changed", *metrics, "Loops", "Evaluations", "Failures"]
    rows = [
        [
            f"{row['trial']}{' (best)' if row['best'] else ''}",
            f"{row['state']}{': ' + row['reason'] if row['reason'] else ''}",
            told(row),
            *(_figure(row[name]) for name in metrics),
            _count(row.get("loop")),
            _count(row.get("evaluations")),
            row["failures"],
        ]
        for row in data.trials.to_dict("records")
    ]
    return (
        '<section aria-labelledby="table"><h2 id="table">All trials</h2><div class="panel">'
        f"{_table(heads, rows)}</div></section>"
    )


def _settings(data: SweepData) -> str:
    return (
        '<section aria-labelledby="settings"><h2 id="settings">Settings</h2>'
        "<details><summary>The sweep</summary>"
        f"<pre>{escape(dump(data.config))}</pre></details></section>"
    )


def _footer(data: SweepData) -> str:
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"<footer>Written {written} from the folder "
        f"<code>{escape(data.directory.resolve().name)}</code> alone. This page loads nothing from "
        "elsewhere; its data are inside it.</footer>"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    top = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        f'<div class="table-scroll"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _figure(value: Any) -> str:
    missing = value is None or value != value
    return "–" if missing else number(float(value))


def _count(value: Any) -> str:
    missing = value is None or value != value
    return "–" if missing else f"{int(value):,}"
