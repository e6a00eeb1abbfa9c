"""Processing: crystals turned into other crystals, cells, grids and numbers."""

from __future__ import annotations

from itertools import combinations
from random import Random
from typing import Any

from cascade_problems.crystals import (
    PEROVSKITES,
    cif,
    cubic,
    from_cif,
    near,
    rutile,
    wurtzite,
)
from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.tolerance import Tolerance

BOOK = Book("processing")


def _triclinic(rng: Random) -> dict[str, Any]:
    lengths = [round(rng.uniform(3, 9), 2) for _ in range(3)]
    angles = [round(rng.uniform(55, 125), 1) for _ in range(3)]
    if not 300 < sum(angles) < 330 or max(angles) > 115:
        angles = [round(rng.uniform(75, 105), 1) for _ in range(3)]
    return {"lengths": lengths, "angles": angles, "shear": [rng.randint(1, 2), rng.randint(-2, -1)]}


@BOOK.problem(
    "niggli-cell",
    functions="With pymatgen's `Lattice.from_parameters` and `get_niggli_reduced_lattice`, "
    "reduce the lattice with a, b, c = {lengths} Angstrom and alpha, beta, gamma = {angles} "
    "degrees, and list the three lengths of the reduced cell in rising order.",
    goal="A lattice has the basis lengths {lengths} Angstrom and angles (alpha, beta, gamma) of "
    "{angles} degrees. List the three lengths of its Niggli-reduced cell in rising order.",
    answer_type="list",
    unit="A",
    tolerance=Tolerance(absolute=2e-3),
    packages=("pymatgen",),
    draw=_triclinic,
)
def niggli_cell(lengths: list[float], angles: list[float], shear: list[int]) -> list[float]:
    """Lengths in Angstrom."""
    from pymatgen.core import Lattice

    lattice = Lattice.from_parameters(*lengths, *angles)
    return sorted(float(length) for length in lattice.get_niggli_reduced_lattice().abc)


_HOSTS = (
    ("rocksalt", "MgO", 4.21, (2, 1, 1)), ("zincblende", "ZnS", 5.41, (2, 1, 1)),
    ("CsCl", "CsCl", 4.12, (2, 2, 2)), ("CsCl", "CsCl", 4.12, (4, 2, 1)),
    ("CsCl", "CsCl", 4.12, (3, 2, 1)), ("CsCl", "CsCl", 4.12, (7, 1, 1)),
    ("CsCl", "CsCl", 4.12, (5, 1, 1)), ("CsCl", "CsCl", 4.12, (8, 1, 1)),
)  # fmt: skip
"""Cells with five to eight sites of the metal."""


def _substitution(rng: Random) -> dict[str, Any]:
    prototype, formula, a, repeats = rng.choice(_HOSTS)
    return {
        "prototype": prototype,
        "formula": formula,
        "a": a,
        "metal": formula[:2],
        "guest": rng.choice(("Cd", "Mn", "Rb", "Tl")),
        "repeats": list(repeats),
    }


def _substituted_cif(
    prototype: str, formula: str, a: float, repeats: list[int], **_: Any
) -> dict[str, str]:
    crystal = cubic(prototype, formula, a)
    crystal.make_supercell(repeats)
    return {"crystal.cif": cif(crystal)}


@BOOK.problem(
    "distinct-orderings",
    functions="Replace two, and then three, of the {metal} atoms of crystal.cif by {guest} in "
    "every possible way, count with pymatgen's `StructureMatcher().group_structures` how many of "
    "the results differ, and list both numbers.",
    goal="In how many ways that differ by symmetry can two of the {metal} atoms of the cell in "
    "crystal.cif be replaced by {guest}, and in how many three? List both numbers. Two results are "
    "the same if one crystal can be laid over the other.",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("pymatgen",),
    draw=_substitution,
    files=_substituted_cif,
)
def distinct_orderings(metal: str, guest: str, **told: Any) -> list[int]:
    """Numbers of distinct crystals."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    crystal = from_cif(_substituted_cif(**told)["crystal.cif"])
    places = [i for i, site in enumerate(crystal) if site.specie.symbol == metal]
    counts = []
    for number in (2, 3):
        made = []
        for chosen in combinations(places, number):
            changed = crystal.copy()
            for index in chosen:
                changed.replace(index, guest)
            made.append(changed)
        counts.append(len(StructureMatcher().group_structures(made)))
    return counts


def _doped(rng: Random) -> dict[str, Any]:
    formula, a = near(rng, PEROVSKITES)
    return {
        "formula": formula,
        "a": a,
        "repeats": [rng.randint(1, 3), rng.randint(1, 3), rng.randint(1, 2)],
        "removed": rng.randint(1, 2),
    }


def _doped_cif(formula: str, a: float, **_: Any) -> dict[str, str]:
    return {"crystal.cif": cif(cubic("perovskite", formula, a))}


@BOOK.problem(
    "vacancy-density",
    functions="With pymatgen's `Structure.make_supercell`, repeat crystal.cif {repeats} times "
    "along a, b, c, remove {removed} atom(s) of its anion with `remove_sites`, and give `density`.",
    goal="The cell of crystal.cif is repeated {repeats} times along its axes, and {removed} of the "
    "anions are taken out while the lattice stays as it is. What is the density?",
    answer_type="number",
    unit="g/cm3",
    tolerance=Tolerance(absolute=2e-3),
    packages=("pymatgen",),
    draw=_doped,
    files=_doped_cif,
)
def vacancy_density(formula: str, a: float, repeats: list[int], removed: int) -> float:
    """Density in g/cm3."""
    crystal = from_cif(_doped_cif(formula, a)["crystal.cif"])
    crystal.make_supercell(repeats)
    anions = [i for i, site in enumerate(crystal) if site.specie.symbol in ("O", "F")]
    crystal.remove_sites(anions[:removed])
    return float(crystal.density)


def _deformation(rng: Random) -> dict[str, Any]:
    rows = [[round((i == j) + rng.uniform(-0.06, 0.06), 3) for j in range(3)] for i in range(3)]
    return {"gradient": rows}


@BOOK.problem(
    "lagrange-strain",
    functions="With pymatgen's `Deformation({gradient}).green_lagrange_strain`, compute the "
    "strain and list its Voigt components (`voigt`: xx, yy, zz, 2yz, 2xz, 2xy).",
    goal="A crystal is deformed with the deformation gradient {gradient} (rows). List its "
    "Green-Lagrange strain in Voigt notation: xx, yy, zz, then twice yz, xz and xy.",
    answer_type="list",
    tolerance=Tolerance(absolute=2e-5),
    packages=("pymatgen",),
    draw=_deformation,
)
def lagrange_strain(gradient: list[list[float]]) -> list[float]:
    """Six components."""
    from pymatgen.analysis.elasticity import Deformation

    return [float(part) for part in Deformation(gradient).green_lagrange_strain.voigt]


def _grid(rng: Random) -> dict[str, Any]:
    a = rng.uniform(3.0, 6.0)
    return {
        "formula": rng.choice(("TiO2", "SnO2", "MgF2", "GeO2")),
        "a": round(a, 3),
        "c": round(a * rng.uniform(0.6, 0.7), 3),
        "density": rng.choice((40, 60, 90, 120)),
    }


@BOOK.problem(
    "kpoint-grid",
    functions="With pymatgen's `Kpoints.automatic_density_by_vol(structure, {density})`, list the "
    "three subdivisions for the cell in crystal.cif.",
    goal="Which automatic k-point mesh (three integers) does pymatgen choose for crystal.cif at a "
    "density of {density} k-points per inverse cubic Angstrom of reciprocal space?",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("pymatgen",),
    draw=_grid,
    files=lambda formula, a, c, **_: {"crystal.cif": cif(rutile(formula, a, c))},
)
def kpoint_grid(formula: str, a: float, c: float, density: int) -> list[int]:
    """Subdivisions."""
    from pymatgen.io.vasp.inputs import Kpoints

    crystal = from_cif(cif(rutile(formula, a, c)))
    return [int(n) for n in Kpoints.automatic_density_by_vol(crystal, density).kpts[0]]


def _compound(rng: Random) -> dict[str, Any]:
    elements = rng.sample(
        ["Li", "Na", "Mg", "Ca", "Ti", "Zr", "Fe", "Co", "Ni", "Zn", "Al", "Si", "Ge"], 2
    )
    anion = rng.choice(("O", "S", "F", "N"))
    amounts = [rng.randint(1, 3), rng.randint(1, 4), rng.randint(2, 7)]
    parts = zip((*elements, anion), amounts, strict=True)
    return {"formula": "".join(f"{symbol}{n if n > 1 else ''}" for symbol, n in parts)}


@BOOK.problem(
    "magpie-features",
    functions="SMACT carries Magpie's table of elements as data/magpie.csv in its package. Compute "
    "the mean and the average deviation, weighted by atomic fractions, of `Electronegativity` "
    "and of `CovalentRadius` over {formula}: a dictionary with the keys x_mean, x_dev, r_mean, "
    "r_dev.",
    goal="Featurise {formula} in the manner of Magpie: the mean, and the mean absolute deviation "
    "from it, of the elements' electronegativity (x_mean, x_dev) and covalent radius in pm "
    "(r_mean, r_dev), weighted by atomic fractions, from the Magpie table packaged with SMACT.",
    answer_type="object",
    tolerance=Tolerance(relative=1e-3),
    packages=("smact", "pymatgen", "pandas"),
    draw=_compound,
)
def magpie_features(formula: str) -> dict[str, float]:
    """Means and deviations."""
    from importlib.resources import files

    import pandas as pd
    from pymatgen.core import Composition

    with (files("smact") / "data" / "magpie.csv").open() as file:
        table = pd.read_csv(file, index_col="element", keep_default_na=False)
    shares = {str(e): x for e, x in Composition(formula).fractional_composition.items()}
    features = {}
    for key, column in (("x", "Electronegativity"), ("r", "CovalentRadius")):
        values = {symbol: float(table.loc[symbol, column]) for symbol in shares}
        mean = sum(shares[symbol] * value for symbol, value in values.items())
        features[f"{key}_mean"] = mean
        features[f"{key}_dev"] = sum(shares[s] * abs(v - mean) for s, v in values.items())
    return features


def _path(rng: Random) -> dict[str, Any]:
    a = rng.uniform(3.0, 3.4)
    return {
        "formula": rng.choice(("ZnO", "GaN", "AlN", "ZnS")),
        "a": round(a, 3),
        "c": round(a * rng.uniform(1.55, 1.66), 3),
        "shift": [round(rng.uniform(0.02, 0.2), 3) for _ in range(3)],
        "images": rng.randint(3, 8),
    }


@BOOK.problem(
    "interpolated-image",
    functions="Move the second site of crystal.cif by {shift} in fractional coordinates. With "
    "pymatgen's `Structure.interpolate(end, nimages={images})`, take the image of index 2 and give "
    "the distance of its first two sites (`get_distance`).",
    goal="Between crystal.cif and a copy whose second site is moved by {shift} in fractional "
    "coordinates, all coordinates are interpolated linearly in {images} equal steps. How far "
    "apart, by the nearest periodic image, are the first two sites after two steps?",
    answer_type="number",
    unit="A",
    tolerance=Tolerance(absolute=2e-3),
    packages=("pymatgen",),
    draw=_path,
    files=lambda formula, a, c, **_: {"crystal.cif": cif(wurtzite(formula, a, c))},
)
def interpolated_image(formula: str, a: float, c: float, shift: list[float], images: int) -> float:
    """Distance in Angstrom."""
    start = from_cif(cif(wurtzite(formula, a, c)))
    end = start.copy()
    end.translate_sites([1], shift, to_unit_cell=False)
    path = start.interpolate(end, nimages=images)
    return float(path[2].get_distance(0, 1))
