"""Abundance in the Earth's crust."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen
from ray_matdesign.rewards.scorers.composition import mass_weighted_mean

CORRECTIONS_PPM: Mapping[str, float] = {"S": 350.0, "Nb": 20.0, "Lu": 0.80, "Ru": 0.001}
"""The CRC Handbook's values (97th ed., section 14) where SMACT's copy of its table has slips: 3.5
for sulphur, 220 for niobium and 80 for lutetium; ruthenium is left out. The rest agrees."""


class Abundance:
    """``log10`` of the mass-weighted mean crustal abundance of the elements, in ppm by mass.

    A mean of abundances is ruled by the most abundant element, so this rewards oxygen and
    silicon; it does not exclude a trace of a rare element. It is MatInvent's definition. MatInvent
    took SMACT's table as it is; here its slips are corrected, which lifts sulphides most.
    """

    name = "abundance"
    unit = "log10 ppm"
    source = "crustal abundance, CRC Handbook (SMACT's table, four slips corrected)"
    version = "2"
    cost = CostClass.CHEAP

    def __init__(self, ppm: Mapping[int, float]) -> None:
        self._ppm = ppm

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Logarithmic abundance of each specimen."""
        means = [mass_weighted_mean(s.crystal, self._ppm, "abundance") for s in specimens]
        return [mean if isinstance(mean, Failed) else math.log10(mean) for mean in means]


def crustal_abundances_ppm() -> dict[str, float]:
    """Mass fraction in the continental crust, mg/kg, of each element that has one, by symbol."""
    import smact

    tabulated: dict[str, float] = {
        symbol: float(element.crustal_abundance)
        for symbol, element in smact.element_dictionary().items()
        if element.crustal_abundance
    }
    return {**tabulated, **CORRECTIONS_PPM}


def make(bench: Bench) -> Abundance:
    """Builds the scorer from SMACT's table with its slips corrected."""
    return Abundance({ATOMIC_NUMBERS[s]: ppm for s, ppm in crustal_abundances_ppm().items()})
