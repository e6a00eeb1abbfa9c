"""Whether an answer is right: its type, then every number and string of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import JsonValue

from ray_matdesign.agents.benchmark.tolerance import Tolerance
from ray_matdesign.agents.objectives.units import Unit, UnitError

_ROUNDING = 1e-12
"""Two programs that do the same arithmetic in another order differ by so much."""

_MISTAKEN = (
    "meV", "eV", "kJ", "J", "nm", "A", "MPa", "GPa", "Pa", "eV/A^3", "eV/A^2", "J/m^2", "kg/m^3",
    "g/cm^3", "u/A^3", "A^2", "nm^2", "A^3", "nm^3",
)  # fmt: skip
"""Units an answer may be in instead of the one asked for."""


@dataclass(frozen=True)
class Verdict:
    """What a judge found.

    Attributes:
        right: Whether the answer counts.
        reason: In one line, what is wrong with it; it never tells the reference.
    """

    right: bool
    reason: str = ""


def judge(
    answer: JsonValue,
    reference: JsonValue,
    answer_type: str,
    tolerance: Tolerance,
    unit: str = "",
) -> Verdict:
    """Compares an answer with the reference.

    Args:
        answer: What the solver gave.
        reference: What it should be.
        answer_type: One of ``Task.answer_type``. A whole float is no integer, and an integer is a
            number; a boolean is neither.
        tolerance: How far it may be off, elementwise for lists and objects.
        unit: Of the answer. One that is right in another unit is wrong; the reason says so.
    """
    if (found := type_of(answer)) != answer_type and (found, answer_type) != ("integer", "number"):
        return Verdict(False, f"is of type {found}, not {answer_type}")
    reason = _difference(answer, reference, tolerance, "answer")
    if reason and (other := _mistaken_unit(answer, reference, tolerance, unit)):
        reason = f"right in {other}, asked for in {unit}"
    return Verdict(not reason, reason)


def type_of(value: object) -> str:
    """Name of a plain value's type, as tasks call it; that of anything else in Python."""
    if isinstance(value, bool):
        return "boolean"
    names = {int: "integer", float: "number", str: "string", list: "list", dict: "object"}
    return names.get(type(value), type(value).__name__)


def _difference(answer: JsonValue, reference: JsonValue, tolerance: Tolerance, where: str) -> str:
    """The first thing that is wrong, or nothing."""
    if isinstance(reference, dict):
        if not isinstance(answer, dict):
            return f"{where} is no object"
        if missing := sorted(reference.keys() - answer.keys()):
            return f"{where} lacks {missing[0]!r}"
        if extra := sorted(answer.keys() - reference.keys()):
            return f"{where} has {extra[0]!r} too many"
        pairs = [(key, answer[key], reference[key]) for key in reference]
        found = (_difference(a, r, tolerance.of(k), f"{where}.{k}") for k, a, r in pairs)
        return next(filter(None, found), "")
    if isinstance(reference, list):
        if not isinstance(answer, list):
            return f"{where} is no list"
        if len(answer) != len(reference):
            return f"{where} has {len(answer)} elements, not as many as it should"
        both = enumerate(zip(answer, reference, strict=True))
        found = (_difference(a, r, tolerance.of(i), f"{where}[{i}]") for i, (a, r) in both)
        return next(filter(None, found), "")
    if isinstance(reference, bool) or reference is None:
        same = answer is reference
        return "" if same else f"{where} is {str(answer)[:40]}"
    if isinstance(reference, str):
        same = isinstance(answer, str) and _text(answer, tolerance) == _text(reference, tolerance)
        return "" if same else f"{where} is {str(answer)[:40]!r}"
    return _number_difference(answer, reference, tolerance, where)


def _number_difference(
    answer: JsonValue, reference: float, tolerance: Tolerance, where: str
) -> str:
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return f"{where} is no number"
    if not math.isfinite(answer):
        return f"{where} is not finite"
    off, bound = abs(answer - reference), tolerance.bound(reference)
    if off <= bound + _ROUNDING * max(1.0, abs(reference)):
        return ""
    return f"{where} is off by {off:.3g}, more than {bound:.3g}"


def _text(text: str, tolerance: Tolerance) -> str:
    return "".join(text.split()).casefold() if tolerance.text == "normalised" else text


def _mistaken_unit(answer: JsonValue, reference: JsonValue, tolerance: Tolerance, unit: str) -> str:
    """The unit in which the answer would be right; empty if there is none."""
    try:
        asked = Unit.parse(unit)
    except UnitError:
        return ""
    for name in _MISTAKEN:
        other = Unit.parse(name)
        if not asked.is_number and other.like(asked) and not other.same(asked):
            converted = _scaled(answer, other.factor_to(asked))
            if not _difference(converted, reference, tolerance, "answer"):
                return name
    return ""


def _scaled(value: JsonValue, factor: float) -> JsonValue:
    if isinstance(value, list):
        return [_scaled(each, factor) for each in value]
    if isinstance(value, dict):
        return {key: _scaled(each, factor) for key, each in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value * factor
    return value
