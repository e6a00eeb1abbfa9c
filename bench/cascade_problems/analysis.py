"""Analysis: what a crystal's geometry, or a table of its properties, says."""

from __future__ import annotations

from random import Random
from typing import Any

from cascade_problems.crystals import (
    PEROVSKITES,
    ROCKSALTS,
    cif,
    cubic,
    from_cif,
    layered,
    near,
    rattled,
    rutile,
    wurtzite,
)
from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.tolerance import Tolerance

BOOK = Book("analysis")


def _prototype(rng: Random) -> dict[str, Any]:
    kind, table = rng.choice((("rocksalt", ROCKSALTS), ("perovskite", PEROVSKITES)))
    formula, a = near(rng, table)
    return {"prototype": kind, "formula": formula, "a": a}


def _one_cif(prototype: str, formula: str, a: float, **_: Any) -> dict[str, str]:
    return {"crystal.cif": cif(cubic(prototype, formula, a))}


def _ionic(rng: Random) -> dict[str, Any]:
    formula, a = near(rng, {name: ROCKSALTS[name] for name in ("MgO", "CaO", "SrO", "MnO", "NiO")})
    return {"prototype": "rocksalt", "formula": formula, "a": a, "cation": formula[:2]}


@BOOK.problem(
    "ewald-energy",
    functions="With pymatgen's `EwaldSummation`, compute the electrostatic energy (`total_energy`) "
    "of the whole cell in crystal.cif, where {cation} has the charge +2 and O -2.",
    goal="What is the electrostatic energy of the whole cell in crystal.cif if its ions are point "
    "charges, {cation} of +2 and O of -2 elementary charges?",
    answer_type="number",
    unit="eV",
    tolerance=Tolerance(relative=1e-3),
    packages=("pymatgen",),
    draw=_ionic,
    files=_one_cif,
)
def ewald_energy(prototype: str, formula: str, a: float, cation: str) -> float:
    """Energy of a cell of point charges, in eV."""
    from pymatgen.analysis.ewald import EwaldSummation

    crystal = from_cif(_one_cif(prototype, formula, a)["crystal.cif"])
    crystal.add_oxidation_state_by_element({cation: 2, "O": -2})
    return float(EwaldSummation(crystal).total_energy)


@BOOK.problem(
    "xrd-angles",
    functions="With pymatgen's `XRDCalculator`, compute the powder pattern of crystal.cif for "
    "{radiation} and list the scattering angles 2-theta of its first four peaks, from low to high.",
    goal="A powder of crystal.cif is examined with {radiation} radiation. At which scattering "
    "angles 2-theta, in degrees and from low to high, are the first four reflections that are not "
    "extinct?",
    answer_type="list",
    unit="degree",
    tolerance=Tolerance(absolute=0.02),
    packages=("pymatgen",),
    draw=lambda rng: _prototype(rng) | {"radiation": rng.choice(("CuKa", "MoKa", "CoKa", "CrKa"))},
    files=_one_cif,
)
def xrd_angles(prototype: str, formula: str, a: float, radiation: str) -> list[float]:
    """Angles of the first four peaks, in degrees."""
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    crystal = from_cif(_one_cif(prototype, formula, a)["crystal.cif"])
    pattern = XRDCalculator(wavelength=radiation).get_pattern(crystal, two_theta_range=(0, 120))
    return [float(angle) for angle in pattern.x[:4]]


def _stiffness(rng: Random) -> dict[str, Any]:
    c11, ratio = rng.uniform(150, 500), rng.uniform(0.2, 0.6)
    return {
        "c11": round(c11, 1),
        "c12": round(c11 * ratio, 1),
        "c44": round(c11 * rng.uniform(0.15, 0.5), 1),
    }


@BOOK.problem(
    "elastic-averages",
    functions="With pymatgen's `ElasticTensor.from_voigt`, compute `k_vrh`, `g_vrh` and "
    "`homogeneous_poisson` of a cubic crystal with C11 = {c11} GPa, C12 = {c12} GPa and "
    "C44 = {c44} GPa; answer with a dictionary with the keys bulk, shear and poisson.",
    goal="A polycrystal is made of a cubic crystal with C11 = {c11} GPa, C12 = {c12} GPa and "
    "C44 = {c44} GPa. Give its Voigt-Reuss-Hill bulk and shear moduli in GPa and its Poisson "
    "ratio, as a dictionary with the keys bulk, shear and poisson.",
    answer_type="object",
    tolerance=Tolerance(relative=2e-3),
    packages=("pymatgen",),
    draw=_stiffness,
)
def elastic_averages(c11: float, c12: float, c44: float) -> dict[str, float]:
    """Moduli in GPa, and Poisson's ratio."""
    import numpy as np
    from pymatgen.analysis.elasticity import ElasticTensor

    voigt = np.zeros((6, 6))
    voigt[:3, :3] = c12
    voigt[range(3), range(3)] = c11
    voigt[range(3, 6), range(3, 6)] = c44
    tensor = ElasticTensor.from_voigt(voigt)
    return {
        "bulk": float(tensor.k_vrh),
        "shear": float(tensor.g_vrh),
        "poisson": float(tensor.homogeneous_poisson),
    }


_VALENCES = (("TiO2", 4.59, 2.96), ("SnO2", 4.74, 3.19), ("GeO2", 4.40, 2.86), ("MnO2", 4.40, 2.87),
             ("VO2", 4.55, 2.86), ("MgF2", 4.62, 3.05), ("ZnF2", 4.70, 3.13),
             ("PbO2", 4.96, 3.39))  # fmt: skip


def _rutile(rng: Random) -> dict[str, Any]:
    formula, a, c = rng.choice(_VALENCES)
    stretch = rng.uniform(0.99, 1.01)
    return {"formula": formula, "a": round(a * stretch, 3), "c": round(c * stretch, 3)}


def _rutile_cif(formula: str, a: float, c: float, **_: Any) -> dict[str, str]:
    return {"crystal.cif": cif(rutile(formula, a, c))}


@BOOK.problem(
    "bond-lengths",
    functions="With pymatgen's `Structure.get_neighbors`, list the distances of the six nearest "
    "neighbours of the first site of crystal.cif, in rising order.",
    goal="crystal.cif is a rutile crystal. List the six bond lengths of its first site, a metal, "
    "in rising order.",
    answer_type="list",
    unit="A",
    tolerance=Tolerance(absolute=2e-3),
    packages=("pymatgen",),
    draw=_rutile,
    files=_rutile_cif,
)
def bond_lengths(formula: str, a: float, c: float) -> list[float]:
    """Distances in Angstrom."""
    crystal = from_cif(_rutile_cif(formula, a, c)["crystal.cif"])
    near_first = crystal.get_neighbors(crystal[0], 4.0)
    return sorted(float(each.nn_distance) for each in near_first)[:6]


@BOOK.problem(
    "bond-valence",
    functions="With pymatgen's `BVAnalyzer.get_valences`, assign valences to the sites of "
    "crystal.cif; answer with a dictionary by symbol of integers, and the key `sites` for the "
    "number of sites.",
    goal="Which valences do the ions in crystal.cif have, judged by its bond lengths? Answer "
    "with a dictionary of integers by chemical symbol, and with the number of sites under the "
    "key `sites`.",
    answer_type="object",
    tolerance=Tolerance(),
    packages=("pymatgen",),
    draw=_rutile,
    files=_rutile_cif,
)
def bond_valence(formula: str, a: float, c: float) -> dict[str, int]:
    """Valences by symbol."""
    from pymatgen.analysis.bond_valence import BVAnalyzer

    crystal = from_cif(_rutile_cif(formula, a, c)["crystal.cif"])
    valences = BVAnalyzer().get_valences(crystal)
    found = {site.specie.symbol: int(v) for site, v in zip(crystal, valences, strict=True)}
    return found | {"sites": len(crystal)}


_COORDINATED = (
    ("rocksalt", "MgO", 4.21), ("zincblende", "ZnS", 5.41), ("fluorite", "CaF2", 5.46),
    ("CsCl", "CsCl", 4.12), ("zincblende", "GaAs", 5.65), ("fluorite", "ZrO2", 5.09),
    ("rocksalt", "NaCl", 5.64), ("CsCl", "CsBr", 4.29), ("diamond", "Si", 5.43),
    ("zincblende", "SiC", 4.36), ("fluorite", "CeO2", 5.41),
)  # fmt: skip


def _three(rng: Random) -> dict[str, Any]:
    chosen = rng.sample(_COORDINATED, 3)
    return {"crystals": [[p, f, round(a * rng.uniform(0.99, 1.01), 3)] for p, f, a in chosen]}


def _three_cifs(crystals: list[list[Any]]) -> dict[str, str]:
    return {f"crystal_{i}.cif": cif(cubic(*told)) for i, told in enumerate(crystals, start=1)}


@BOOK.problem(
    "coordination",
    functions="With pymatgen's `CrystalNN.get_cn`, find the coordination number of the first "
    "site of crystal_1.cif, crystal_2.cif and crystal_3.cif; answer with the list of three "
    "integers.",
    goal="How many nearest neighbours, in the sense of pymatgen's CrystalNN, does the first site "
    "of crystal_1.cif, of crystal_2.cif and of crystal_3.cif have? Answer with a list of integers.",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("pymatgen",),
    draw=_three,
    files=_three_cifs,
)
def coordination(crystals: list[list[Any]]) -> list[int]:
    """Coordination numbers of first sites."""
    from pymatgen.analysis.local_env import CrystalNN

    texts = _three_cifs(crystals).values()
    return [int(CrystalNN().get_cn(from_cif(text), 0)) for text in texts]


_BONDED = ("MoS2", "WS2", "MgO", "GaAs", "Ar", "Kr")
"""Layers, networks, and atoms on their own."""


def _bonded(name: str) -> str:
    if name in ("MoS2", "WS2"):
        return cif(layered(name, 3.16, 12.3))
    if name in ("Ar", "Kr"):
        return cif(cubic("fcc", name, 5.4))
    return cif(cubic("rocksalt", name, 4.21) if name == "MgO" else cubic("zincblende", name, 5.65))


def _four_cifs(names: list[str]) -> dict[str, str]:
    return {f"crystal_{i}.cif": _bonded(name) for i, name in enumerate(names, start=1)}


@BOOK.problem(
    "dimensionality",
    functions="With pymatgen's `StructureGraph.from_local_env_strategy` and `JmolNN()`, draw the "
    "bonds of crystal_1.cif to crystal_4.cif, and with `get_dimensionality_larsen` list the four "
    "dimensionalities.",
    goal="In how many dimensions do bonds connect the atoms of crystal_1.cif to crystal_4.cif: 0 "
    "for separate atoms or molecules, 1 for chains, 2 for layers, 3 for networks? Answer with a "
    "list of four integers.",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("pymatgen",),
    draw=lambda rng: {"names": rng.sample(_BONDED, 4)},
    files=_four_cifs,
)
def dimensionality(names: list[str]) -> list[int]:
    """Dimensions of bonded components."""
    from pymatgen.analysis.dimensionality import get_dimensionality_larsen
    from pymatgen.analysis.graphs import StructureGraph
    from pymatgen.analysis.local_env import JmolNN

    graphs = [
        StructureGraph.from_local_env_strategy(from_cif(_bonded(name)), JmolNN()) for name in names
    ]
    return [int(get_dimensionality_larsen(graph)) for graph in graphs]


def _duplicates(rng: Random) -> dict[str, Any]:
    base = rng.sample(_COORDINATED[:6], 3)
    crystals = [[p, f, a, rng.choice((1, 2))] for p, f, a in base]
    copies = [[*told[:3], rng.choice((1, 2))] for told in rng.choices(crystals, k=3)]
    everything = crystals + copies
    rng.shuffle(everything)
    return {"crystals": everything, "seed": rng.randrange(10**6)}


def _duplicate_cifs(crystals: list[list[Any]], seed: int) -> dict[str, str]:
    texts = {}
    for number, (prototype, formula, a, repeated) in enumerate(crystals, start=1):
        crystal = cubic(prototype, formula, a)
        crystal.make_supercell([repeated, 1, 1])
        texts[f"crystal_{number}.cif"] = cif(rattled(crystal, seed + number, 0.01))
    return texts


@BOOK.problem(
    "structure-matching",
    functions="With pymatgen's `StructureMatcher()` and its `group_structures`, find which of "
    "crystal_1.cif to crystal_6.cif are the same crystal. Answer with a list of six integers: for "
    "each file, the lowest number of a file that holds the same crystal (its own if none before).",
    goal="Some of crystal_1.cif to crystal_6.cif hold the same crystal in another cell, apart from "
    "small displacements. Answer with a list of six integers: for each file, the lowest number "
    "of a file that holds the same crystal, its own number if none of the files before it does.",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("pymatgen",),
    draw=_duplicates,
    files=_duplicate_cifs,
)
def structure_matching(crystals: list[list[Any]], seed: int) -> list[int]:
    """Number of the first file with the same crystal."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    found = [from_cif(text) for text in _duplicate_cifs(crystals, seed).values()]
    matcher = StructureMatcher()
    return [
        next(i for i, other in enumerate(found, start=1) if matcher.fit(other, crystal))
        for crystal in found
    ]


def _facets(rng: Random) -> dict[str, Any]:
    energies = {hkl: round(rng.uniform(0.8, 1.4), 3) for hkl in ("111", "100", "110")}
    return {"a": round(rng.uniform(3.5, 4.2), 3), **{f"e{hkl}": e for hkl, e in energies.items()}}


@BOOK.problem(
    "wulff-shape",
    functions="With pymatgen's `WulffShape` (lattice `Lattice.cubic({a})`), build the equilibrium "
    "shape of a crystal with surface energies of {e111} J/m^2 for (111), {e100} J/m^2 for (100) "
    "and {e110} J/m^2 for (110), and give its `weighted_surface_energy`.",
    goal="A cubic crystal has the surface energies {e111} J/m^2 for (111), {e100} J/m^2 for "
    "(100) and {e110} J/m^2 for (110). What is the mean surface energy of its equilibrium shape, "
    "weighted by the area of the facets?",
    answer_type="number",
    unit="J/m^2",
    tolerance=Tolerance(absolute=2e-3),
    packages=("pymatgen",),
    draw=_facets,
)
def wulff_shape(a: float, e111: float, e100: float, e110: float) -> float:
    """Mean surface energy in J/m^2."""
    from pymatgen.analysis.wulff import WulffShape
    from pymatgen.core import Lattice

    facets = [(1, 1, 1), (1, 0, 0), (1, 1, 0)]
    shape = WulffShape(Lattice.cubic(a), facets, [e111, e100, e110])
    return float(shape.weighted_surface_energy)


def _shell(rng: Random) -> dict[str, Any]:
    a = rng.uniform(3.1, 3.3)
    return {
        "formula": rng.choice(("ZnO", "GaN", "AlN", "BeO")),
        "a": round(a, 3),
        "c": round(a * rng.uniform(1.58, 1.63), 3),
        "radius": round(rng.uniform(3.4, 5.2), 2),
    }


def _shell_cif(formula: str, a: float, c: float, **_: Any) -> dict[str, str]:
    return {"crystal.cif": cif(wurtzite(formula, a, c))}


@BOOK.problem(
    "neighbour-shell",
    functions="With pymatgen's `Structure.get_neighbors`, count the neighbours within {radius} "
    "Angstrom of the first site of crystal.cif and average their distances: a dictionary with the "
    "keys count and mean.",
    goal="How many atoms are within {radius} Angstrom of the first atom of crystal.cif, periodic "
    "images included and the atom itself not, and how far away are they on average? Answer with a "
    "dictionary: count, and mean in Angstrom.",
    answer_type="object",
    tolerance=Tolerance(absolute={"count": 0, "mean": 2e-3}),
    packages=("pymatgen",),
    draw=_shell,
    files=_shell_cif,
)
def neighbour_shell(formula: str, a: float, c: float, radius: float) -> dict[str, Any]:
    """Count, and mean distance in Angstrom."""
    crystal = from_cif(_shell_cif(formula, a, c)["crystal.cif"])
    found = [float(each.nn_distance) for each in crystal.get_neighbors(crystal[0], radius)]
    return {"count": len(found), "mean": sum(found) / len(found)}
