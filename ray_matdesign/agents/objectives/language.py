"""A language for scorers: expression trees over known quantities of crystals, as JSON.

There is nothing in it but what this file lists, so that an expression from anywhere is safe to
evaluate, its unit can be worked out before any crystal is seen, and a small language model can be
held to it by a schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import TypeAliasType

from ray_matdesign.config.settings import Settings

MAX_DEPTH = 16
MAX_NODES = 200
SCHEMA_DEPTH = 5
"""Nesting that a language model is offered; enough for Chen's hardness, which needs four."""

Weights = Literal["atoms", "mass"]
ElementProperty = Literal[
    "atomic_number",
    "atomic_mass",
    "electronegativity",
    "covalent_radius",
    "period",
    "group",
    "melting_point",
    "hhi_reserve",
    "hhi_production",
    "price",
    "abundance",
]
StructureProperty = Literal[
    "volume_per_atom",
    "density",
    "number_density",
    "nearest_distance_min",
    "nearest_distance_mean",
    "nearest_contact_min",
    "coordination_mean",
    "packing_fraction",
    "space_group",
]


class Number(Settings):
    """A constant; a number with a unit is a quantity."""

    op: Literal["number"]
    value: float
    unit: str = ""


class ElementStatistic(Settings):
    """A tabulated property of the elements, summed up over those of the crystal.

    ``mean`` and ``std`` are weighted by atoms or mass; ``min``, ``max`` and ``range`` are over the
    elements present.
    """

    op: Literal["element"]
    property: ElementProperty
    statistic: Literal["mean", "std", "min", "max", "range"] = "mean"
    weights: Weights = "atoms"


class Share(Settings):
    """Share of the atoms, or of the mass, that some elements have."""

    op: Literal["share"]
    of: tuple[str, ...] = Field(min_length=1, max_length=118)
    """Symbols of elements and names of groups, such as ``rare_earth``."""
    weights: Weights = "atoms"


class Count(Settings):
    """How many elements there are, or atoms in the reduced formula."""

    op: Literal["count"]
    of: Literal["elements", "atoms_per_formula"]


class CompositionDistance(Settings):
    """Half the sum of the differences of atomic fractions: 0 for the formula, 1 without overlap."""

    op: Literal["composition_distance"]
    formula: str = Field(max_length=64)


class StructureStatistic(Settings):
    """A number of the structure."""

    op: Literal["structure"]
    property: StructureProperty


class Property(Settings):
    """The value of a registered scorer."""

    op: Literal["property"]
    scorer: str


class Several(Settings):
    """Sum, product, least or greatest of expressions."""

    op: Literal["add", "multiply", "minimum", "maximum"]
    args: tuple[Expression, ...] = Field(min_length=2, max_length=12)


class Pair(Settings):
    """Difference or quotient."""

    op: Literal["subtract", "divide"]
    left: Expression
    right: Expression


class Power(Settings):
    """A power with a constant exponent; of a negative number only with a whole exponent."""

    op: Literal["power"]
    arg: Expression
    exponent: float = Field(ge=-8.0, le=8.0)


class Function(Settings):
    """A function of one expression."""

    op: Literal["sqrt", "log", "log10", "exp", "absolute", "negate"]
    arg: Expression


class Clip(Settings):
    """An expression held between two numbers of its own unit."""

    op: Literal["clip"]
    arg: Expression
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Clip:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self


class InUnit(Settings):
    """``magnitude``: a quantity's number in a unit; ``quantity``: a number given a unit.

    Fitted formulas, such as that of Chen's hardness, need both.
    """

    op: Literal["magnitude", "quantity"]
    arg: Expression
    unit: str


class Comparison(Settings):
    """Whether one expression compares to another as said; true or false."""

    op: Literal["less", "at_most", "greater", "at_least", "equal"]
    left: Expression
    right: Expression


class Logic(Settings):
    """Whether all, or any, of the conditions hold."""

    op: Literal["all", "any"]
    args: tuple[Expression, ...] = Field(min_length=2, max_length=12)


class Not(Settings):
    """Whether a condition does not hold."""

    op: Literal["not"]
    arg: Expression


class Where(Settings):
    """One expression where a condition holds, another where it does not."""

    op: Literal["where"]
    condition: Expression
    then: Expression
    otherwise: Expression


class OfPopulation(Settings):
    """A number of a whole population: statistics of an expression, or the share a condition has.

    ``population_share`` takes a condition, the others a number.
    """

    op: Literal[
        "population_mean",
        "population_std",
        "population_min",
        "population_max",
        "population_share",
    ]
    arg: Expression


class Diversity(Settings):
    """Mean composition distance between two different crystals of a population, 0 to 1."""

    op: Literal["population_diversity"]


AnyNode = (
    Number
    | ElementStatistic
    | Share
    | Count
    | CompositionDistance
    | StructureStatistic
    | Property
    | Several
    | Pair
    | Power
    | Function
    | Clip
    | InUnit
    | Comparison
    | Logic
    | Not
    | Where
    | OfPopulation
    | Diversity
)
Expression = TypeAliasType("Expression", Annotated[AnyNode, Field(discriminator="op")])

for _node in (Several, Pair, Power, Function, Clip, InUnit, Comparison, Logic, Not, Where):
    _node.model_rebuild()
OfPopulation.model_rebuild()


class Program(Settings):
    """A scorer in this language."""

    version: Literal[1] = 1
    expression: Expression

    @model_validator(mode="after")
    def _bounded(self) -> Program:
        check_size(self.expression)
        return self


def check_size(expression: AnyNode) -> None:
    """Refuses trees that are no formulas.

    Raises:
        ValueError: It is nested deeper than ``MAX_DEPTH`` or has more than ``MAX_NODES`` nodes.
    """
    level: list[AnyNode] = [expression]
    depth = nodes = 0
    while level:
        depth, nodes = depth + 1, nodes + len(level)
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise ValueError(
                f"an expression may be nested {MAX_DEPTH} deep and have {MAX_NODES} parts"
            )
        level = [child for node in level for _, child in children(node)]


def children(node: AnyNode) -> Iterator[tuple[str, AnyNode]]:
    """Expressions directly within one, each with the key it stands under."""
    for name in type(node).model_fields:
        value = getattr(node, name)
        if isinstance(value, tuple):
            for place, item in enumerate(value):
                if isinstance(item, Settings):
                    yield f"{name}.{place}", item  # type: ignore[misc]
        elif isinstance(value, Settings):
            yield name, value  # type: ignore[misc]


def nodes_of(expression: AnyNode) -> Iterator[AnyNode]:
    """The expression and all within it."""
    yield expression
    for _, child in children(expression):
        yield from nodes_of(child)


def needs_of(expression: AnyNode) -> tuple[str, ...]:
    """Registered scorers whose values it takes, sorted."""
    return tuple(sorted({n.scorer for n in nodes_of(expression) if isinstance(n, Property)}))


def schema(depth: int = SCHEMA_DEPTH) -> dict[str, Any]:
    """JSON schema of programs, with no recursion in it.

    A model that writes under a schema without bound may nest until its tokens run out; here the
    grammar itself comes to an end.

    Args:
        depth: Of nesting, from 1.
    """
    whole = Program.model_json_schema()
    definitions: dict[str, Any] = whole.pop("$defs")
    definitions.pop("Expression")
    nested = {name for name, body in definitions.items() if _refers(body)}
    unrolled = {name: body for name, body in definitions.items() if name not in nested}
    for level in range(depth):
        choices = [{"$ref": f"#/$defs/{name}"} for name in definitions if name not in nested]
        if level:
            choices += [{"$ref": f"#/$defs/{name}{level}"} for name in sorted(nested)]
            for name in nested:
                unrolled[f"{name}{level}"] = _at(definitions[name], f"Expression{level - 1}")
        unrolled[f"Expression{level}"] = {"anyOf": choices}
    return {**_at(whole, f"Expression{depth - 1}"), "$defs": unrolled}


def _refers(body: Any) -> bool:
    if isinstance(body, dict):
        return body.get("$ref") == "#/$defs/Expression" or any(map(_refers, body.values()))
    return isinstance(body, list) and any(map(_refers, body))


def _at(body: Any, name: str) -> Any:
    """A schema with references to expressions turned to another definition."""
    if isinstance(body, dict):
        if body.get("$ref") == "#/$defs/Expression":
            return {"$ref": f"#/$defs/{name}"}
        return {key: _at(value, name) for key, value in body.items()}
    return [_at(item, name) for item in body] if isinstance(body, list) else body
