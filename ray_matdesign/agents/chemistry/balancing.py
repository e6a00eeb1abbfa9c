"""Balancing reactions exactly: elements and charge, in whole numbers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

from ray_matdesign.agents.chemistry.formulas import Formula, parse_formula
from ray_matdesign.agents.rationals import Row, null_space, reduced
from ray_matdesign.agents.tools.protocol import ToolError

MOST_SPECIES = 12
"""Every way to balance is looked for; with more species there may be thousands."""

_ARROW = re.compile(r"\s*(?:<=>|<->|-->|->|=>|→|⇌|=)\s*")
_PLUS = re.compile(r"\s+\+\s+|(?<=[A-Za-z0-9)\]}])\+(?!\((?:s|l|g|aq)\))(?=\d*[A-Z(\[])")
_COEFFICIENT = re.compile(r"(\d+(?:/\d+)?(?:\.\d+)?)\s*(?=[A-Z(\[e])")


class InvalidEquation(ToolError):
    """Text that is no reaction; the message says where."""


class Unbalanceable(ToolError):
    """No positive numbers balance a reaction; the message says why, where one element shows it."""


@dataclass(frozen=True)
class Reaction:
    """What reacts to what; numbers apart.

    Attributes:
        reactants: Left of the arrow.
        products: Right of it.
    """

    reactants: tuple[Formula, ...]
    products: tuple[Formula, ...]

    @property
    def species(self) -> tuple[Formula, ...]:
        """Reactants, then products."""
        return (*self.reactants, *self.products)

    def written(self, numbers: Sequence[int]) -> str:
        """The equation with its numbers; species that take no part are left out."""
        sides = []
        for formulas, own in (
            (self.reactants, numbers[: len(self.reactants)]),
            (self.products, numbers[len(self.reactants) :]),
        ):
            terms = [
                (f"{n} " if n != 1 else "") + f.text + (f"({f.phase})" if f.phase else "")
                for f, n in zip(formulas, own, strict=True)
                if n
            ]
            sides.append(" + ".join(terms))
        return " -> ".join(sides)


def parse_reaction(equation: str) -> Reaction:
    """Reads ``Fe + O2 -> Fe2O3``; numbers before formulas are dropped, ``=`` is an arrow too.

    Plus signs that join are set between spaces, or before the capital of the next formula.

    Raises:
        InvalidEquation: There is not one arrow, or a side is empty, or a species is on one side
            twice.
        InvalidFormula: A formula cannot be read.
    """
    sides = _ARROW.split(equation.strip())
    if len(sides) != 2:
        raise InvalidEquation(f"{equation!r}: expected one arrow, as in Fe + O2 -> Fe2O3")
    parsed = []
    for side in sides:
        if not side.strip():
            raise InvalidEquation(f"{equation!r}: nothing stands at one side of the arrow")
        formulas = []
        for term in _PLUS.split(side.strip()):
            found = _COEFFICIENT.match(term)
            formulas.append(parse_formula(term[found.end() :] if found else term))
        parsed.append(tuple(formulas))
    reaction = Reaction(*parsed)
    keys = [(f.key, f.phase) for f in reaction.species]
    for formula, key in zip(reaction.species, keys, strict=True):
        if keys.count(key) > 1:
            raise InvalidEquation(f"{equation!r}: {formula.text} stands there twice")
    return reaction


def balance(reaction: Reaction) -> list[tuple[int, ...]]:
    """Every elementary way to balance a reaction.

    Elements and charge give linear equations with whole coefficients; the solutions with no
    negative number form a cone, whose edges are returned. With one edge, the reaction is balanced
    in one way; with several, every sum of them is a way too, and stoichiometry does not say which
    takes place.

    Returns:
        Whole numbers without a common divisor, reactants then products. If any way to balance
        takes in all species, each of them is in at least one edge.

    Raises:
        Unbalanceable: Some species cannot take part in any balanced reaction.
        ToolError: More than :data:`MOST_SPECIES` species.
    """
    species = reaction.species
    if len(species) > MOST_SPECIES:
        raise ToolError(f"{len(species)} species; at most {MOST_SPECIES} are balanced at once")
    matrix = _conservation(reaction)
    _require_both_sides(reaction)
    edges = _edges(matrix, len(species))
    idle = [
        formula.text
        for place, formula in enumerate(species)
        if not any(edge[place] for edge in edges)
    ]
    if idle:
        whole = "the reaction" if len(idle) == len(species) else f"it, so that {_and(idle)} reacts"
        raise Unbalanceable(
            f"no positive numbers balance {whole}: {reaction.written([1] * len(species))}"
        )
    return edges


def _conservation(reaction: Reaction) -> list[Row]:
    """A row for each element and one for the charge; products count negative."""
    species = reaction.species
    signs = [1] * len(reaction.reactants) + [-1] * len(reaction.products)
    symbols = sorted({symbol for formula in species for symbol in formula.counts})
    rows = [
        [sign * f.counts.get(symbol, Fraction(0)) for sign, f in zip(signs, species, strict=True)]
        for symbol in symbols
    ]
    charges = [Fraction(sign * f.charge) for sign, f in zip(signs, species, strict=True)]
    return [*rows, charges] if any(charges) else rows


def _require_both_sides(reaction: Reaction) -> None:
    left = {symbol for formula in reaction.reactants for symbol in formula.counts}
    right = {symbol for formula in reaction.products for symbol in formula.counts}
    for symbols, side in ((left - right, "left"), (right - left, "right")):
        if symbols:
            raise Unbalanceable(
                f"{_and(sorted(symbols))} stands on the {side} only: "
                f"{reaction.written([1] * len(reaction.species))}"
            )


def _edges(matrix: list[Row], n: int) -> list[tuple[int, ...]]:
    """Solutions whose species cannot be balanced with fewer of them: the edges of the cone."""
    rank = len(reduced(matrix)[1])
    found: dict[frozenset[int], tuple[int, ...]] = {}
    for size in range(1, rank + 2):
        for chosen in itertools.combinations(range(n), size):
            if any(support <= frozenset(chosen) for support in found):
                continue
            solution = _only_solution([[row[i] for i in chosen] for row in matrix])
            if solution is None:
                continue
            numbers = [0] * n
            for place, value in zip(chosen, solution, strict=True):
                numbers[place] = value
            found[frozenset(chosen)] = tuple(numbers)
    return list(found.values())


def _only_solution(matrix: list[Row]) -> list[int] | None:
    """The null space as positive whole numbers, if it is a line through the positive ones."""
    basis = null_space(matrix)
    if len(basis) != 1:
        return None
    (values,) = basis
    if min(values) <= 0:
        return None
    common = lcm(*(value.denominator for value in values))
    whole = [int(value * common) for value in values]
    divisor = gcd(*whole)
    return [number // divisor for number in whole]


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
