"""Units of measurement: what may be added to what, and by which factor two units differ."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

BASES = ("length", "mass", "time", "temperature", "moment", "currency")

_EV_J = 1.602176634e-19
_DALTON_KG = 1.66053906660e-27
_ENERGY = (2, 1, -2, 0, 0, 0)
_PRESSURE = (-1, 1, -2, 0, 0, 0)
_LENGTH = (1, 0, 0, 0, 0, 0)
_MASS = (0, 1, 0, 0, 0, 0)
_TIME = (0, 0, 1, 0, 0, 0)
_NONE = (0, 0, 0, 0, 0, 0)

SYMBOLS: Mapping[str, tuple[float, tuple[int, ...]]] = {
    "A": (1e-10, _LENGTH),  # Angstrom, as in all units of this package; never ampere
    "nm": (1e-9, _LENGTH),
    "cm": (1e-2, _LENGTH),
    "m": (1.0, _LENGTH),
    "u": (_DALTON_KG, _MASS),
    "g": (1e-3, _MASS),
    "kg": (1.0, _MASS),
    "s": (1.0, _TIME),
    "K": (1.0, (0, 0, 0, 1, 0, 0)),
    "mu_B": (1.0, (0, 0, 0, 0, 1, 0)),
    "USD": (1.0, (0, 0, 0, 0, 0, 1)),
    "eV": (_EV_J, _ENERGY),
    "meV": (1e-3 * _EV_J, _ENERGY),
    "J": (1.0, _ENERGY),
    "kJ": (1e3, _ENERGY),
    "Pa": (1.0, _PRESSURE),
    "MPa": (1e6, _PRESSURE),
    "GPa": (1e9, _PRESSURE),
    "atom": (1.0, _NONE),
    "1": (1.0, _NONE),
    "%": (1e-2, _NONE),
    "ppm": (1e-6, _NONE),
}
"""Factor to SI (moments stay in Bohr magnetons, money in dollars) and powers of the bases."""

_SPELLINGS = {"angstrom": "A", "Angstrom": "A", "Ang": "A", "Å": "A", "amu": "u", "Da": "u"}
_LOGARITHM = re.compile(r"(log10|log|ln)\s+\S.*")
_FACTOR = re.compile(r"([A-Za-zÅ_%]+|1)(?:\^?(-?\d{1,2}))?")
_SAME = 1e-9
"""Units whose logarithms differ by less are one."""
_LARGEST = 700.0
"""Of the logarithm of a factor."""


class UnitError(ValueError):
    """A unit nobody knows, or quantities that do not go together."""


@dataclass(frozen=True)
class Unit:
    """A product of powers.

    Attributes:
        log_scale: Logarithm of what it is in SI units of the same dimension: powers of small units
            would leave the range of floating-point numbers.
        powers: Of :data:`BASES`, in their order; fractions occur under roots.
    """

    log_scale: float = 0.0
    powers: tuple[float, ...] = (0.0,) * len(BASES)

    @property
    def is_number(self) -> bool:
        """Whether it is a pure number, not even a percentage."""
        return not any(self.powers) and abs(self.log_scale) < _SAME

    @property
    def scale(self) -> float:
        """In SI units of the same dimension; of a unit as it was parsed."""
        return math.exp(self.log_scale)

    def __mul__(self, other: Unit) -> Unit:
        powers = tuple(_rounded(a + b) for a, b in zip(self.powers, other.powers, strict=True))
        return Unit(self.log_scale + other.log_scale, powers)

    def __pow__(self, exponent: float) -> Unit:
        return Unit(self.log_scale * exponent, tuple(_rounded(p * exponent) for p in self.powers))

    def like(self, other: Unit) -> bool:
        """Whether one can be converted into the other."""
        return self.powers == other.powers

    def same(self, other: Unit) -> bool:
        """Whether they are one unit, however written."""
        return self.like(other) and abs(self.log_scale - other.log_scale) < _SAME

    def factor_to(self, other: Unit) -> float:
        """What a number in this unit is multiplied by to be in the other.

        Raises:
            UnitError: They measure different things, or the factor is no number a computer holds.
        """
        if not self.like(other):
            raise UnitError(f"{self} cannot be expressed in {other}")
        log_factor = self.log_scale - other.log_scale
        if abs(log_factor) > _LARGEST:
            raise UnitError(f"{self} in {other}: the factor is e^{log_factor:.0f}")
        return math.exp(log_factor)

    def __str__(self) -> str:
        parts = [
            base if power == 1 else f"{base}^{power:g}"
            for base, power in zip(BASES, self.powers, strict=True)
            if power
        ]
        return " ".join(parts) or "a pure number"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads ``g/cm3``, ``mu_B/A^3``, ``J/g/K``, ``eV/atom``; empty text is a pure number.

        A logarithm, such as ``log10 ppm``, is a pure number.

        Raises:
            UnitError: It holds a symbol that is not in :data:`SYMBOLS`, or an absurd power.
        """
        if not text.strip() or _LOGARITHM.fullmatch(text.strip()):
            return cls()
        unit: Unit = cls()
        for place, group in enumerate(text.replace("·", "*").split("/")):
            for factor in re.split(r"[\s*]+", group.strip()):
                part = _factor(factor, text)
                unit = unit * (part if place == 0 else part**-1)
        if abs(unit.log_scale) > _LARGEST:
            raise UnitError(f"unit {text!r}: no number a computer holds is as large or as small")
        return cls(unit.log_scale, unit.powers)


def _factor(written: str, text: str) -> Unit:
    found = _FACTOR.fullmatch(written.replace("**", "^"))
    symbol = _SPELLINGS.get(found[1], found[1]) if found else ""
    if found is None or symbol not in SYMBOLS:
        raise UnitError(f"unit {text!r}: {written!r} is unknown; known are {', '.join(SYMBOLS)}")
    scale, powers = SYMBOLS[symbol]
    unit = Unit(math.log(scale), tuple(float(power) for power in powers))
    return unit ** int(found[2] or 1)


def _rounded(power: float) -> float:
    # Thirds and the like come back to whole powers; ``+ 0.0`` turns -0.0 into 0.0.
    return round(power, 9) + 0.0
