"""Share of light elements: what superhard crystals are mostly made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen

DEFAULT = ("B", "C", "N", "O")


class LightElements:
    """Share of the atoms that are of light elements, 0 to 1.

    Short and directed bonds, many to a volume, are what resists indentation, and boron to oxygen
    form them (Kaner, Gilman and Tolbert, Science 308, 1268 (2005)).
    """

    name = "light_elements"
    unit = ""
    version = "1"
    cost = CostClass.CHEAP

    def __init__(self, elements: Sequence[str]) -> None:
        self.source = f"atoms of {', '.join(elements)} among all"
        self._numbers = [ATOMIC_NUMBERS[symbol] for symbol in elements]

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Share of each specimen."""
        return [float(np.isin(s.crystal.numbers, self._numbers).mean()) for s in specimens]


def make(bench: Bench, elements: Sequence[str] = DEFAULT) -> LightElements:
    """Builds the scorer.

    Args:
        bench: Not used.
        elements: Symbols of those that count as light.

    Raises:
        ValueError: A symbol of no element, or no symbol.
    """
    unknown = [symbol for symbol in elements if symbol not in ATOMIC_NUMBERS]
    if unknown or not elements:
        named = ", ".join(map(repr, unknown)) or "none"
        raise ValueError(f"light_elements: elements must be chemical symbols, got {named}")
    return LightElements(tuple(elements))
