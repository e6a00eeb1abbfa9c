"""What is wanted, before anybody computes it: version 1 of an objective's description."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, StringConstraints, model_validator

from ray_matdesign.agents.objectives.analysis import check_program
from ray_matdesign.agents.objectives.canonical import (
    canonical_formula,
    canonical_quantity,
    canonical_unit,
    numbers_in,
)
from ray_matdesign.agents.objectives.language import Expression, Program
from ray_matdesign.agents.objectives.registered import REGISTERED
from ray_matdesign.agents.objectives.units import Unit
from ray_matdesign.config.settings import Settings

Kind = Literal["candidate", "population", "filter"]
Direction = Literal["maximize", "minimize", "none"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]

ATTRIBUTES = ("composition", "structure")
"""What a scorer can look at itself; other inputs are values of registered scorers."""


class ValueRange(Settings):
    """Between which values all crystals lie; either end may be open."""

    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self

    def holds(self, value: float, slack: float = 1e-9) -> bool:
        """Whether a value lies within, rounding granted."""
        margin = slack * max(1.0, abs(value))
        above = self.low is None or value >= self.low - margin
        return above and (self.high is None or value <= self.high + margin)


class Example(Settings):
    """A value that is known beforehand."""

    crystals: tuple[str, ...] = Field(min_length=1, max_length=20)
    """Names or formulas of sample crystals; one, except for a population."""
    value: float | None
    """In the objective's unit, 1 or 0 for a filter; none where there must be no value."""
    tolerance: float = Field(default=1e-6, ge=0.0)
    """Largest absolute difference."""
    given: dict[str, float] = Field(default_factory=dict)
    """Values of registered scorers for that crystal, such as measured moduli."""


class ObjectiveSpec(Settings):
    """One objective: what is measured, in which unit, and which way is better."""

    version: Literal[1] = 1
    name: Name
    description: Text
    kind: Kind
    direction: Direction
    """``none`` for filters, and for them alone."""
    weight: PositiveFloat | None = None
    """Of a candidate or population objective against the others; 1 if not given."""
    quantity: Text
    """What is measured, in few words, such as ``bulk modulus``."""
    unit: str = ""
    """E.g. ``g/cm3``; empty for pure numbers and filters."""
    range: ValueRange = ValueRange()
    method: str = Field(default="", max_length=4000)
    """How it is computed, in words; numbers in it count as part of the definition."""
    inputs: tuple[str, ...] = Field(min_length=1)
    """``composition``, ``structure``, and names of registered scorers."""
    formula: Expression | None = None
    """How it is computed, exactly, where that is known."""
    intensive: bool = True
    """Whether a supercell has the value of its cell."""
    examples: tuple[Example, ...] = Field(default=(), max_length=20)
    ordering: tuple[str, ...] = ()
    """Sample crystals from the best to the worst; a check on the direction."""

    @model_validator(mode="after")
    def _filters_have_no_direction(self) -> Self:
        if self.kind == "filter":
            if self.direction != "none":
                raise ValueError("direction must be 'none' for a filter: it lets through or not")
            if self.weight is not None:
                raise ValueError("a filter has no weight")
            if not Unit.parse(self.unit).is_number:
                raise ValueError("a filter has no unit: it is true or false")
        elif self.direction == "none":
            raise ValueError(f"direction must be 'maximize' or 'minimize' for a {self.kind}")
        return self

    @model_validator(mode="after")
    def _known_unit_and_inputs(self) -> Self:
        Unit.parse(self.unit)
        unknown = [name for name in self.inputs if name not in (*ATTRIBUTES, *REGISTERED)]
        if unknown:
            raise ValueError(
                f"inputs: {unknown[0]!r} is neither composition nor structure nor a registered "
                f"scorer; those are {', '.join(REGISTERED)}"
            )
        if len(set(self.inputs)) < len(self.inputs):
            raise ValueError(f"inputs: each once, got {', '.join(self.inputs)}")
        if not canonical_quantity(self.quantity):
            raise ValueError(f"quantity {self.quantity!r} says nothing")
        return self

    @model_validator(mode="after")
    def _examples_fit(self) -> Self:
        for example in self.examples:
            names = ", ".join(example.crystals)
            if self.kind != "population" and len(example.crystals) != 1:
                raise ValueError(f"an example of a {self.kind} has one crystal, got {names}")
            if example.value is None:
                continue
            if not self.range.holds(example.value):
                raise ValueError(f"the example {names} ({example.value:g}) is outside the range")
            if self.kind == "filter" and example.value not in (0.0, 1.0):
                raise ValueError(f"the example {names}: a filter is 1 or 0")
        foreign = {name for one in self.examples for name in one.given} - set(self.inputs)
        if foreign:
            raise ValueError(f"examples give {sorted(foreign)[0]}, which is not among the inputs")
        return self

    @model_validator(mode="after")
    def _formula_fits(self) -> Self:
        if self.formula is not None:
            check_program(Program(expression=self.formula), self.kind, self.unit)
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """Registered scorers whose values it takes, sorted."""
        return tuple(sorted(set(self.inputs) - set(ATTRIBUTES)))

    @property
    def shown(self) -> tuple[Example, ...]:
        """Examples that the writer of a scorer gets to see.

        Of three or more every third is held back, so that learning them by heart does not pass.
        """
        held_back = len(self.examples) >= 3
        return tuple(one for i, one in enumerate(self.examples) if not (held_back and i % 3 == 2))

    @cached_property
    def definition(self) -> Mapping[str, Any]:
        """What makes it this objective and no other, as plain JSON.

        Name, description, weight, range and examples do not; direction, unit, kind, inputs, and
        the formula or, without one, the quantity and the numbers in the method do.
        """
        if self.formula is not None:
            how: Any = {"formula": canonical_formula(self.formula)}
        else:
            how = {
                "quantity": canonical_quantity(self.quantity),
                "numbers": numbers_in(self.method),
            }
        return {
            "version": self.version,
            "kind": self.kind,
            "direction": self.direction,
            "unit": canonical_unit(self.unit),
            "inputs": sorted(self.inputs),
            "intensive": self.intensive,
            **how,
        }

    @property
    def hash(self) -> str:
        """SHA-256 of the definition, hexadecimal."""
        text = json.dumps(self.definition, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
