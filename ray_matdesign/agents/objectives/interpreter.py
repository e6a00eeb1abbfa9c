"""Evaluates expressions over a batch at once; a crystal without a value has a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.objectives import language as lang
from ray_matdesign.agents.objectives.analysis import analysed, parse_formula
from ray_matdesign.agents.objectives.features import Batch, Column, Features
from ray_matdesign.agents.objectives.groups import members
from ray_matdesign.agents.objectives.units import Unit
from ray_matdesign.potentials.protocol import Failed

Floats = NDArray[np.float64]

EQUAL_WITHIN = 1e-9
"""Relative; numbers closer than this are equal, as they may come by different ways."""


def evaluate(program: lang.Program, batch: Batch, unit: str) -> list[float | Failed]:
    """Values of a program.

    Args:
        program: Checked by :func:`ray_matdesign.agents.objectives.analysis.check_program`.
        batch: Crystals, with values of the registered scorers it takes.
        unit: To express values in; conditions come to 1 and 0 whatever it is.

    Returns:
        One a crystal, in their order; a program of a population has one value in all.

    Raises:
        LanguageError: The program was not checked.
    """
    found = analysed(program.expression)
    column = _of(program.expression, Features(batch))
    factor = 1.0 if found.unit is None else found.unit.factor_to(Unit.parse(unit))
    return Column(column.values * factor, column.reasons).outcomes()


def _of(node: lang.AnyNode, features: Features) -> Column:
    leaf = _leaf(node, features)
    if leaf is not None:
        return leaf
    inner = [_of(child, features) for _, child in lang.children(node)]
    if isinstance(node, lang.OfPopulation):
        return _of_population(node, inner[0])
    if isinstance(node, lang.Where):
        return _where(*_broadcast(inner))
    parts = _broadcast(inner)
    columns = [part.values for part in parts]
    reasons = _joined(parts)
    with np.errstate(all="ignore"):
        values = _combined(node, columns)
    return _guarded(node.op, values, reasons)


def _leaf(node: lang.AnyNode, features: Features) -> Column | None:
    match node:
        case lang.Number():
            return Column(np.array([node.value]))
        case lang.ElementStatistic():
            return features.element(node.property, node.statistic, node.weights)
        case lang.Share():
            return features.share(members(node.of), node.weights)
        case lang.Count():
            return features.count(node.of)
        case lang.CompositionDistance():
            return features.composition_distance(parse_formula(node.formula))
        case lang.StructureStatistic():
            return features.structure(node.property)
        case lang.Property():
            return features.scored(node.scorer)
        case lang.Diversity():
            return features.diversity()
    return None


def _combined(node: lang.AnyNode, columns: Sequence[Floats]) -> Floats:
    first = columns[0]
    match node:
        case lang.Several() | lang.Logic():
            return np.asarray(_FOLDS[node.op](np.stack(columns)))
        case lang.Pair(op="subtract"):
            return np.asarray(first - columns[1])
        case lang.Pair():
            return np.asarray(first / columns[1])
        case lang.Power():
            return np.asarray(first**node.exponent)
        case lang.Function():
            return np.asarray(_FUNCTIONS[node.op](first))
        case lang.Clip():
            return np.asarray(np.clip(first, node.low, node.high))
        case lang.Comparison():
            return _compared(node.op, first, columns[1])
        case lang.Not():
            return np.asarray(1.0 - first)
        case lang.InUnit(op="magnitude"):
            unit = analysed(node.arg).unit
            assert unit is not None  # or the analysis would have refused the program
            return np.asarray(first * unit.factor_to(Unit.parse(node.unit)))
    return first


_FOLDS: Mapping[str, Callable[[Floats], Floats]] = {
    "add": lambda stack: stack.sum(axis=0),
    "multiply": lambda stack: stack.prod(axis=0),
    "minimum": lambda stack: stack.min(axis=0),
    "maximum": lambda stack: stack.max(axis=0),
    "all": lambda stack: stack.min(axis=0),
    "any": lambda stack: stack.max(axis=0),
}
_FUNCTIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "sqrt": np.sqrt,
    "log": np.log,
    "log10": np.log10,
    "exp": np.exp,
    "absolute": np.abs,
    "negate": np.negative,
}


def _compared(op: str, left: Floats, right: Floats) -> Floats:
    margin = EQUAL_WITHIN * np.maximum(np.abs(left), np.abs(right))
    equal = np.abs(left - right) <= margin
    match op:
        case "less":
            truth = (left < right) & ~equal
        case "at_most":
            truth = (left < right) | equal
        case "greater":
            truth = (left > right) & ~equal
        case "at_least":
            truth = (left > right) | equal
        case _:
            truth = equal
    return truth.astype(np.float64)


def _where(condition: Column, then: Column, otherwise: Column) -> Column:
    # A branch that is not taken may have no value.
    holds = condition.values == 1.0
    reasons = dict(condition.reasons)
    for i, taken in enumerate(holds):
        branch = then if taken else otherwise
        if i in branch.reasons and i not in reasons:
            reasons[i] = branch.reasons[i]
    values = np.where(holds, then.values, otherwise.values)
    values[list(reasons)] = np.nan
    return Column(values, reasons)


def _of_population(node: lang.OfPopulation, inner: Column) -> Column:
    """A statistic over the crystals that have a value; those that have none are left out."""
    present = np.delete(inner.values, list(inner.reasons))
    if not len(present):
        why = next(iter(inner.reasons.values()), "the population is empty")
        return Column(np.array([np.nan]), {0: f"{node.op}: no crystal has a value: {why}"})
    value = _SUMMARIES[node.op](present)
    return _guarded(node.op, np.array([float(value)]), {})


_SUMMARIES: Mapping[str, Callable[[Floats], np.floating]] = {
    "population_mean": np.mean,
    "population_share": np.mean,
    "population_std": np.std,
    "population_min": np.min,
    "population_max": np.max,
}


def _broadcast(columns: Sequence[Column]) -> list[Column]:
    """Constants stretched to the length of the others."""
    n = max((len(c.values) for c in columns if len(c.values) != 1), default=1)
    stretched = []
    for column in columns:
        if len(column.values) == n:
            stretched.append(column)
            continue
        why = column.reasons.get(0)
        reasons = {} if why is None else dict.fromkeys(range(n), why)
        stretched.append(Column(np.repeat(column.values, n)[:n], reasons))
    return stretched


def _joined(columns: Sequence[Column]) -> dict[int, str]:
    reasons: dict[int, str] = {}
    for column in columns:
        for i, why in column.reasons.items():
            reasons.setdefault(i, why)
    return reasons


def _guarded(op: str, values: Floats, reasons: Mapping[int, str]) -> Column:
    """Puts a reason wherever a number is not finite."""
    broken = np.flatnonzero(~np.isfinite(values))
    why = {int(i): reasons.get(int(i), f"{op} has no finite value here") for i in broken}
    why |= reasons
    values = values.astype(np.float64)
    values[list(why)] = np.nan
    return Column(values, why)
