"""Twelve objectives: what is asked for, how it can be answered, and trusted values of it.

The references are computed by other ways than the answers, with pymatgen where it knows the
quantity. A writer of scorers sees specifications only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from pymatgen.core import Composition, Element, Structure

from ray_matdesign.agents.objectives.features import Batch
from ray_matdesign.agents.objectives.specification import ObjectiveSpec
from ray_matdesign.crystals.convert import to_pymatgen

Json = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One objective.

    Attributes:
        spec: All that a writer is told.
        expression: A right answer in the scorer language.
        source: A right answer in Python, where its tables can be imported there.
        reference: Trusted values of a batch.
    """

    spec: ObjectiveSpec
    expression: Json
    source: str | None
    reference: Callable[[Batch], list[float]]


def _spec(name: str, quantity: str, **details: Any) -> ObjectiveSpec:
    details = {"kind": "candidate", "direction": "maximize", **details}
    text = f"{quantity[0].upper()}{quantity[1:]} of a crystal."
    return ObjectiveSpec.model_validate(
        {"name": name, "description": text, "quantity": quantity, **details}
    )


def _known(tolerance: float, **values: float) -> list[Json]:
    names = {"BN": "c-BN"}
    return [
        {"crystals": [names.get(name, name)], "value": value, "tolerance": tolerance}
        for name, value in values.items()
    ]


def _given(tolerance: float, *rows: tuple[str, dict[str, float], float]) -> list[Json]:
    return [
        {"crystals": [name], "given": given, "value": value, "tolerance": tolerance}
        for name, given, value in rows
    ]


def _property(name: str) -> Json:
    return {"op": "property", "scorer": name}


def _each(batch: Batch, value: Callable[[Structure], float]) -> list[float]:
    return [float(value(to_pymatgen(crystal))) for crystal in batch.crystals]


def _by_mass(composition: Composition, table: Callable[[Element], float]) -> float:
    return sum(composition.get_wt_fraction(e) * table(e) for e in composition.elements)


def _production(batch: Batch) -> list[float]:
    from pymatgen.analysis.hhi import HHIModel

    return _each(batch, lambda s: HHIModel().get_hhi_production(s.composition))


CASES: tuple[Case, ...] = (
    Case(
        _spec(
            "supply_risk",
            "production concentration index",
            direction="minimize",
            inputs=["composition"],
            range={"low": 0.0, "high": 10000.0},
            method="Herfindahl-Hirschman index of production of the elements, averaged by mass",
            # Gaultois et al., Chem. Mater. 25, 2911 (2013)
            examples=_known(1.0, diamond=500.0, TiN=1145.0, BN=1997.0, SmCo5=5262.0),
            ordering=["diamond", "c-BN", "SmCo5"],
        ),
        {"op": "element", "property": "hhi_production", "weights": "mass"},
        None,
        _production,
    ),
    Case(
        _spec(
            "si_density",
            "mass density",
            direction="minimize",
            unit="kg/m3",
            inputs=["composition", "structure"],
            range={"low": 0.0, "high": 30000.0},
            method="mass of the cell over its volume",
            examples=_known(30.0, diamond=3515.0, Al=2699.0, Au=19300.0),  # CRC Handbook
            ordering=["Al", "Cu", "Au"],
        ),
        {"op": "structure", "property": "density"},
        """\
def score(crystals):
    return [1000.0 * crystal.density for crystal in crystals]
""",
        lambda batch: _each(batch, lambda s: 1000.0 * s.density),
    ),
    Case(
        _spec(
            "specific_magnetization",
            "magnetic moment per mass",
            unit="mu_B/u",
            inputs=["composition", "structure", "magnetic_density"],
            range={"low": 0.0},
            method="magnetic density over mass density",
            # bcc iron: 2.22 mu_B of 55.845 u; FePt: 3.2 mu_B of 250.923 u
            examples=_given(
                2e-3,
                ("Fe", {"magnetic_density": 2.22 / 11.770}, 0.03975),
                ("FePt", {"magnetic_density": 3.2 / 27.623}, 0.012753),
            ),
        ),
        {
            "op": "divide",
            "left": _property("magnetic_density"),
            "right": {"op": "structure", "property": "density"},
        },
        """\
from ray_matdesign.crystals.elements import ATOMIC_MASSES_AMU


def score(crystals, properties):
    values = []
    for crystal, density in zip(crystals, properties["magnetic_density"]):
        mass = sum(ATOMIC_MASSES_AMU[z] for z in crystal.numbers)
        values.append(density * crystal.volume / mass)
    return values
""",
        lambda batch: [
            m * to_pymatgen(c).volume / float(to_pymatgen(c).composition.weight)
            for m, c in zip(batch.properties["magnetic_density"], batch.crystals, strict=True)
        ],
    ),
    Case(
        _spec(
            "vickers_hardness",
            "Vickers hardness",
            unit="GPa",
            inputs=["bulk_modulus", "shear_modulus"],
            range={"low": -3.0},
            method="Chen's model 2 (k^2 G)^0.585 - 3 with k = G/B",
            # the model of Chen et al., Intermetallics 19, 1275 (2011), by hand from such moduli
            examples=_given(
                0.3,
                ("diamond", {"bulk_modulus": 442.3, "shear_modulus": 535.5}, 95.7),
                ("Si", {"bulk_modulus": 97.9, "shear_modulus": 66.6}, 11.9),
                ("c-BN", {"bulk_modulus": 376.19, "shear_modulus": 382.2}, 63.0),
            ),
        ),
        {
            "op": "quantity",
            "unit": "GPa",
            "arg": {
                "op": "subtract",
                "right": {"op": "number", "value": 3.0},
                "left": {
                    "op": "multiply",
                    "args": [
                        {"op": "number", "value": 2.0},
                        {
                            "op": "power",
                            "exponent": 0.585,
                            "arg": {
                                "op": "magnitude",
                                "unit": "GPa",
                                "arg": {
                                    "op": "divide",
                                    "left": {
                                        "op": "power",
                                        "arg": _property("shear_modulus"),
                                        "exponent": 3.0,
                                    },
                                    "right": {
                                        "op": "power",
                                        "arg": _property("bulk_modulus"),
                                        "exponent": 2.0,
                                    },
                                },
                            },
                        },
                    ],
                },
            },
        },
        """\
def score(crystals, properties):
    pairs = zip(properties["bulk_modulus"], properties["shear_modulus"])
    return [2.0 * ((g / b) ** 2 * g) ** 0.585 - 3.0 for b, g in pairs]
""",
        lambda batch: [
            2.0 * math.exp(0.585 * (3.0 * math.log(g) - 2.0 * math.log(b))) - 3.0
            for b, g in zip(
                batch.properties["bulk_modulus"], batch.properties["shear_modulus"], strict=True
            )
        ],
    ),
    Case(
        _spec(
            "specific_stiffness",
            "Young's modulus per density",
            unit="GPa cm^3/g",
            inputs=["composition", "structure", "youngs_modulus"],
            range={"low": 0.0},
            # E of 70.3 GPa and 411 GPa, densities 2.70 and 19.3 g/cm3
            examples=_given(
                0.3,
                ("Al", {"youngs_modulus": 70.3}, 26.05),
                ("W", {"youngs_modulus": 411.0}, 21.34),
            ),
        ),
        {
            "op": "divide",
            "left": _property("youngs_modulus"),
            "right": {"op": "structure", "property": "density"},
        },
        """\
def score(crystals, properties):
    return [e / c.density for c, e in zip(crystals, properties["youngs_modulus"])]
""",
        lambda batch: [
            e / float(to_pymatgen(c).density)
            for c, e in zip(batch.crystals, batch.properties["youngs_modulus"], strict=True)
        ],
    ),
    Case(
        _spec(
            "rare_earth_free",
            "absence of rare earths",
            kind="filter",
            direction="none",
            inputs=["composition"],
            method="no Sc, no Y, no lanthanide",
            examples=_known(0.0, SmCo5=0.0, YCo5=0.0, FePt=1.0, CeO2=0.0, BaTiO3=1.0),
        ),
        {
            "op": "at_most",
            "left": {"op": "share", "of": ["rare_earth"]},
            "right": {"op": "number", "value": 0.0},
        },
        """\
def score(crystals):
    rare = {21, 39, *range(57, 72)}
    return [not (rare & crystal.elements) for crystal in crystals]
""",
        lambda batch: _each(
            batch,
            lambda s: all(not (e.is_lanthanoid or e.symbol in ("Sc", "Y")) for e in s.elements),
        ),
    ),
    Case(
        _spec(
            "composition_diversity",
            "diversity of compositions",
            kind="population",
            inputs=["composition"],
            range={"low": 0.0, "high": 1.0},
            method="mean over pairs of half the sum of differences of atomic fractions",
            examples=[
                {"crystals": ["NaCl", "MgO"], "value": 1.0},
                {"crystals": ["Si", "SiC"], "value": 0.5},
                {"crystals": ["TiN", "TiC", "Ti"], "value": 0.5},
            ],
        ),
        {"op": "population_diversity"},
        """\
from itertools import combinations


def distance(a, b):
    shares = [{z: n / sum(c.counts.values()) for z, n in c.counts.items()} for c in (a, b)]
    elements = a.elements | b.elements
    return 0.5 * sum(abs(shares[0].get(z, 0.0) - shares[1].get(z, 0.0)) for z in elements)


def score(crystals):
    pairs = list(combinations(crystals, 2))
    return sum(distance(a, b) for a, b in pairs) / len(pairs) if pairs else None
""",
        lambda batch: [_diversity([to_pymatgen(c).composition for c in batch.crystals])],
    ),
    Case(
        _spec(
            "light_covalent_share",
            "mass share of boron carbon nitrogen oxygen",
            inputs=["composition"],
            range={"low": 0.0, "high": 1.0},
            examples=_known(2e-4, diamond=1.0, SiC=0.29955, TiN=0.22635, NaCl=0.0),
            ordering=["diamond", "SiC", "TiN", "NaCl"],
        ),
        {"op": "share", "of": ["B", "C", "N", "O"], "weights": "mass"},
        """\
from ray_matdesign.crystals.elements import ATOMIC_MASSES_AMU


def score(crystals):
    values = []
    for crystal in crystals:
        masses = {z: n * ATOMIC_MASSES_AMU[z] for z, n in crystal.counts.items()}
        light = sum(mass for z, mass in masses.items() if z in (5, 6, 7, 8))
        values.append(light / sum(masses.values()))
    return values
""",
        lambda batch: _each(
            batch,
            lambda s: _by_mass(s.composition, lambda e: float(e.symbol in ("B", "C", "N", "O"))),
        ),
    ),
    Case(
        _spec(
            "electronegativity_range",
            "range of electronegativities",
            direction="minimize",
            inputs=["composition"],
            range={"low": 0.0, "high": 4.0},
            method="largest less smallest Pauling electronegativity of the elements",
            examples=_known(0.005, NaCl=2.23, SiC=0.65, GaAs=0.37, Cu=0.0),  # Pauling's scale
            ordering=["GaAs", "SiC", "NaCl"],
        ),
        {"op": "element", "property": "electronegativity", "statistic": "range"},
        """\
from ray_matdesign.crystals.elements import ELECTRONEGATIVITIES


def score(crystals):
    values = []
    for crystal in crystals:
        present = [float(ELECTRONEGATIVITIES[z]) for z in crystal.elements]
        values.append(max(present) - min(present) if all(present) else None)
    return values
""",
        lambda batch: _each(batch, lambda s: _spread([e.X for e in s.elements])),
    ),
    Case(
        _spec(
            "mean_bond",
            "nearest neighbour distance",
            direction="minimize",
            unit="A",
            inputs=["structure"],
            range={"low": 0.0, "high": 12.0},
            method="distance to the closest atom, averaged over atoms",
            examples=_known(5e-3, diamond=1.5445, NaCl=2.820, Cu=2.556),
            ordering=["diamond", "Cu", "NaCl"],
        ),
        {"op": "structure", "property": "nearest_distance_mean"},
        """\
from ray_matdesign.crystals.geometry import nearest_distances


def score(crystals):
    return [float(nearest_distances(crystal, 1)[0].mean()) for crystal in crystals]
""",
        lambda batch: _each(batch, _nearest),
    ),
    Case(
        _spec(
            "scarcest_element",
            "abundance of the scarcest element",
            unit="log10 ppm",
            inputs=["composition"],
            range={"low": -5.0, "high": 6.0},
            # CRC Handbook: Na 2.36e4, Cl 145, Au 0.004, Ti 5650, N 19 ppm
            examples=_known(0.01, NaCl=2.161, Au=-2.398, TiN=1.279),
            ordering=["NaCl", "TiN", "Au"],
        ),
        {
            "op": "log10",
            "arg": {
                "op": "magnitude",
                "unit": "ppm",
                "arg": {"op": "element", "property": "abundance", "statistic": "min"},
            },
        },
        None,
        lambda batch: _each(batch, _scarcest),
    ),
    Case(
        _spec(
            "stable_share",
            "share of crystals below 0.1 eV/atom above the hull",
            kind="population",
            inputs=["e_above_hull"],
            range={"low": 0.0, "high": 1.0},
            method="crystals with e_above_hull below 0.1 eV/atom",
            examples=[
                {"crystals": ["NaCl", "MgO"], "given": {"e_above_hull": 0.02}, "value": 1.0},
                {"crystals": ["NaCl", "MgO"], "given": {"e_above_hull": 0.2}, "value": 0.0},
            ],
        ),
        {
            "op": "population_share",
            "arg": {
                "op": "less",
                "left": _property("e_above_hull"),
                "right": {"op": "number", "value": 0.1, "unit": "eV/atom"},
            },
        },
        """\
def score(crystals, properties):
    energies = properties["e_above_hull"]
    return sum(energy < 0.1 for energy in energies) / len(energies) if energies else None
""",
        lambda batch: [float(np.mean(np.array(batch.properties["e_above_hull"]) < 0.1))],
    ),
)


def _diversity(compositions: Sequence[Composition]) -> float:
    def distance(a: Composition, b: Composition) -> float:
        elements = {*a.elements, *b.elements}
        return 0.5 * sum(abs(a.get_atomic_fraction(e) - b.get_atomic_fraction(e)) for e in elements)

    return float(np.mean([distance(a, b) for a, b in combinations(compositions, 2)]))


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _nearest(structure: Structure) -> float:
    shells = structure.get_all_neighbors(8.0)
    return float(np.mean([min(neighbor.nn_distance for neighbor in shell) for shell in shells]))


def _scarcest(structure: Structure) -> float:
    from ray_matdesign.rewards.scorers.abundance import crustal_abundances_ppm

    table = crustal_abundances_ppm()
    return math.log10(min(table[element.symbol] for element in structure.elements))
