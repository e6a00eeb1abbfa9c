"""A periodic table as a heat map: how often each element occurs in a set of crystals.

Optimisers that fool a potential do it with elements it has seen little of; this is where it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from ray_matdesign.config.elements import NOBLE_GASES, RADIOACTIVE, SYMBOLS

SUSPECTS = frozenset((*NOBLE_GASES, *RADIOACTIVE))
"""Symbols outlined where they occur."""

CELL, GAP = 29.0, 2.0
_PERIOD_STARTS = (1, 3, 11, 19, 37, 55, 87)


def place(number: int) -> tuple[int, int]:
    """Row and column of an element, from 0; lanthanides and actinides in rows 7 and 8.

    Lanthanum and actinium head the rows below; lutetium and lawrencium stand in group 3.
    """
    if 57 <= number <= 70:
        return 7, number - 57 + 2
    if 89 <= number <= 102:
        return 8, number - 89 + 2
    row = max(k for k, start in enumerate(_PERIOD_STARTS) if number >= start)
    step = number - _PERIOD_STARTS[row]
    if row == 0:
        return 0, 0 if number == 1 else 17
    if row in (1, 2):
        return row, step if step < 2 else step + 10
    if row in (3, 4):
        return row, step
    return row, step if step < 2 else step - 14


def periodic_table_svg(shares: Mapping[int, float], ceiling: float, title: str) -> str:
    """Draws the table.

    Args:
        shares: Share of crystals holding each element, in [0, 1], by atomic number.
        ceiling: Share that gets the full colour; the same for tables to be compared.
        title: What the crystals are, for screen readers.
    """
    cells = []
    for number in range(1, 104):
        row, column = place(number)
        x = column * (CELL + GAP)
        y = row * (CELL + GAP) + (8 if row >= 7 else 0)
        box = f'x="{x:.0f}" y="{y:.0f}" width="{CELL:g}" height="{CELL:g}" rx="3"'
        share = shares.get(number, 0.0)
        depth = min(1.0, share / ceiling) if ceiling else 0.0
        # The square root keeps rare elements visible.
        opacity = depth**0.5
        kind = "ink-inverse" if opacity > 0.62 else ("ink" if share else "ink-faint")
        warning = " warned" if share and SYMBOLS[number] in SUSPECTS else ""
        cells.append(
            f"<g><title>{SYMBOLS[number]}: {100 * share:.1f} % of crystals</title>"
            f'<rect class="cell" {box}/>'
            f'<rect class="heat{warning}" {box} fill-opacity="{opacity:.2f}"/>'
            f'<text class="{kind}" x="{x + CELL / 2:.1f}" y="{y + 19:.0f}" '
            f'text-anchor="middle">{SYMBOLS[number]}</text></g>'
        )
    width, height = 18 * (CELL + GAP), 9 * (CELL + GAP) + 8
    frequent = sorted(shares.items(), key=lambda item: -item[1])[:6]
    told = ", ".join(f"{SYMBOLS[z]} {100 * share:.0f} %" for z, share in frequent)
    label = escape(f"{title}; most frequent: {told or 'none'}")
    return (
        f'<svg class="periodic" viewBox="-2 -2 {width + 4:g} {height + 4:g}" role="img" '
        f'aria-label="{label}">{"".join(cells)}</svg>'
    )
