"""What an expression yields, known before it is evaluated: its unit, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ray_matdesign.agents.objectives import language as lang
from ray_matdesign.agents.objectives.groups import UnknownElements, members
from ray_matdesign.agents.objectives.registered import REGISTERED
from ray_matdesign.agents.objectives.units import Unit, UnitError

Level = Literal["any", "crystal", "population"]

_PURE = Unit()

ELEMENT_UNITS: Mapping[lang.ElementProperty, str] = {
    "atomic_number": "",
    "atomic_mass": "u",
    "electronegativity": "",
    "covalent_radius": "A",
    "period": "",
    "group": "",
    "melting_point": "K",
    "hhi_reserve": "",
    "hhi_production": "",
    "price": "USD/kg",
    "abundance": "ppm",
}
STRUCTURE_UNITS: Mapping[lang.StructureProperty, str] = {
    "volume_per_atom": "A^3",
    "density": "g/cm3",
    "number_density": "A^-3",
    "nearest_distance_min": "A",
    "nearest_distance_mean": "A",
    "nearest_contact_min": "",
    "coordination_mean": "",
    "packing_fraction": "",
    "space_group": "",
}


class LanguageError(ValueError):
    """An expression that has no meaning; the message starts with the place within it."""


@dataclass(frozen=True)
class Yield:
    """What an expression comes to.

    Attributes:
        level: One value a ``crystal``, or one for a ``population``; a constant goes with ``any``.
        unit: Of numbers; ``None`` for conditions.
    """

    level: Level
    unit: Unit | None


def analysed(expression: lang.AnyNode, at: str = "expression") -> Yield:
    """Works out level and unit.

    Args:
        expression: Any part of a program.
        at: Where it stands, for errors.

    Raises:
        LanguageError: Quantities that do not go together, conditions where numbers belong or the
            reverse, and names that nothing has.
    """
    inner = {key: analysed(child, f"{at}.{key}") for key, child in lang.children(expression)}
    try:
        return Yield(_level(expression, inner), _unit(expression, inner))
    except (UnitError, UnknownElements) as error:
        raise LanguageError(f"{at}: {error}") from error


def check_program(program: lang.Program, kind: str, unit: str) -> None:
    """Refuses a program that does not yield what its specification says.

    Args:
        program: The program.
        kind: ``candidate``, ``population`` or ``filter``.
        unit: That its values are to be in, or can be converted into.

    Raises:
        LanguageError: It yields something else, in one line.
    """
    found = analysed(program.expression)
    if kind == "filter":
        if found.unit is not None:
            raise LanguageError(
                "expression: a filter must be a condition, such as less or all, and this is a "
                "number"
            )
    elif found.unit is None:
        raise LanguageError(f"expression: a {kind} objective must be a number, not a condition")
    else:
        _check_unit(found.unit, unit)
    wanted = "population" if kind == "population" else "crystal"
    if found.level != wanted:
        says = {"any": "is a constant", "crystal": "yields one value a crystal"}
        raise LanguageError(
            f"expression: it {says.get(found.level, 'yields one value for a population')}, and a "
            f"{kind} objective needs one "
            + ("for the population" if wanted == "population" else "a crystal")
        )


def _check_unit(found: Unit, unit: str) -> None:
    if not found.like(Unit.parse(unit)):
        raise LanguageError(
            f"expression: it comes out in {found}, and the objective is in {unit or 'no unit'}"
        )


def _level(node: lang.AnyNode, inner: Mapping[str, Yield]) -> Level:
    levels = {one.level for one in inner.values()} - {"any"}
    match node:
        case lang.OfPopulation():
            if "population" in levels:
                raise UnitError(f"{node.op} of what is of a population already")
            return "population"
        case lang.Diversity():
            return "population"
        case lang.Number():
            return "any"
        case (
            lang.ElementStatistic()
            | lang.Share()
            | lang.Count()
            | lang.CompositionDistance()
            | lang.StructureStatistic()
            | lang.Property()
        ):
            return "crystal"
    if levels == {"crystal", "population"}:
        raise UnitError(f"{node.op} mixes a value of each crystal with one of the population")
    return "any" if not levels else next(iter(levels))


def _unit(node: lang.AnyNode, inner: Mapping[str, Yield]) -> Unit | None:
    units = [_number(one, key) for key, one in inner.items() if _wants_number(node, key)]
    for key, one in inner.items():
        if not _wants_number(node, key) and one.unit is not None:
            raise UnitError(f"{key} must be a condition, and is a number")
    match node:
        case lang.Comparison() | lang.Logic() | lang.Not():
            _alike(node.op, units)
            return None
        case lang.Several(op="multiply"):
            product = Unit()
            for unit in units:
                product = product * unit
            return product
        case lang.Pair(op="divide"):
            return units[0] * units[1] ** -1
        case lang.Several() | lang.Pair() | lang.Where() | lang.Clip():
            return _alike(node.op, units)
        case lang.Power():
            return units[0] ** node.exponent
        case lang.Function(op="sqrt"):
            return units[0] ** 0.5
        case lang.Function(op="log" | "log10" | "exp"):
            if not units[0].is_number:
                raise UnitError(
                    f"{node.op} of a quantity ({units[0]}); take its magnitude in a unit first"
                )
            return Unit()
        case lang.InUnit():
            return _in_unit(node, units[0])
        case lang.OfPopulation():
            return Unit() if node.op == "population_share" else units[0]
        case lang.Function():
            return units[0]
    return _unit_of_leaf(node)


def _wants_number(node: lang.AnyNode, key: str) -> bool:
    if isinstance(node, lang.Where):
        return key != "condition"
    if isinstance(node, lang.OfPopulation):
        return node.op != "population_share"
    return not isinstance(node, lang.Logic | lang.Not)


def _number(found: Yield, key: str) -> Unit:
    if found.unit is None:
        raise UnitError(f"{key} must be a number, and is a condition")
    return found.unit


def _alike(op: str, units: list[Unit]) -> Unit:
    for unit in units:
        if not unit.like(units[0]):
            raise UnitError(f"{op} of different things: {units[0]} and {unit}")
        if not unit.same(units[0]):
            raise UnitError(
                f"{op} of quantities in different units, apart by a factor of "
                f"{unit.factor_to(units[0]):g}"
            )
    return units[0] if units else _PURE


def _in_unit(node: lang.InUnit, found: Unit) -> Unit:
    wanted = Unit.parse(node.unit)
    if node.op == "magnitude":
        found.factor_to(wanted)
        return Unit()
    if not found.is_number:
        raise UnitError(f"quantity of what has a unit already ({found})")
    return wanted


def _unit_of_leaf(node: lang.AnyNode) -> Unit:
    match node:
        case lang.Number():
            return Unit.parse(node.unit)
        case lang.ElementStatistic():
            return Unit.parse(ELEMENT_UNITS[node.property])
        case lang.StructureStatistic():
            return Unit.parse(STRUCTURE_UNITS[node.property])
        case lang.Property():
            if node.scorer not in REGISTERED:
                raise UnitError(
                    f"no registered scorer {node.scorer!r}; there are {', '.join(REGISTERED)}"
                )
            return Unit.parse(REGISTERED[node.scorer].unit)
        case lang.Share():
            members(node.of)
        case lang.CompositionDistance():
            parse_formula(node.formula)
    return Unit()


def parse_formula(formula: str) -> dict[int, float]:
    """Atomic fractions of a formula such as ``Nd2Fe14B``, by atomic number.

    Raises:
        UnitError: It is not a formula.
    """
    from pymatgen.core import Composition, Element

    try:
        composition = Composition(formula)
    except (ValueError, KeyError) as error:  # what pymatgen raises for nonsense
        raise UnitError(f"{formula!r} is not a formula") from error
    elements = [one for one in composition.elements if isinstance(one, Element)]
    if not elements or len(elements) < len(composition.elements):  # it knows species without atoms
        raise UnitError(f"{formula!r} is not a formula")
    return {element.Z: float(composition.get_atomic_fraction(element)) for element in elements}
