"""Chemical equations balanced exactly, in fractions.

A balanced equation is a vector of the null space of the matrix of atoms by element and species. Its
basis is found over the rationals, so that coefficients are exact.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import lcm

from ray_matdesign.agents.chemistry.formulas import InvalidFormula, parse_formula
from ray_matdesign.agents.rationals import null_space
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS

_NEUTRAL = re.compile(r"[A-Z(][A-Za-z0-9().]*")


class BadFormula(ValueError):
    """Text that is no chemical formula; the message quotes it."""


class Unbalanced(ValueError):
    """No equation with positive amounts; the message says between what."""


@dataclass(frozen=True)
class Reaction:
    """A balanced equation.

    Attributes:
        consumed: Moles of each formula on the left; all positive.
        produced: Moles of each formula on the right; the target's is 1.
    """

    consumed: Mapping[str, Fraction]
    produced: Mapping[str, Fraction]

    def __str__(self) -> str:
        """In the smallest whole numbers, such as ``BaCO3 + TiO2 -> BaTiO3 + CO2``."""
        amounts = [*self.consumed.values(), *self.produced.values()]
        factor = lcm(*(amount.denominator for amount in amounts))
        return f"{_side(self.consumed, factor)} -> {_side(self.produced, factor)}"


@cache
def atoms_of(formula: str) -> Mapping[str, Fraction]:
    """Atoms in a formula, which may hold brackets and decimals: ``Li2Fe0.8Ni0.2Cl4``.

    It is a species of a reaction between solids and gases: no charge, factor or phase.

    Raises:
        BadFormula: It is not one.
    """
    if not _NEUTRAL.fullmatch(formula):
        raise BadFormula(f"{formula!r} is no formula of elements, numbers and brackets")
    try:
        read = parse_formula(formula)
    except InvalidFormula as error:
        raise BadFormula(str(error)) from error
    if read.phase or not read.counts.keys() <= ATOMIC_NUMBERS.keys():
        raise BadFormula(f"{formula!r} is no formula of elements, numbers and brackets")
    return read.counts


def molar_mass(formula: str) -> float:
    """Grams per mole.

    Raises:
        BadFormula: The formula is not one.
    """
    from ase.data import atomic_masses

    return sum(
        float(count) * float(atomic_masses[ATOMIC_NUMBERS[symbol]])
        for symbol, count in atoms_of(formula).items()
    )


def balance(precursors: Sequence[str], target: str, byproducts: Sequence[str] = ()) -> Reaction:
    """The equation that makes one mole of a target and uses every precursor.

    Byproducts appear as needed, as few as possible; of several ways with equally many, the one
    whose byproducts come first in the list.

    Args:
        precursors: Formulas, all different.
        target: Formula.
        byproducts: Formulas, most welcome first. A negative amount is not allowed: list a gas that
            the atmosphere supplies among neither; see :func:`balance_in`.

    Raises:
        BadFormula: One of them is none.
        Unbalanced: There is no such equation, or there are many that differ in the precursors.
    """
    return balance_in(precursors, target, byproducts, ())


def balance_in(
    precursors: Sequence[str], target: str, byproducts: Sequence[str], supplied: Sequence[str]
) -> Reaction:
    """As :func:`balance`, where the atmosphere may give some gases away as well.

    Args:
        precursors: Formulas, all different.
        target: Formula.
        byproducts: Formulas of gases that may leave.
        supplied: Formulas of gases, such as ``O2`` in air, that may be taken up or leave.

    Raises:
        BadFormula: One of them is none.
        Unbalanced: As :func:`balance`.
    """
    known = set().union(*(atoms_of(name) for name in (*precursors, target)))
    gases = [gas for gas in (*supplied, *byproducts) if atoms_of(gas).keys() <= known]
    gases = list(dict.fromkeys(gases))
    must_leave = known - atoms_of(target).keys()
    for size in range(len(gases) + 1):
        for chosen in itertools.combinations(gases, size):
            if not must_leave <= {symbol for gas in chosen for symbol in atoms_of(gas)}:
                continue
            reaction = _exact(precursors, target, chosen, frozenset(supplied))
            if reaction is not None:
                return reaction
    raise Unbalanced(f"{' + '.join(precursors)} cannot give {target} and use up every precursor")


def _exact(
    precursors: Sequence[str], target: str, gases: Sequence[str], supplied: frozenset[str]
) -> Reaction | None:
    """The equation over exactly these species; ``None`` if there is none or more than one."""
    species = [*precursors, *gases, target]
    basis = conserving([atoms_of(name) for name in species])
    if len(basis) != 1 or basis[0][-1] == 0:
        return None
    amounts = dict(zip(species, [x / basis[0][-1] for x in basis[0]], strict=True))
    if any(amounts[name] >= 0 for name in precursors) or any(amounts[gas] == 0 for gas in gases):
        return None
    if any(amounts[gas] < 0 and gas not in supplied for gas in gases):
        return None
    return Reaction(
        {name: -amount for name, amount in amounts.items() if amount < 0},
        {name: amount for name, amount in amounts.items() if amount > 0},
    )


def conserving(species: Sequence[Mapping[str, Fraction]]) -> list[list[Fraction]]:
    """Basis of the amounts of species that leave every element as it is.

    Args:
        species: Atoms of each.
    """
    elements = sorted(set().union(*species))
    return null_space([[Fraction(one.get(element, 0)) for one in species] for element in elements])


def _side(amounts: Mapping[str, Fraction], factor: int) -> str:
    terms = [(amount * factor, name) for name, amount in amounts.items()]
    return " + ".join(name if n == 1 else f"{n} {name}" for n, name in terms)
