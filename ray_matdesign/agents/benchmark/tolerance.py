"""How far an answer may be from the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Allowed = float | Sequence["Allowed"] | Mapping[str, "Allowed"]
"""A number, or one for each element of a list or each key of an object."""


@dataclass(frozen=True)
class Tolerance:
    """What counts as right.

    A number is right where it is off by at most the larger of the two bounds.

    Attributes:
        absolute: Of numbers, in the unit of the answer; elementwise where it is no number itself.
        relative: Of numbers, as a fraction of the reference.
        text: ``exact`` strings, or ``normalised`` ones: case and spaces do not count.
    """

    absolute: Allowed = 0.0
    relative: float = 0.0
    text: Literal["exact", "normalised"] = "exact"

    def of(self, part: int | str) -> Tolerance:
        """That of one element of a list, by place, or of an object, by key.

        Raises:
            LookupError: There is a bound an element, and none for this one.
        """
        if isinstance(self.absolute, Mapping):
            return replace(self, absolute=self.absolute[str(part)])
        if isinstance(self.absolute, Sequence):
            return replace(self, absolute=self.absolute[int(part)])
        return self

    def bound(self, reference: float) -> float:
        """How far a number may be from the reference.

        Raises:
            TypeError: The bound is one for lists or objects.
        """
        if not isinstance(self.absolute, int | float):
            raise TypeError(f"the bound of a number is {self.absolute!r}")
        return max(float(self.absolute), self.relative * abs(reference))
