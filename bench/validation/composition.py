"""Scorers that are tables or arithmetic: HHI, price, abundance and density.

What can go wrong in them is a table or a unit, so each is held against another transcription of
the table (HHI), against other years' and other authors' numbers (price, abundance), or against
measurements (density, of crystals relaxed by the potential).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from pymatgen.core import Composition

from ray_matdesign.config.import_path import load_object
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Scorer, Specimen
from validation import prototypes as of
from validation.frame import Row, Validation
from validation.relaxed import score_relaxed

HERE = "ray_matdesign.rewards.scorers"
GAULTOIS = "Gaultois et al., Chem. Mater. 25, 2911 (2013), element values as SMACT has them"
USGS = "average prices of 2012, USGS Mineral Commodity Summaries 2013"
RUDNICK = "bulk continental crust, Rudnick and Gao, Treatise on Geochemistry 3, 1 (2003)"
CRC = "CRC Handbook of Chemistry and Physics, 97th ed."

COMPOUNDS = (
    *("NaCl", "MgO", "Al2O3", "SiO2", "TiO2", "Fe2O3", "CuO", "ZnS", "GaAs", "SrTiO3", "BaTiO3"),
    *("LiCoO2", "LiFePO4", "Bi2Te3", "PbTe", "Mg2Si", "CoSb3", "NiTi", "Nd2Fe14B", "SmCo5", "WC"),
    *("InSb", "PtMn", "ZrO2", "CdS", "AgCl", "SnO2", "MoS2", "YBa2Cu3O7", "CeO2"),
)

# fmt: off
USD_PER_KG: Mapping[str, float] = {
    "Al": 2.2, "Cu": 8.1, "Ni": 17.5, "Zn": 2.1, "Pb": 2.5, "Sn": 28.0, "Co": 31.0, "Mo": 28.0,
    "Mg": 4.9, "Ag": 1.0e3, "Au": 5.4e4, "Pt": 5.0e4, "Pd": 2.1e4, "Bi": 22.0, "Cd": 2.0,
    "Sb": 12.5, "In": 540.0, "Te": 150.0, "Ge": 1.6e3, "Ga": 530.0, "Se": 120.0,
}
# fmt: on
"""Metals, to two digits."""
PRICED = (
    *("Al", "Cu", "Ag", "Au", "CuZn", "NiAl", "AlCo", "CuAu", "PtCo", "AgCd", "Cu3Sn", "Ni3Sn"),
    *("CdTe", "PbTe", "PbSe", "ZnSe", "InSb", "GaSb", "GeTe", "Bi2Te3", "CoSb3", "MgZn2", "Cu3Pd"),
    *("MoSe2", "Mg2Ge", "Mg3Bi2"),
)

# fmt: off
PPM: Mapping[str, float] = {
    "Si": 283e3, "Al": 84.1e3, "Fe": 52.2e3, "Ca": 45.8e3, "Mg": 28.1e3, "Na": 22.8e3,
    "K": 15.0e3, "Ti": 4.32e3, "Mn": 774.0, "P": 567.0, "S": 404.0, "Ba": 456.0, "Sr": 320.0,
    "V": 138.0, "Cr": 135.0, "Zr": 132.0, "Zn": 72.0, "Ni": 59.0, "Cu": 27.0, "Co": 26.6,
    "Li": 16.0, "Ga": 16.0, "Pb": 11.0, "As": 2.5, "Sn": 1.7, "W": 1.0, "Mo": 0.8, "Sb": 0.2,
    "Bi": 0.18, "Cd": 0.08, "Ag": 0.056, "Au": 0.0013,
}
# fmt: on
"""By mass; oxygen is not among the elements given, so the compounds have none."""
MINED = (
    *("Fe", "Cu", "Ag", "Au", "FeS2", "ZnS", "PbS", "MoS2", "CdS", "GaAs", "Mg2Si", "CaSi2"),
    *("TiAl", "NiTi", "Cr3Si", "CoSb3", "Li2S", "SrS", "BaS", "ZrSi2", "AuCu3", "SnS", "WS2"),
    *("Bi2S3", "VS"),
)

DENSITIES: tuple[tuple[str, Crystal, float], ...] = (
    ("C diamond", of.diamond("C", 3.567), 3.513),
    ("Si diamond", of.diamond("Si", 5.431), 2.329),
    ("Ge diamond", of.diamond("Ge", 5.658), 5.323),
    ("Al fcc", of.fcc("Al", 4.05), 2.70),
    ("Cu fcc", of.fcc("Cu", 3.615), 8.96),
    ("Ag fcc", of.fcc("Ag", 4.086), 10.5),
    ("Au fcc", of.fcc("Au", 4.078), 19.3),
    ("Pt fcc", of.fcc("Pt", 3.924), 21.5),
    ("Fe bcc", of.bcc("Fe", 2.8665), 7.87),
    ("W bcc", of.bcc("W", 3.165), 19.3),
    ("Mg hcp", of.hcp("Mg", 3.209, 5.211), 1.74),
    ("LiF rocksalt", of.rocksalt("Li", "F", 4.026), 2.640),
    ("NaCl rocksalt", of.rocksalt("Na", "Cl", 5.64), 2.17),
    ("KBr rocksalt", of.rocksalt("K", "Br", 6.6), 2.74),
    ("MgO rocksalt", of.rocksalt("Mg", "O", 4.212), 3.6),
    ("PbS rocksalt", of.rocksalt("Pb", "S", 5.936), 7.60),
    ("CsCl", of.caesium_chloride("Cs", "Cl", 4.123), 3.988),
    ("GaAs zincblende", of.zincblende("Ga", "As", 5.653), 5.318),
    ("ZnO wurtzite", of.wurtzite("Zn", "O", 3.25, 5.207), 5.6),
    ("CaF2 fluorite", of.fluorite("Ca", "F", 5.463), 3.18),
    ("CeO2 fluorite", of.fluorite("Ce", "O", 5.411), 7.215),
    ("TiO2 rutile", of.rutile("Ti", "O", 4.594, 2.959), 4.23),
    ("Al2O3 corundum", of.corundum("Al", "O", 4.759, 12.991, 0.3522, 0.3063), 3.99),
    ("SiO2 quartz", of.alpha_quartz(), 2.648),
    ("SrTiO3 perovskite", of.perovskite("Sr", "Ti", "O", 3.905), 5.1),
)
"""Crystal and its density at room temperature, g/cm3."""
QUICK = 5


def validate(data: Path | None, *, quick: bool, pool: ProcessPoolExecutor) -> list[Validation]:
    """Scores all four.

    Args:
        data: Not used: the compositions are all in this file.
        quick: A handful of each only.
        pool: Of single-threaded workers, for the relaxations before densities.
    """
    import smact

    hhi = {
        symbol: float(element.HHI_r)
        for symbol, element in smact.element_dictionary().items()
        if element.HHI_r is not None
    }
    most = QUICK if quick else None
    dense = DENSITIES[:most]
    densities = score_relaxed(f"{HERE}.density:make", [row[1] for row in dense], pool)
    return [
        _by_composition("hhi", COMPOUNDS[:most], _mean(hhi), GAULTOIS),
        _by_composition("price", PRICED[:most], _mean(USD_PER_KG), USGS),
        _by_composition(
            "abundance", MINED[:most], lambda formula: math.log10(_mean(PPM)(formula)), RUDNICK
        ),
        Validation(
            "density",
            "relaxed crystals",
            "g/cm3",
            tuple(
                _row(name, published, CRC, value)
                for (name, _, published), value in zip(dense, densities, strict=True)
            ),
        ),
    ]


def _by_composition(
    name: str, formulas: Iterable[str], published: Callable[[str], float], source: str
) -> Validation:
    """A scorer that looks at the composition alone."""
    scorer: Scorer = load_object(f"{HERE}.{name}:make", {}, what="scorer")(None)
    rows = []
    for formula in formulas:
        (value,) = scorer.score([Specimen(_of_formula(formula), 0.0, 0.0, 0.0)])
        rows.append(_row(formula, published(formula), source, value))
    return Validation(name, "compositions", scorer.unit, tuple(rows))


def _mean(table: Mapping[str, float]) -> Callable[[str], float]:
    """The mass-weighted mean of an element property, worked out from pymatgen's weights."""

    def mean(formula: str) -> float:
        composition = Composition(formula)
        return sum(composition.get_wt_fraction(e) * table[str(e)] for e in composition)

    return mean


def _of_formula(formula: str) -> Crystal:
    """Some crystal of this composition."""
    numbers = [
        ATOMIC_NUMBERS[str(element)]
        for element, amount in Composition(formula).items()
        for _ in range(round(amount))
    ]
    places = np.linspace(0.0, 0.9, len(numbers))[:, None] * np.ones(3)
    return Crystal(3.0 * len(numbers) * np.eye(3), places, numbers)


def _row(name: str, published: float, source: str, value: float | Failed) -> Row:
    if isinstance(value, Failed):
        return Row(name, published, source, None, value.reason)
    return Row(name, published, source, value)
