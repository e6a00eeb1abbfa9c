"""Abundance in the Earth's crust."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen
from ray_matdesign.rewards.scorers.composition import mass_weighted_mean


class Abundance:
    """``log10`` of the mass-weighted mean crustal abundance of the elements, in ppm by mass.

    A mean of abundances is ruled by the most abundant element, so this rewards oxygen and
    silicon; it does not exclude a trace of a rare element. It is MatInvent's definition. The table
    is SMACT's, with its misprints against the CRC Handbook (S 3.5 for 350, Lu 80 for 0.8, Nb 220
    for 20 ppm).
    """

    name = "abundance"
    unit = "log10 ppm"
    source = "crustal abundance as tabulated by SMACT"
    version = "1"
    cost = CostClass.CHEAP

    def __init__(self, ppm: Mapping[int, float]) -> None:
        self._ppm = ppm

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Logarithmic abundance of each specimen."""
        means = [mass_weighted_mean(s.crystal, self._ppm, "abundance") for s in specimens]
        return [mean if isinstance(mean, Failed) else math.log10(mean) for mean in means]


def make(bench: Bench) -> Abundance:
    """Builds the scorer from SMACT's table."""
    import smact

    abundances = {
        symbol: element.crustal_abundance for symbol, element in smact.element_dictionary().items()
    }
    return Abundance({ATOMIC_NUMBERS[s]: float(ppm) for s, ppm in abundances.items() if ppm})
