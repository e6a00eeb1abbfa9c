"""Sampler options of a MatterGen policy, and the conditions its checkpoint was trained for."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from ray_matdesign.config.schema import ConstraintSettings, Settings
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.generators.diffusion.constraints import ConstraintError

Condition = Mapping[str, float | str]
"""Property values to aim for, by MatterGen's names; ``chemical_system`` is text, ``Li-Fe-O``."""


class MatterGenOptions(Settings):
    """How crystals are drawn. The number of steps is not among them: it is the checkpoint's."""

    guidance: Annotated[float, Field(ge=0.0)] = 2.0
    """Strength gamma of classifier-free guidance where a condition is given; 1 is plain
    conditioning, and anything but 0 and 1 evaluates the network twice."""
    corrector_steps: NonNegativeInt = 1
    """Langevin steps at each noise level, each as dear as the denoising step it precedes."""
    n_atoms: PositiveInt | dict[PositiveInt, PositiveFloat] | None = None
    """Atoms in the cell, or relative frequencies; by default those of Alex-MP-20 (1 to 20)."""
    batch_size: PositiveInt = 64
    """Crystals denoised at once; the memory needed grows with it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` is CUDA where there is any."""


def elements_left(constraints: ConstraintSettings, supported: Iterable[int]) -> tuple[int, ...]:
    """Atomic numbers that may be generated, ascending.

    Args:
        constraints: What crystals must be made of.
        supported: Atomic numbers that MatterGen generates at all.

    Raises:
        ConstraintError: A composition is asked for, an element that MatterGen never generates, or
            nothing is left.
    """
    if constraints.composition:
        raise ConstraintError(
            "generator.constraints.composition: MatterGen diffuses atom types and cannot hold them "
            "to a composition; use allowed_elements, and n_atoms in generator.options"
        )
    able = set(supported)
    system = _numbers(constraints, "chemical_system")
    allowed = _numbers(constraints, "allowed_elements")
    if unknown := sorted((system | allowed) - able):
        names = ", ".join(SYMBOLS[z] for z in unknown)
        raise ConstraintError(f"generator.constraints: MatterGen never makes {names}")
    left = (system or allowed or able) - _numbers(constraints, "excluded_elements")
    if not left:
        raise ConstraintError("generator.constraints leave no element to draw")
    return tuple(sorted(left))


def _numbers(constraints: ConstraintSettings, key: str) -> set[int]:
    symbols: tuple[str, ...] = getattr(constraints, key)
    if odd := [symbol for symbol in symbols if symbol not in ATOMIC_NUMBERS]:
        raise ConstraintError(f"generator.constraints.{key}: {odd[0]} is no element")
    return {ATOMIC_NUMBERS[symbol] for symbol in symbols}


def check_condition(
    condition: Condition, known: Collection[str], elements: Collection[int]
) -> dict[str, float | str]:
    """The condition, if the model can be held to it.

    Args:
        condition: Values by property.
        known: Properties that the checkpoint was trained for.
        elements: Atomic numbers that may be generated.

    Raises:
        ConstraintError: A property is unknown, or its value is of the wrong kind or out of range.
    """
    for name, value in condition.items():
        where = f"generator.condition.{name}"
        if name not in known:
            has = ", ".join(sorted(known)) or "none"
            raise ConstraintError(f"{where}: this checkpoint has no such condition (it has {has})")
        if name == "chemical_system":
            _check_system(value, elements, where)
        elif isinstance(value, str) or not math.isfinite(value):
            raise ConstraintError(f"{where}: expected a finite number, got {value!r}")
        elif name == "space_group" and (value != int(value) or not 1 <= value <= 230):
            raise ConstraintError(f"{where}: expected a number in 1..230, got {value!r}")
    return dict(condition)


def _check_system(value: float | str, elements: Collection[int], where: str) -> None:
    symbols = value.split("-") if isinstance(value, str) else []
    numbers = [ATOMIC_NUMBERS.get(symbol) for symbol in symbols]
    if not numbers or None in numbers:
        raise ConstraintError(f"{where}: expected symbols such as 'Li-Fe-O', got {value!r}")
    if missing := [SYMBOLS[z] for z in numbers if z is not None and z not in elements]:
        raise ConstraintError(
            f"{where}: {', '.join(missing)} may not be drawn, by generator.constraints or at all"
        )
