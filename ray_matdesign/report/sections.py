"""The report's sections below its header, each a piece of HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from ray_matdesign.config.elements import NOBLE_GASES, RADIOACTIVE, SYMBOLS
from ray_matdesign.config.loading import dump
from ray_matdesign.report.figures import (
    distribution_chart,
    distribution_legend,
    fractions_chart,
    health_charts,
    learning_chart,
    reward_chart,
)
from ray_matdesign.report.periodic_table import periodic_table_svg
from ray_matdesign.report.run_data import RunData
from ray_matdesign.report.summary import (
    Window,
    element_shares,
    funnel,
    rejections,
    windows,
)
from ray_matdesign.report.wording import duration, share

NO_CURVE = "A learning curve needs two finished loops with evaluated crystals."
NO_TREND = "A trend needs two finished loops."
REJECTION_ROWS = 12
COST_CLASSES = {
    "cheap": "from composition or structure alone (cheap)",
    "mlip": "with the potential or a neural network (mlip)",
    "dft": "by density functional theory (dft)",
}
"""What a scorer's cost class means."""


def empty(text: str) -> str:
    """A placeholder that says why there is nothing."""
    return f'<p class="empty">{escape(text)}</p>'


def learning(run: RunData) -> str:
    """Learning curves, reward and distributions."""
    pairs = list(zip(run.config.objective.terms, run.properties, strict=True))
    curves = [(prop, learning_chart(run, term, prop)) for term, prop in pairs]
    if not any(chart for _, chart in curves):
        return empty(NO_CURVE)
    wide = "".join(
        f'<div class="panel"><h3>{escape(prop.label)} of the evaluated crystals</h3>'
        '<p class="hint">Line: mean; band: 10th to 90th percentile of each loop'
        f"{_smoothing(run)}.</p>{chart}</div>"
        for prop, chart in curves
        if chart
    )
    small = []
    for term, prop in pairs:
        chart = distribution_chart(run, term, prop)
        if chart:
            legend = "".join(
                f'<li class="{kind}">{escape(text)}</li>'
                for kind, text in distribution_legend(run, prop)
            )
            small.append(
                f'<div class="panel"><h3>{escape(prop.label)}: first and last loops</h3>'
                f'<ul class="keys">{legend}</ul>{chart}</div>'
            )
    reward = reward_chart(run)
    if reward:
        small.append(
            '<div class="panel"><h3>Reward</h3><p class="hint">Unpenalised. Line: mean; band: '
            f"10th to 90th percentile; dashed: best of each loop.</p>{reward}</div>"
        )
    return f'{wide}<div class="pair">{"".join(small)}</div>'


def _smoothing(run: RunData) -> str:
    if len(run.metrics) < 15:
        return ""
    return ", both as moving averages over five loops; dots: mean of single loops"


def stability(run: RunData) -> str:
    """S.U.N. over loops, the funnel of the run and the reasons of rejection."""
    chart = fractions_chart(run)
    over_loops = (
        '<div class="panel"><h3>Share of crystals that pass each test, and all (S.U.N.)</h3>'
        '<p class="hint">Stable, unique and novel are judged after relaxation, one by one'
        f"{', moving averages over five loops' if len(run.metrics) >= 15 else ''}. "
        f"Dots: S.U.N. of single loops.</p>{chart}</div>"
        if chart
        else empty(NO_TREND)
    )
    stages = funnel(run)
    if not stages:
        return over_loops + empty("No candidates are on file yet.")
    total = stages[0].count
    rows = "".join(
        f"<tr{' class=last' if stage is stages[-1] else ''}>"
        f"<td>{stage.name}<small>{escape(stage.meaning)}</small></td>"
        f'<td class="bar"><i style="width:{100 * stage.count / total:.1f}%"></i></td>'
        f'<td class="n">{stage.count:,}</td><td class="n">{share(stage.count, total)}</td></tr>'
        for stage in stages
    )
    return (
        f'{over_loops}<div class="pair tables"><div class="panel">'
        "<h3>The whole run as a funnel</h3>"
        '<p class="hint">Each stage counts those that passed all stages above it.</p>'
        f'<table class="funnel">{rows}</table>{_spending(run)}</div>{_rejections(run)}</div>'
    )


def _spending(run: RunData) -> str:
    """What the properties took, by cost class; nothing for runs that did not count it."""
    last = run.metrics[-1] if run.metrics else {}
    counts, recalled = last.get("computed_by_cost_total"), last.get("recalled_total")
    if not isinstance(counts, Mapping) or not isinstance(recalled, Mapping):
        return ""
    kinds = [
        f"{count:,} {COST_CLASSES.get(str(cost), escape(str(cost)))}"
        for cost, count in counts.items()
        if count
    ]
    saved = sum(recalled.values())
    cached = f"; {saved:,} more came from the cache" if saved else ""
    words = f"{', '.join(kinds) or 'none'}{cached}"
    return f'<p class="hint">Property values computed, filters included: {words}.</p>'


def _rejections(run: RunData) -> str:
    causes = rejections(run)
    shown, rest = causes[:REJECTION_ROWS], causes[REJECTION_ROWS:]
    rows = "".join(
        f'<tr><td>{escape(outcome)}</td><td>{escape(reason)}</td><td class="n">{count:,}</td></tr>'
        for outcome, reason, count in shown
    )
    if rest:
        total = sum(count for _, _, count in rest)
        rows += (
            f'<tr><td>other</td><td>{len(rest)} rarer causes</td><td class="n">{total:,}</td></tr>'
        )
    body = (
        '<table><thead><tr><th scope="col">Outcome</th><th scope="col">Reason</th>'
        f'<th class="n" scope="col">Crystals</th></tr></thead><tbody>{rows}</tbody></table>'
        if rows
        else "<p>No rejection is on record.</p>"
    )
    return (
        '<div class="panel"><h3>Why crystals went no farther</h3>'
        f'<p class="hint">One reason each, the first that applied; # stands for numbers.</p>{body}'
        "</div>"
    )


def elements(run: RunData) -> str:
    """Which elements the policy uses, at the start and at the end."""
    pair = windows(run)
    if pair is None:
        return empty("To compare the first and the last loops takes two of them.")
    before, after = (element_shares(window.table) for window in pair)
    ceiling = max([*before.values(), *after.values(), 1e-9])
    panels = "".join(
        f'<div class="panel"><h3>{escape(window.name.capitalize())}</h3>'
        f'<p class="hint">{len(window.table):,} sampled crystals; full colour: '
        f"{100 * ceiling:.0f} % hold the element.</p>"
        f"{periodic_table_svg(shares, ceiling, f'Elements in {window.name}')}</div>"
        for window, shares in zip(pair, (before, after), strict=True)
    )
    return (
        '<p class="lead">Share of all sampled crystals that hold an element. A policy that '
        "fools its potential tends to do so with elements the potential has seen little of; "
        "noble gases and radioactive elements are outlined where they occur."
        f'</p><div class="pair">{panels}</div>'
        f'<div class="panel">{_element_changes(before, after)}{_suspects(pair)}</div>'
    )


def _element_changes(before: Mapping[int, float], after: Mapping[int, float]) -> str:
    changes = sorted(
        ((after.get(z, 0.0) - before.get(z, 0.0), z) for z in {*before, *after}), reverse=True
    )
    gained = [(d, z) for d, z in changes if d > 0.005][:8]
    lost = [(d, z) for d, z in changes[::-1] if d < -0.005][:8]

    def listed(entries: list[tuple[float, int]]) -> str:
        return ", ".join(f"{SYMBOLS[z]}&nbsp;{100 * d:+.0f}".replace("-", "−") for d, z in entries)

    return (
        f"<p><b>Gained most</b> (percentage points): {listed(gained) or 'none'}.<br>"
        f"<b>Lost most</b>: {listed(lost) or 'none'}.</p>"
    )


def _suspects(pair: tuple[Window, Window]) -> str:
    sentences = []
    for name, group in (
        ("noble gases", NOBLE_GASES),
        ("radioactive elements", RADIOACTIVE),
    ):
        symbols = set(group)
        counts = []
        for window in pair:
            found = window.table["formula"].dropna().str.findall(r"[A-Z][a-z]?")
            counts.append(share(int(sum(bool(symbols & set(f)) for f in found)), len(found)))
        sentences.append(f"Crystals with {name}: {counts[0]} at the start, {counts[1]} at the end.")
    return f"<p>{' '.join(sentences)}</p>"


def training(run: RunData) -> str:
    """Health of the training, and where the time went."""
    charts = health_charts(run)
    grid = "".join(f"<div><h3>{escape(title)}</h3>{svg}</div>" for title, svg in charts)
    panel = (
        f'<div class="panel"><div class="trio">{grid}</div></div>' if charts else empty(NO_TREND)
    )
    return panel + _timings(run)


def _timings(run: RunData) -> str:
    totals: dict[str, float] = {}
    for record in run.metrics:
        for stage, seconds in (record.get("timings") or {}).items():
            totals[stage] = totals.get(stage, 0.0) + float(seconds)
    whole = sum(totals.values())
    if not whole:
        return ""
    bars = "".join(f'<i style="width:{100 * s / whole:.2f}%"></i>' for s in totals.values())
    words = "; ".join(
        f"{escape(stage)} {duration(seconds)} ({share(seconds, whole)})"
        for stage, seconds in totals.items()
    )
    return (
        '<div class="panel"><h3>Where the time went</h3>'
        f'<div class="stack" aria-hidden="true">{bars}</div><p class="hint">{words}</p></div>'
    )


def caveats(run: RunData) -> str:
    """What the numbers do and do not mean."""
    potential = escape(str(run.objective.get("potential") or run.config.potential.name))
    limit = run.config.stability.max_e_above_hull_ev_per_atom
    told = {prop.name: prop for prop in (*run.properties, *run.limited)}
    sources = "".join(
        f"<li><b>{escape(prop.label)}</b>: {escape(prop.source)}.</li>"
        for prop in told.values()
        if prop.source
    )
    return (
        '<ul class="caveats">'
        f"<li><b>Energy above hull</b> is the potential's ({potential}): its energy at rest "
        f"against the run's reference hull ({escape(run.config.stability.reference)}). Errors of "
        "tens of meV/atom are usual, larger ones far from the potential's training data. Confirm "
        "crystals of interest with DFT.</li>"
        f"<li><b>S.U.N.</b> (stable within {limit:g} eV/atom, unique within its loop, novel "
        "against the reference set) is more lenient than DFT against a complete hull. Only "
        "figures from the same pipeline compare with each other.</li>"
        "<li><b>No dynamical stability</b> is implied: phonons, finite temperature and synthesis "
        "routes are not considered.</li>"
        "<li><b>Failed evaluations</b> are billed, and left out of means and distributions.</li>"
        f"{sources}</ul>"
    )


def provenance(run: RunData) -> str:
    """Versions and the resolved configuration."""
    packages = run.versions.get("packages")
    table = ""
    if isinstance(packages, Mapping):
        rows = "".join(
            f"<tr><td>{escape(str(name))}</td><td>{escape(str(version))}</td></tr>"
            for name, version in packages.items()
        )
        table = f"<details><summary>Package versions</summary><table>{rows}</table></details>"
    return (
        f"{table}<details><summary>Resolved configuration</summary>"
        f"<pre>{escape(dump(run.config))}</pre></details>"
    )
