"""The best crystals of a run: pictures, figures and downloads."""

from __future__ import annotations

from html import escape

import numpy as np

from ray_matdesign.crystals.codec import CodecError
from ray_matdesign.report.exports import Hit, cif_uri, extxyz_uri, hits_from_table
from ray_matdesign.report.picture import conventional_cell, crystal_svg, space_group
from ray_matdesign.report.run_data import RunData
from ray_matdesign.report.summary import best_crystals, sun_hits
from ray_matdesign.report.wording import (
    Property,
    formula_html,
    number,
    space_group_html,
)

CARDS = 8
ROWS = 24
SYMPREC_ANG = 0.1
MAX_EMBEDDED_CHARACTERS = 1_900_000
"""Browsers refuse to download longer ``data:`` addresses (2 MB in Chromium)."""


def gallery(run: RunData) -> str:
    """Cards of the best crystals, a table of more, and downloads; HTML."""
    try:
        best = hits_from_table(best_crystals(run, ROWS))
    except CodecError as error:
        return _empty(f"The best crystals cannot be shown: {error}.")
    if not best:
        return _empty("No crystal has been evaluated yet, so there is none to show.")
    cards = "".join(_card(rank, hit, run.properties) for rank, hit in enumerate(best[:CARDS], 1))
    rest = _table(best, run.properties) if len(best) > CARDS else ""
    return (
        '<p class="lead">The best evaluated crystal of each formula, by reward, then by energy '
        "above hull. Drawn in the symmetrised conventional cell; space groups were found with a "
        f"tolerance of {SYMPREC_ANG:g} Å. CIFs hold the relaxed cell as computed.</p>"
        f'{_downloads(run)}<div class="gallery">{cards}</div>{rest}'
    )


def _downloads(run: RunData) -> str:
    """A link to all stable, unique and novel crystals, as far as a browser can take them."""
    try:
        hits = hits_from_table(sun_hits(run))
    except CodecError as error:
        return _empty(f"No download of all crystals: {error}.")
    if not hits:
        return ""
    address, told = extxyz_uri(hits), f"All {len(hits):,} S.U.N. crystals"
    if len(address) > MAX_EMBEDDED_CHARACTERS:
        chosen = sorted(hits, key=lambda hit: -np.inf if hit.reward is None else -hit.reward)
        count = len(hits) * MAX_EMBEDDED_CHARACTERS // len(address) * 9 // 10
        address = extxyz_uri(chosen[:count])
        told = f"{count:,} of {len(hits):,} S.U.N. crystals (what fits into a page)"
    name = f"{run.config.name}-sun.extxyz.gz"
    return (
        f'<a class="button" download="{escape(name)}" href="{address}">'
        f"{told}, extended XYZ, gzipped</a>"
    )


def _card(rank: int, hit: Hit, properties: tuple[Property, ...]) -> str:
    cell = conventional_cell(hit.crystal, SYMPREC_ANG)
    symbol, group = space_group(hit.crystal, SYMPREC_ANG)
    figures = "".join(
        f'<dt>{escape(prop.label)}</dt><dd class="key">'
        f"{number(hit.values.get(prop.name))}{escape(prop.suffix)}</dd>"
        for prop in properties
    )
    return (
        f'<article class="card"><h3><span class="rank">{rank}</span>'
        f"{formula_html(hit.crystal.formula)}</h3>"
        f'<p class="group"><span class="sg">{space_group_html(symbol)}</span> (no. {group}), '
        f"{_atoms(len(hit.crystal))}</p>"
        f"{crystal_svg(cell, name=f'cell{rank}')}<dl>{figures}"
        f"<dt>Reward</dt><dd>{number(hit.reward)}</dd>"
        f"<dt>E above hull</dt><dd>{_hull(hit)} eV/atom</dd>"
        f"<dt>Found in loop</dt><dd>{hit.loop}</dd></dl>"
        f'<div class="get">{_cif_link(hit, "Download CIF")}</div></article>'
    )


def _table(best: list[Hit], properties: tuple[Property, ...]) -> str:
    heads = "".join(f'<th class="n" scope="col">{escape(prop.axis)}</th>' for prop in properties)
    rows = "".join(
        f'<tr><td class="n">{rank}</td><td>{formula_html(hit.crystal.formula)}</td>'
        f'<td class="whole">{_group_cell(hit)}</td>'
        + "".join(f'<td class="n">{number(hit.values.get(p.name))}</td>' for p in properties)
        + f'<td class="n">{number(hit.reward)}</td><td class="n">{_hull(hit)}</td>'
        f'<td class="n">{hit.loop}</td><td>{_cif_link(hit, "CIF")}</td></tr>'
        for rank, hit in enumerate(best, 1)
    )
    return (
        f'<div class="panel table-scroll"><h3>The best {len(best)} formulas</h3><table><thead><tr>'
        '<th class="n" scope="col">Rank</th><th scope="col">Formula</th>'
        f'<th scope="col">Space group</th>{heads}<th class="n" scope="col">Reward</th>'
        '<th class="n" scope="col">E above hull (eV/atom)</th><th class="n" scope="col">Loop</th>'
        f'<th scope="col">File</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _group_cell(hit: Hit) -> str:
    symbol, group = space_group(hit.crystal, SYMPREC_ANG)
    return f'<span class="sg">{space_group_html(symbol)}</span> ({group})'


def _cif_link(hit: Hit, text: str) -> str:
    formula = escape(hit.crystal.formula)
    return (
        f'<a download="{formula}-{escape(hit.key)}.cif" href="{cif_uri(hit)}" '
        f'aria-label="Download {formula} as CIF">{text}</a>'
    )


def _hull(hit: Hit) -> str:
    value = hit.e_above_hull_ev_per_atom
    return f"{value:.3f}".replace("-", "−") if np.isfinite(value) else "–"


def _atoms(count: int) -> str:
    return "1 atom" if count == 1 else f"{count} atoms"


def _empty(text: str) -> str:
    return f'<p class="empty">{escape(text)}</p>'
