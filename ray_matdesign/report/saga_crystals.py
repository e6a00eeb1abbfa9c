"""The campaign report's sections on crystals: populations, the front, what was held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.report.saga_data import SagaData, name_of, planned, read_table, spec_of
from ray_matdesign.report.saga_figures import Floats, front_chart, rounds_chart
from ray_matdesign.report.saga_sections import panel, table
from ray_matdesign.report.sections import empty
from ray_matdesign.report.wording import formula_html, number, property_of, share

if TYPE_CHECKING:
    import pandas as pd

FINAL = "final.parquet"
HELD_OUT = "held_out"
ROWS = 40
"""Crystals in the table of the front."""
_FORMULA = "formula"


def populations(data: SagaData) -> str:
    """How each objective and the reward move from round to round, and what was counted."""
    tables = {
        one.number: data.population(one.number) for one in data.rounds if one.optimized is not None
    }
    if not any(len(found) for found in tables.values()):
        return empty("No round has found crystals yet.")
    charts = [_reward_chart(tables)]
    charts += [_objective_chart(data, tables, name) for name in data.by_name]
    drawn = [chart for chart in charts if chart]
    hint = "Line: median of a round; band: 10th to 90th percentile; dots: single crystals."
    lead = f'<p class="lead">{hint}</p>' if drawn else ""
    pictures = f'<div class="pair">{"".join(drawn)}</div>' if drawn else ""
    return lead + _sizes(data) + pictures + _figures(data)


def _sizes(data: SagaData) -> str:
    rows = []
    for one in data.rounds:
        if one.optimized is None:
            continue
        found = one.optimized
        outcomes = ", ".join(
            f"{count} {escape(str(name))}" for name, count in found.get("outcomes", {}).items()
        )
        counts = [found.get(key, 0) for key in ("sampled", "evaluated", "size", "carried")]
        rows.append([str(one.number), outcomes or "–", *(f"{int(n):,}" for n in counts),
                     number(found.get("best_reward"))])  # fmt: skip
    heads = [
        "Round", "How far crystals came", "Sampled", "Evaluated", "In the population",
        "Carried over", "Best reward",
    ]  # fmt: skip
    hint = "Rewards of different rounds are of different objectives."
    return panel("Rounds", table(heads, rows, numeric=5), hint)


def _reward_chart(tables: Mapping[int, pd.DataFrame]) -> str:
    chart = rounds_chart(_by_round(tables, "reward"), "Reward by the round’s own objectives")
    return panel("Reward", chart) if chart else ""


def _objective_chart(data: SagaData, tables: Mapping[int, pd.DataFrame], name: str) -> str:
    spec = spec_of(data.by_name[name])
    if spec["kind"] == "population":
        values = {
            one.number: [found]
            for one in data.rounds
            if (found := (one.optimized or {}).get("population_values", {}).get(name)) is not None
        }
        chart = rounds_chart(values, _axis(spec))
    else:
        chart = rounds_chart(_by_round(tables, f"value_{name}"), _axis(spec))
    wish = {"maximize": "to be high", "minimize": "to be low"}.get(str(spec["direction"]), "a must")
    since = planned(data.by_name[name]).get("since", "?")
    return panel(name, chart, f"Since round {since}; {wish}.") if chart else ""


def _by_round(tables: Mapping[int, pd.DataFrame], column: str) -> dict[int, Floats]:
    return {n: t[column].to_numpy(np.float64) for n, t in tables.items() if column in t}


def _axis(spec: Mapping[str, Any]) -> str:
    return property_of(str(spec["name"]), str(spec.get("unit") or "")).axis


def _figures(data: SagaData) -> str:
    """What was counted, a column a round."""
    counted = [one for one in data.rounds if one.statistics is not None]
    told: dict[str, Mapping[str, Any]] = {}
    for one in counted:
        told.update({str(f["id"]): f for f in (one.statistics or {}).get("figures", ())})
    if not told:
        return ""
    rows = [
        [
            f"<code>{escape(key)}</code>",
            escape(str(figure["meaning"])),
            *(number(one.figures.get(key)) for one in counted),
        ]
        for key, figure in told.items()
    ]
    heads = ["Figure", "Meaning", *(f"Round {one.number}" for one in counted)]
    body = table(heads, rows, numeric=len(counted))
    return f"<details><summary>Everything that was counted</summary>{body}</details>"


def front(data: SagaData) -> str:
    """What was picked, and the crystals that no other surpasses in all objectives at once."""
    path = data.directory / FINAL
    if path.exists():
        found, objectives = read_table(path, data.notices), list(data.by_name.values())
        source = "all crystals of the campaign, on every objective that ever was in force"
    else:
        done = [one for one in data.rounds if one.optimized is not None]
        if not done:
            return empty("No round has found crystals yet.")
        found, objectives = data.population(done[-1].number), list(done[-1].objectives)
        source = f"the population of round {done[-1].number}, on its objectives"
    scored = [o for o in objectives if _is_scored(o) and f"value_{name_of(o)}" in found]
    if not len(found) or not scored:
        return _chosen(data, found) + empty("No crystal has a value of every objective yet.")
    held = on_front(scores(found, scored))
    lead = (
        f'<p class="lead">The Pareto set of {source}: no other crystal scores as well in every '
        "objective and better in one. It is coloured.</p>"
    )
    charts = _front_charts(found, scored, held)
    return lead + _chosen(data, found) + charts + _front_table(found, scored, held)


def scores(found: pd.DataFrame, objectives: Sequence[Mapping[str, Any]]) -> Floats:
    """Scores in [0, 1], as the rounds' rewards have them; shape ``(crystals, objectives)``.

    Args:
        found: A population.
        objectives: Implemented, of candidates, each with a column in ``found``.
    """
    columns = []
    for objective in objectives:
        values = found[f"value_{name_of(objective)}"].to_numpy(np.float64)
        low, high = float(objective["low"]), float(objective["high"])
        rising = np.clip((values - low) / (high - low), 0.0, 1.0)
        falls = spec_of(objective)["direction"] == "minimize"
        columns.append(1.0 - rising if falls else rising)
    return np.column_stack(columns)


def on_front(scored: Floats) -> NDArray[np.bool_]:
    """Which rows no other surpasses: as good in every column and better in one; NaN never is."""
    whole = np.isfinite(scored).all(axis=1)
    front = np.zeros(len(scored), dtype=bool)
    for place in np.flatnonzero(whole):
        others = scored[whole]
        as_good = (others >= scored[place]).all(axis=1)
        front[place] = not (as_good & (others > scored[place]).any(axis=1)).any()
    return front


def _is_scored(objective: Mapping[str, Any]) -> bool:
    told = objective.get("low") is not None and objective.get("high") is not None
    return spec_of(objective)["kind"] == "candidate" and told


def _front_charts(
    found: pd.DataFrame, objectives: Sequence[Mapping[str, Any]], held: NDArray[np.bool_]
) -> str:
    """The first objective against each of the others; nothing for a single one."""
    first, *others = objectives
    names = [str(formula) for formula in found[_FORMULA]]
    charts = []
    for other in others:
        pair = [f"value_{name_of(o)}" for o in (first, other)]
        labels = (_axis(spec_of(first)), _axis(spec_of(other)))
        picture = front_chart(found[pair].to_numpy(np.float64), held, labels, names)
        if picture:
            charts.append(panel(f"{name_of(other)} against {name_of(first)}", picture))
    return f'<div class="pair">{"".join(charts)}</div>' if charts else ""


def _front_table(
    found: pd.DataFrame, objectives: Sequence[Mapping[str, Any]], held: NDArray[np.bool_]
) -> str:
    kept = found[held]
    if "reward" in kept:
        kept = kept.sort_values(["reward", "id"], ascending=[False, True], kind="stable")
    rows = [_crystal(row, objectives) for row in kept.head(ROWS).to_dict("records")]
    more = len(kept) - len(rows)
    rest = f'<p class="hint">{more:,} more in the files.</p>' if more > 0 else ""
    heads = _heads(objectives)
    return panel("Pareto set", table(heads, rows, numeric=len(heads) - 3) + rest)


def _heads(objectives: Sequence[Mapping[str, Any]]) -> list[str]:
    axes = [_axis(spec_of(objective)) for objective in objectives]
    return ["Crystal", "Id", "Round", "Energy above hull (eV/atom)", *axes]


def _crystal(row: Mapping[Any, Any], objectives: Sequence[Mapping[str, Any]]) -> list[str]:
    values = [row.get(f"value_{name_of(objective)}") for objective in objectives]
    return [
        formula_html(str(row[_FORMULA])),
        f"<code>{escape(str(row['id']))}</code>",
        str(row.get("round", "–")),
        number(_number(row.get("e_above_hull_ev_per_atom"))),
        *(number(_number(value)) for value in values),
    ]


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _chosen(data: SagaData, found: pd.DataFrame) -> str:
    """What the selector picked, best first."""
    chosen = (data.of_kind("selected") or {}).get("chosen", ())
    if not chosen:
        return ""
    formulas = dict(zip(found["id"], found[_FORMULA], strict=True)) if "id" in found else {}
    rows = [
        [
            str(rank),
            formula_html(str(formulas.get(one["id"], "?"))),
            f"<code>{escape(str(one['id']))}</code>",
            escape(str(one.get("why") or "–")),
        ]
        for rank, one in enumerate(chosen, start=1)
    ]
    return panel("What the selector would make", table(["", "Crystal", "Id", "Why"], rows))


def held_out(data: SagaData) -> str:
    """How the campaign did by properties that nothing in it could aim at."""
    asked = data.settings.get("held_out") or ()
    if not asked:
        return empty(
            "No property was held out: nothing here says whether the objectives were right."
        )
    bounds = [_bound(one) for one in asked]
    lead = f'<p class="lead">No role was told of: {"; ".join(bounds)}.</p>'
    judged = data.of_kind("judged")
    if judged is None:
        return lead + empty("They are computed once, when the campaign is over.")
    rows = [
        [str(place), share(value, 1.0) if value is not None else "–"]
        for place, value in enumerate(judged.get("success", ()), start=1)
    ]
    parts = [lead]
    if rows:
        heads = ["Round", "Crystals that pass every bound"]
        parts.append(panel("Success by round", table(heads, rows, numeric=1)))
    parts.append(_held_out_charts(data, [str(one["name"]) for one in asked]))
    missing = {name: n for name, n in judged.get("missing", {}).items() if n}
    if missing:
        told = ", ".join(f"{int(n):,} of {escape(str(name))}" for name, n in missing.items())
        parts.append(f'<p class="hint">Values that could not be had: {told}.</p>')
    return "".join(parts)


def _bound(one: Mapping[str, Any]) -> str:
    low, high = one.get("min"), one.get("max")
    sides = [f"at least {low:g}"] if low is not None else []
    sides += [f"at most {high:g}"] if high is not None else []
    return f"<b>{escape(str(one['name']))}</b>" + (f" ({' and '.join(sides)})" if sides else "")


def _held_out_charts(data: SagaData, names: Sequence[str]) -> str:
    files = sorted((data.directory / HELD_OUT).glob("*.parquet"))
    charts = []
    for path in files:
        found = read_table(path, data.notices)
        for name in names:
            column = f"value_{name}"
            if column in found and "round" in found:
                groups = found.groupby("round")[column]
                by_round = {int(str(n)): group.to_numpy(np.float64) for n, group in groups}
                if chart := rounds_chart(by_round, name):
                    charts.append(panel(name, chart))
    return f'<div class="pair">{"".join(charts)}</div>' if charts else ""
