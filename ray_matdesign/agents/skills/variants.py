"""Other values for the parameters of a program, near those that worked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import JsonValue

from ray_matdesign.agents.skills.lifting import Parameter
from ray_matdesign.agents.skills.skill import Inputs
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS

_ALIKE = (
    "Li Na K Rb Cs",
    "Be Mg Ca Sr Ba Zn",
    "Cu Ag Au Ni Pd Pt Al Pb",
    "Fe Co Ni Mn Cr",
    "Ti Zr Hf",
    "V Nb Ta Mo W",
    "C Si Ge Sn",
    "N P As Sb",
    "O S Se Te",
    "F Cl Br I",
    "B Al Ga In",
    "La Ce Pr Nd Y Sc",
    "He Ne Ar Kr Xe",
)
"""Elements that form like crystals."""

_SYMBOL = re.compile(r"[A-Z][a-z]?")
_LARGEST_STEP = 0.04


def resampled(parameters: Sequence[Parameter], n: int, seed: int) -> Iterator[Inputs]:
    """Sets of values that differ from the program's own, at most ``n``, no two the same.

    Numbers move by some per cent, whole numbers by one or two, elements to others of their kind, in
    formulas too. What is none of these keeps its value.

    Args:
        parameters: With the values that worked.
        n: How many sets.
        seed: Of the choice.
    """
    rng = np.random.default_rng(seed)
    seen = [{one.name: one.value for one in parameters}]
    for _ in range(4 * n):
        drawn = {one.name: _other(one.value, rng) for one in parameters}
        if drawn not in seen:
            seen.append(drawn)
            yield drawn
        if len(seen) > n:
            return


def _other(value: JsonValue, rng: np.random.Generator) -> JsonValue:
    match value:
        case bool():
            return value
        case int():
            step = int(rng.integers(1, 3))
            return value - step if value > 10 and rng.random() < 0.5 else value + step
        case float():
            digits = max(len(f"{value:.12g}".replace(".", "").replace("-", "").strip("0")), 3)
            moved = value * (1.0 + rng.uniform(0.01, _LARGEST_STEP) * rng.choice([-1.0, 1.0]))
            return float(f"{moved:.{digits}g}") if value else 0.01
        case str():
            return _other_elements(value, rng)
        case list():
            return [_other(item, rng) for item in value]
    return value


def _other_elements(text: str, rng: np.random.Generator) -> str:
    """The text with one of its elements replaced, if it is a symbol or a formula."""
    symbols = _SYMBOL.findall(text)
    if not re.fullmatch(r"(?:[A-Z][a-z]?[\d.]*)+", text) or set(symbols) - ATOMIC_NUMBERS.keys():
        return text
    old = symbols[int(rng.integers(len(symbols)))]
    alike = [
        symbol
        for family in _ALIKE
        if old in family.split()
        for symbol in family.split()
        if symbol not in symbols
    ]
    if not alike:
        return text
    new = alike[int(rng.integers(len(alike)))]
    return _SYMBOL.sub(lambda found: new if found[0] == old else found[0], text)
