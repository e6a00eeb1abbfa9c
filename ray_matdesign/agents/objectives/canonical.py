"""One form for all ways to write the same thing: what specifications are compared by."""

from __future__ import annotations

import re
from typing import Any

from ray_matdesign.agents.objectives import language as lang
from ray_matdesign.agents.objectives.groups import members
from ray_matdesign.agents.objectives.registered import REGISTERED
from ray_matdesign.agents.objectives.units import Unit

_DIGITS = 9
_MIRRORED = {"greater": "less", "at_least": "at_most"}
_COMMUTE = {"add", "multiply", "minimum", "maximum", "all", "any"}
_WEAK = (
    "a an and as average averaged candidate cell compound computed crystal crystals estimated "
    "for from in its material mean of overall predicted relaxed structure that the value "
    "weighted with"
)
_WEAK_WORDS = frozenset(_WEAK.split())
_DIRECTING = "above below by for free from minus not over per ratio than to without"
_DIRECTED = frozenset(_DIRECTING.split())
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.]*[A-Za-z])")


def canonical_formula(node: lang.AnyNode) -> Any:
    """A tree of plain lists that is equal for expressions equal by simple rules.

    Order and nesting of sums, products, least, greatest, all and any do not matter, nor does the
    direction in which a comparison is written, what groups a share is put together from, or the
    unit a constant is written in. Algebra beyond that is not attempted: two expressions may be
    equal and told apart, never the reverse.

    Args:
        node: Any expression.
    """
    inner = [canonical_formula(child) for _, child in lang.children(node)]
    match node:
        case lang.Number():
            unit = Unit.parse(node.unit)
            return ["number", _rounded(node.value * unit.scale), list(unit.powers)]
        case lang.Share():
            return ["share", node.weights, sorted(members(node.of))]
        case lang.CompositionDistance():
            return [node.op, _formula(node.formula)]
        case lang.InUnit():
            unit = Unit.parse(node.unit)
            return [node.op, _rounded(unit.scale), list(unit.powers), *inner]
        case lang.Comparison(op="greater" | "at_least"):
            return [_MIRRORED[node.op], *reversed(inner)]
        case lang.Comparison(op="equal"):
            return ["equal", *_sorted(inner)]
        case lang.ElementStatistic(statistic="min" | "max" | "range"):
            return [node.op, node.property, node.statistic]  # weights have no say
        case lang.Function(op="sqrt"):
            return ["power", 0.5, *inner]
        case lang.Power():
            return ["power", _rounded(node.exponent), *inner]
    if node.op in _COMMUTE:
        flat = [part for one in inner for part in (one[1:] if one[0] == node.op else [one])]
        return [node.op, *_sorted(flat)]
    settings = [
        _rounded(value) if isinstance(value, float) else value
        for name in type(node).model_fields
        if name != "op" and isinstance(value := getattr(node, name), str | float | int)
    ]
    return [node.op, *settings, *inner]


def canonical_unit(text: str) -> list[Any]:
    """Scale and powers, the same for all spellings of a unit; logarithms keep their wording.

    Raises:
        UnitError: A symbol is unknown.
    """
    unit = Unit.parse(text)
    logarithm = " ".join(text.split()) if text.strip().startswith(("log", "ln")) else ""
    return [_rounded(unit.scale), list(unit.powers), logarithm]


def canonical_quantity(text: str) -> str:
    """Name of a quantity without spelling: the scorer's where it is one of its known wordings."""
    words = _words(text)
    return _KNOWN.get(words, "_".join(words))


def quantity_words(text: str) -> frozenset[str]:
    """The words that carry a quantity's meaning."""
    return frozenset(canonical_quantity(text).split("_"))


def numbers_in(text: str) -> list[float]:
    """Numbers in a text, sorted; thresholds and coefficients are no matter of wording."""
    return sorted({_rounded(float(found)) for found in _NUMBER.findall(text)})


def _words(text: str) -> tuple[str, ...]:
    parts = re.findall(r"[a-z]+|\d+", text.lower().replace("'s", ""))
    words = [_singular(part) for part in parts if part not in _WEAK_WORDS]
    # "bulk to shear" is not "shear to bulk", whereas "share of carbon" is "carbon share".
    return tuple(words if _DIRECTED & set(words) else sorted(words))


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] not in "su" else word


_KNOWN = {
    _words(wording): name for name, one in REGISTERED.items() for wording in (name, *one.wordings)
}


def _formula(text: str) -> list[list[float]]:
    from ray_matdesign.agents.objectives.analysis import parse_formula

    return [[z, _rounded(share)] for z, share in sorted(parse_formula(text).items())]


def _sorted(parts: list[Any]) -> list[Any]:
    return sorted(parts, key=repr)


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}") + 0.0
