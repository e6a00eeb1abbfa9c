"""Common precursors: what they are, when they melt or decompose, and why to be careful with them.

Temperatures are those of the CRC Handbook of Chemistry and Physics (95th edition, "Physical
Constants of Inorganic Compounds"), rounded to 1 degree, given only where it has them. Hazard
classes condense the statements of the Globally Harmonized System that suppliers' safety data sheets
carry. Costs are classes of our own: 1 for bulk chemicals, 2 for laboratory reagents, 3 for dear
ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ray_matdesign.agents.laboratory.balancing import atoms_of
from ray_matdesign.agents.laboratory.messages import Stock

Hazard = Literal[
    "toxic",
    "carcinogen",
    "oxidiser",
    "corrosive",
    "fuel",
    "ammonium",
    "azide",
    "cyanide",
    "acid",
    "hydride",
    "hydrate",
    "explosive",
]


@dataclass(frozen=True)
class Precursor:
    """A chemical on the shelf.

    Attributes:
        name: Unique; the formula, and the modification where there are several.
        melts_c: Melting point; ``None`` if it decomposes before, or is not known for sure.
        decomposes_c: Temperature at which it gives off gas in air; ``None`` as above.
        cost: 1 (bulk) to 3 (dear).
        hazards: Classes that apply.
        formula: By default the name.
        oxygen_mol: Moles of O2 that a mole gives off when it decomposes into an oxide or salt.
    """

    name: str
    melts_c: float | None = None
    decomposes_c: float | None = None
    cost: int = 1
    hazards: frozenset[Hazard] = frozenset()
    formula: str = ""
    oxygen_mol: float = 0.0

    @cached_property
    def composition(self) -> str:
        """The formula, without a modification."""
        return self.formula or self.name

    @cached_property
    def elements(self) -> frozenset[str]:
        """Symbols of its elements."""
        return frozenset(atoms_of(self.composition))

    def stock(self) -> Stock:
        """What a laboratory tells of it."""
        hazards = tuple(sorted(self.hazards))
        return Stock(name=self.name, formula=self.composition, hazards=hazards)


def _table(precursors: Iterable[Precursor]) -> Mapping[str, Precursor]:
    return {one.name: one for one in precursors}


def _of(*hazards: Hazard) -> frozenset[Hazard]:
    return frozenset(hazards)


PRECURSORS: Mapping[str, Precursor] = _table(
    [
        # carbonates
        Precursor("Li2CO3", melts_c=732),
        Precursor("Na2CO3", melts_c=856),
        Precursor("K2CO3", melts_c=899),
        Precursor("MgCO3", decomposes_c=540),
        Precursor("CaCO3"),
        Precursor("SrCO3", melts_c=1494),
        Precursor("BaCO3"),
        Precursor("MnCO3", decomposes_c=200, cost=2),
        Precursor("CoCO3", decomposes_c=280, cost=2, hazards=_of("toxic", "carcinogen")),
        # oxides, hydroxides and peroxides
        Precursor("Li2O", melts_c=1438, cost=2, hazards=_of("corrosive")),
        Precursor("LiOH", melts_c=473, hazards=_of("corrosive")),
        Precursor("MgO", melts_c=2825),
        Precursor("CaO", melts_c=2613, hazards=_of("corrosive")),
        Precursor("BaO", melts_c=1973, cost=2, hazards=_of("corrosive")),
        Precursor(
            "BaO2",
            melts_c=450,
            decomposes_c=800,
            cost=2,
            hazards=_of("oxidiser"),
            oxygen_mol=0.5,
        ),
        Precursor("Al2O3", melts_c=2054),
        Precursor("SiO2", melts_c=1722),
        Precursor("TiO2", melts_c=1912),
        Precursor("TiO2-anatase", formula="TiO2"),
        Precursor("ZrO2", melts_c=2710),
        Precursor("V2O5", melts_c=681, cost=2, hazards=_of("toxic", "carcinogen")),
        Precursor("Nb2O5", melts_c=1512, cost=3),
        Precursor("MoO3", melts_c=802, cost=2),
        Precursor("WO3", melts_c=1473, cost=2),
        Precursor("MnO", melts_c=1842, cost=2),
        Precursor("MnO2", decomposes_c=535),
        Precursor("Fe2O3", melts_c=1539),
        Precursor("Co3O4", decomposes_c=900, cost=2, hazards=_of("toxic", "carcinogen")),
        Precursor("CoO", melts_c=1830, cost=2, hazards=_of("toxic", "carcinogen")),
        Precursor("NiO", melts_c=1957, cost=2, hazards=_of("carcinogen")),
        Precursor("ZnO", melts_c=1974),
        Precursor("Y2O3", melts_c=2439, cost=3),
        Precursor("La2O3", melts_c=2304, cost=2),
        Precursor("SnO2", melts_c=1630),
        Precursor("PbO", melts_c=887, hazards=_of("toxic", "carcinogen")),
        Precursor("Bi2O3", melts_c=825, cost=2),
        # phosphates
        Precursor("NH4H2PO4", melts_c=190, hazards=_of("ammonium")),
        Precursor("(NH4)2HPO4", decomposes_c=155, hazards=_of("ammonium")),
        Precursor("FePO4", cost=2),
        Precursor("Li3PO4", melts_c=1205, cost=2),
        # halides
        Precursor("LiCl", melts_c=610),
        Precursor("LiCl(H2O)", decomposes_c=100, hazards=_of("hydrate")),
        Precursor("NaCl", melts_c=802),
        Precursor("KCl", melts_c=771),
        Precursor("MgCl2", melts_c=714, cost=2),
        Precursor("FeCl2", melts_c=677, cost=2, hazards=_of("corrosive")),
        Precursor("FeCl2(H2O)4", decomposes_c=105, hazards=_of("corrosive", "hydrate")),
        Precursor("NiCl2", melts_c=1031, cost=2, hazards=_of("toxic", "carcinogen")),
        Precursor("NiCl2(H2O)6", hazards=_of("toxic", "carcinogen", "hydrate")),
        Precursor("YCl3", melts_c=721, cost=3),
        # oxalates and carbon, which burn or reduce
        Precursor("FeC2O4(H2O)2", decomposes_c=150, hazards=_of("fuel", "hydrate")),
        Precursor("C", hazards=_of("fuel")),
        # nitrates and others that are asked for now and then
        Precursor("LiNO3", melts_c=253, hazards=_of("oxidiser"), oxygen_mol=0.25),
        Precursor("Ba(NO3)2", melts_c=590, hazards=_of("oxidiser", "toxic"), oxygen_mol=0.5),
        Precursor("KClO4", hazards=_of("oxidiser"), oxygen_mol=2.0),
        Precursor("NH4NO3", melts_c=210, hazards=_of("oxidiser", "ammonium", "explosive")),
        Precursor("NH4ClO4", hazards=_of("oxidiser", "ammonium", "explosive")),
        Precursor("NaN3", hazards=_of("toxic", "azide")),
        Precursor("Pb(N3)2", hazards=_of("toxic", "azide", "explosive")),
        Precursor("KCN", melts_c=622, hazards=_of("toxic", "cyanide")),
        Precursor("NaHSO4", hazards=_of("acid", "corrosive")),
        Precursor("LiH", melts_c=692, cost=2, hazards=_of("hydride", "fuel")),
    ]
)
"""Precursors by name."""

FORBIDDEN_CLASSES: Mapping[Hazard, str] = {"explosive": "it may explode when milled or heated"}
"""Classes that no limit and no approval lets in, and why."""

FORBIDDEN_TOGETHER: Mapping[frozenset[Hazard], str] = {
    _of("oxidiser", "fuel"): "an oxidiser milled or heated with a fuel may deflagrate",
    _of("oxidiser", "ammonium"): "ammonium salts of oxidisers may explode",
    _of("azide", "acid"): "azides give off hydrazoic acid with acids",
    _of("azide", "ammonium"): "ammonium salts set hydrazoic acid free from azides",
    _of("cyanide", "acid"): "cyanides give off hydrogen cyanide with acids",
    _of("cyanide", "ammonium"): "ammonium salts set hydrogen cyanide free from cyanides",
    _of("hydride", "hydrate"): "hydrides ignite with water",
    _of("hydride", "oxidiser"): "hydrides ignite with oxidisers",
}
"""Pairs of classes that no limit and no approval lets into one mill, and why."""

AIRLESS: frozenset[Hazard] = frozenset({"fuel"})
"""Classes that may be heated without oxygen alone."""
