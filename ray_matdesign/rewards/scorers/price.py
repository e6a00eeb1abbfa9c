"""Raw-material price."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen
from ray_matdesign.rewards.scorers.composition import mass_weighted_mean


class Price:
    """Price of the elements in one kilogram of the crystal, USD/kg.

    The table holds prices of pure elements around 2013, so a fluoride is priced by fluorine gas;
    take it as a ranking, not as a quotation.
    """

    name = "price"
    unit = "USD/kg"
    source = "element prices of about 2013 (pymatgen CostDBElements)"
    version = "1"
    cost = CostClass.CHEAP

    def __init__(self, usd_per_kg: Mapping[int, float]) -> None:
        self._usd_per_kg = usd_per_kg

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Price of each specimen, USD/kg."""
        return [mass_weighted_mean(s.crystal, self._usd_per_kg, "price") for s in specimens]


def make(bench: Bench) -> Price:
    """Builds the scorer from pymatgen's table."""
    return Price(element_prices_usd_per_kg())


def element_prices_usd_per_kg() -> dict[int, float]:
    """Price of each element that has one, by atomic number, from pymatgen's table.

    pymatgen finds the cheapest mixture of priced substances with the wanted composition. As its
    table prices elements alone there is only one mixture, whose price is the mass-weighted mean.
    """
    from pymatgen.analysis import cost
    from pymatgen.core.periodic_table import Element

    tables: Any = cost  # untyped
    with warnings.catch_warnings():
        # pymatgen orders even a single element by electronegativity; noble gases have none.
        warnings.filterwarnings("ignore", message="No Pauling electronegativity")
        database = tables.CostDBElements()
        analyzer = tables.CostAnalyzer(database)
        priced = [symbol for symbol in SYMBOLS[1:] if database.get_entries([Element(symbol)])]
        return {ATOMIC_NUMBERS[s]: float(analyzer.get_cost_per_kg(s)) for s in priced}
