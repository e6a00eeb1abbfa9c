"""Lists of formulas to learn from: read from tables, and made up."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from hashlib import blake2b
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.crystals.validity import smact_valid
from ray_matdesign.rewards.predictors.composition import HEAVIEST

if TYPE_CHECKING:
    import pandas as pd

Formula = tuple[tuple[int, int], ...]
"""Atomic numbers, ascending, each with its atoms in one formula unit."""

MOST_ATOMS = 60
"""Formula units with more atoms are left out of the training data."""
MOST_OF_ONE, MOST_MADE_UP = 8, 20
"""Atoms in a made-up formula unit, of one element and in all; the generator makes no more."""
_NEVER_MADE_UP = frozenset({2, 10, 18, 36, 54, 86, 43, 61, 84, 85, 87, 88, 89, 91, 93, 94})
"""Noble gases and elements without long-lived isotopes: too easily told from real compounds."""


def formula_of(counts: dict[int, int]) -> Formula:
    """One formula unit of a cell's contents."""
    divisor = reduce(gcd, counts.values())
    return tuple(sorted((z, n // divisor) for z, n in counts.items()))


def read_formulas(path: str | Path) -> set[Formula]:
    """Formulas of a table.

    Left out are fractional stoichiometries, elements above :data:`HEAVIEST`, more than
    :data:`MOST_ATOMS` atoms, and compounds of both carbon and hydrogen, which are mostly organic.

    Args:
        path: ``.csv`` or ``.csv.gz`` with a ``formula`` column, e.g. ``Ag(AuS)2``.

    Raises:
        ValueError: No such column, or a row whose formula cannot be read.
    """
    table = _table(path)
    parsed = (_parsed(text, f"{path}: row {k}") for k, text in enumerate(table["formula"], 1))
    return {formula for formula in parsed if formula is not None}


def read_labelled_formulas(path: str | Path) -> list[tuple[Formula, float]]:
    """Formulas with band gaps, in the order of the table; the same are left out.

    Args:
        path: ``.csv`` or ``.csv.gz`` with columns ``formula`` and ``band_gap`` or ``target``, eV.

    Raises:
        ValueError: No such column, a formula that cannot be read, or a gap that is no number.
    """
    table = _table(path)
    column = next((name for name in ("band_gap", "target") if name in table), None)
    if column is None:
        raise ValueError(f"{path}: no column 'band_gap' or 'target' among {', '.join(table)}")
    rows = []
    for number, (text, gap) in enumerate(zip(table["formula"], table[column], strict=True), 1):
        formula = _parsed(text, f"{path}: row {number}")
        if formula is not None:
            rows.append((formula, float(gap)))
    return rows


def made_up(n: int, known: Iterable[Formula], *, seed: int) -> list[Formula]:
    """Random formulas that are not known, of which half satisfy SMACT's rules.

    Elements are drawn alike, one to eight atoms of each.

    Args:
        n: How many, all different.
        known: Not to be among them.
        seed: Another seed, other formulas.
    """
    rng = random.Random(seed)
    elements = [z for z in range(1, HEAVIEST + 1) if z not in _NEVER_MADE_UP]

    def draw() -> dict[int, int]:
        size = rng.choices([2, 3, 4, 5], [0.2, 0.5, 0.25, 0.05])[0]
        return {z: rng.randint(1, MOST_OF_ONE) for z in rng.sample(elements, size)}

    return _collected(n, draw, known)


def altered(
    n: int, originals: Sequence[Formula], known: Iterable[Formula], *, seed: int
) -> list[Formula]:
    """Known formulas with one or two changes, of which half satisfy SMACT's rules.

    A change exchanges an element or, one time in three, sets how many atoms of it there are. New
    elements are drawn as often as they occur, so that the elements do not tell these from real
    compounds, only what goes with what, and in which proportion.

    Args:
        n: How many, all different.
        originals: Formulas to start from.
        known: Not to be among them.
        seed: Another seed, other formulas.
    """
    rng = random.Random(seed)
    compounds = [formula for formula in originals if len(formula) > 1]
    drawn = [z for formula in compounds for z, _ in formula if z not in _NEVER_MADE_UP]

    def draw() -> dict[int, int]:
        counts = dict(rng.choice(compounds))
        for _ in range(rng.choice((1, 1, 2))):
            old, new = rng.choice(list(counts)), rng.choice(drawn)
            if rng.random() < 1.0 / 3.0:
                counts[old] = rng.randint(1, MOST_OF_ONE)
            elif new not in counts:
                counts[new] = counts.pop(old)
        return counts

    return _collected(n, draw, known)


def _collected(
    n: int, draw: Callable[[], dict[int, int]], known: Iterable[Formula]
) -> list[Formula]:
    """Draws until there are ``n`` new formulas, every other one by SMACT's rules."""
    taken = set(known)
    found: list[Formula] = []
    while len(found) < n:
        counts = draw()
        if sum(counts.values()) > MOST_MADE_UP:
            continue
        formula = formula_of(counts)
        if formula not in taken and smact_valid(counts) == (len(found) % 2 == 0):
            taken.add(formula)
            found.append(formula)
    return found


def _table(path: str | Path) -> pd.DataFrame:
    import pandas as pd

    # Without keep_default_na sodium nitride, NaN, would be a missing value.
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if "formula" not in table:
        raise ValueError(f"{path}: no column 'formula' among {', '.join(table)}")
    return table


def _parsed(text: str, where: str) -> Formula | None:
    from pymatgen.core import Composition

    try:
        composition = Composition(text)
    except ValueError as error:
        raise ValueError(f"{where}: {text!r} is no formula") from error
    if not composition:
        raise ValueError(f"{where}: no formula")
    amounts = {ATOMIC_NUMBERS[element.symbol]: float(n) for element, n in composition.items()}
    if any(abs(n - round(n)) > 1e-6 for n in amounts.values()):
        return None
    formula = formula_of({z: round(n) for z, n in amounts.items()})
    present = {z for z, _ in formula}
    if max(present) > HEAVIEST or {1, 6} <= present or sum(n for _, n in formula) > MOST_ATOMS:
        return None
    return formula


def held_back(formula: Formula, fraction: float, *, seed: int) -> bool:
    """Whether a formula belongs to the share that is not trained on; it stays there for good."""
    digest = blake2b(f"{seed}:{formula}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64 < fraction
