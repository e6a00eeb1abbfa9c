"""Processing: what symmetry makes of a crystal."""

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
)
from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.tolerance import Tolerance

BOOK = Book("processing")


def _hidden(rng: Random) -> dict[str, Any]:
    prototype = rng.choice(("rocksalt", "zincblende", "perovskite"))
    table = {"rocksalt": ROCKSALTS, "perovskite": PEROVSKITES}.get(
        prototype, {"ZnS": 5.41, "GaAs": 5.65, "SiC": 4.36, "InP": 5.87, "CuCl": 5.42}
    )
    formula, a = near(rng, table)
    return {"prototype": prototype, "formula": formula, "a": a}


def _primitive_cif(prototype: str, formula: str, a: float, **_: Any) -> dict[str, str]:
    return {"crystal.cif": cif(cubic(prototype, formula, a).get_primitive_structure())}


@BOOK.problem(
    "conventional-cell",
    functions="With pymatgen's `SpacegroupAnalyzer.get_conventional_standard_structure`, find the "
    "conventional cell of crystal.cif: a dictionary with a, b, c in Angstrom and the number of "
    "atoms as `atoms`.",
    goal="crystal.cif holds a primitive cell. Give the lattice constants a, b and c of the "
    "standard conventional cell in Angstrom, and its number of atoms as `atoms`, in a dictionary.",
    answer_type="object",
    tolerance=Tolerance(absolute={"a": 2e-3, "b": 2e-3, "c": 2e-3, "atoms": 0}),
    packages=("pymatgen",),
    draw=_hidden,
    files=_primitive_cif,
)
def conventional_cell(prototype: str, formula: str, a: float) -> dict[str, Any]:
    """Lattice constants in Angstrom and number of atoms."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    crystal = from_cif(_primitive_cif(prototype, formula, a)["crystal.cif"])
    cell = SpacegroupAnalyzer(crystal).get_conventional_standard_structure()
    return {**dict(zip("abc", map(float, cell.lattice.abc), strict=True)), "atoms": len(cell)}


def _supercell(rng: Random) -> dict[str, Any]:
    return _hidden(rng) | {
        "repeats": [rng.randint(1, 3), rng.randint(1, 3), rng.randint(1, 2)],
        "seed": rng.randrange(10**6),
    }


def _supercell_cif(
    prototype: str, formula: str, a: float, repeats: list[int], seed: int
) -> dict[str, str]:
    crystal = cubic(prototype, formula, a)
    crystal.make_supercell(repeats)
    return {"crystal.cif": cif(rattled(crystal, seed, 0.001))}


@BOOK.problem(
    "primitive-cell",
    functions="With `spglib.find_primitive(..., symprec=0.05)`, find the primitive cell of "
    "crystal.cif: a dictionary with its number of `atoms` and its `volume` in A^3.",
    goal="crystal.cif holds a repeated cell whose atoms are off their ideal places by about 0.001 "
    "Angstrom. How many atoms does the primitive cell have (symmetry tolerance: 0.05 Angstrom), "
    "and what is its volume? Answer with a dictionary: atoms, and volume in A^3.",
    answer_type="object",
    tolerance=Tolerance(absolute={"atoms": 0, "volume": 0.05}),
    packages=("pymatgen", "spglib"),
    draw=_supercell,
    files=_supercell_cif,
)
def primitive_cell(
    prototype: str, formula: str, a: float, repeats: list[int], seed: int
) -> dict[str, Any]:
    """Number of atoms, and volume in cubic Angstrom."""
    import numpy as np
    import spglib

    text = _supercell_cif(prototype, formula, a, repeats, seed)["crystal.cif"]
    lattice, _, numbers = spglib.find_primitive(_cell(from_cif(text)), symprec=0.05)
    return {"atoms": len(numbers), "volume": float(abs(np.linalg.det(lattice)))}


def _cell(crystal: Any) -> tuple[Any, Any, list[int]]:
    """What spglib takes."""
    return crystal.lattice.matrix, crystal.frac_coords, [int(z) for z in crystal.atomic_numbers]


_POLAR = ((0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 0, 1), (1, 1, 1))
"""Directions in which the B atom leaves its place; c is the stretched axis."""


def _distorted(rng: Random) -> dict[str, Any]:
    formula, a = near(rng, PEROVSKITES)
    return {
        "formula": formula,
        "a": a,
        "stretch": round(rng.uniform(1.01, 1.04), 4),
        "shift": round(rng.uniform(0.02, 0.05), 4),
        "directions": [list(direction) for direction in rng.sample(_POLAR, 3)],
    }


def _distorted_cifs(
    formula: str, a: float, stretch: float, shift: float, directions: list[list[int]]
) -> dict[str, str]:
    from pymatgen.core import Lattice, Structure

    ideal = cubic("perovskite", formula, a)
    lattice = Lattice.tetragonal(a, a * stretch)
    texts = {}
    for number, direction in enumerate(directions, start=1):
        polar = Structure(lattice, ideal.species, ideal.frac_coords)
        polar.translate_sites([1], [shift * part for part in direction])
        texts[f"crystal_{number}.cif"] = cif(polar)
    return texts


@BOOK.problem(
    "broken-symmetry",
    functions="With `spglib.get_symmetry_dataset(..., symprec=0.001)`, list the space-group "
    "numbers of crystal_1.cif, crystal_2.cif and crystal_3.cif.",
    goal="crystal_1.cif, crystal_2.cif and crystal_3.cif are slightly distorted perovskites. "
    "List the numbers of their space groups, by a tolerance of 0.001 Angstrom that keeps the "
    "distortions.",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("pymatgen", "spglib"),
    draw=_distorted,
    files=_distorted_cifs,
)
def broken_symmetry(**told: Any) -> list[int]:
    """Numbers of space groups."""
    import spglib

    cells = [_cell(from_cif(text)) for text in _distorted_cifs(**told).values()]
    return [int(spglib.get_symmetry_dataset(cell, symprec=0.001).number) for cell in cells]


def _mesh(rng: Random) -> dict[str, Any]:
    return _hidden(rng) | {"mesh": [rng.randint(3, 8)] * 3}


@BOOK.problem(
    "irreducible-points",
    functions="With `spglib.get_ir_reciprocal_mesh({mesh}, ..., is_shift=[0, 0, 0])`, count the "
    "irreducible k-points of the primitive cell in crystal.cif.",
    goal="How many k-points of a Gamma-centred {mesh} mesh are left, for the cell in "
    "crystal.cif, when those that symmetry and time reversal make equal are counted once?",
    answer_type="integer",
    tolerance=Tolerance(),
    packages=("pymatgen", "spglib"),
    draw=_mesh,
    files=_primitive_cif,
)
def irreducible_points(prototype: str, formula: str, a: float, mesh: list[int]) -> int:
    """Number of k-points."""
    import numpy as np
    import spglib

    cell = _cell(from_cif(_primitive_cif(prototype, formula, a)["crystal.cif"]))
    mapping, _ = spglib.get_ir_reciprocal_mesh(mesh, cell, is_shift=[0, 0, 0])
    return len(np.unique(mapping))


def _planes(rng: Random) -> dict[str, Any]:
    formula, a = rng.choice((("TiO2", 4.59), ("MgO", 4.21), ("MoS2", 3.16), ("SrTiO3", 3.905)))
    return {
        "formula": formula,
        "a": round(a * rng.uniform(0.98, 1.02), 3),
        "highest": rng.randint(2, 4),
    }


def _planes_cif(formula: str, a: float, **_: Any) -> dict[str, str]:
    if formula == "TiO2":
        crystal = rutile(formula, a, 0.64 * a)
    elif formula == "MoS2":
        crystal = layered(formula, a, 3.9 * a)
    else:
        crystal = cubic("rocksalt" if formula == "MgO" else "perovskite", formula, a)
    return {"crystal.cif": cif(crystal)}


@BOOK.problem(
    "distinct-planes",
    functions="With pymatgen's `get_symmetrically_distinct_miller_indices(structure, {highest})`, "
    "count the distinct planes of crystal.cif with Miller indices up to {highest}.",
    goal="How many lattice planes of the cell in crystal.cif that symmetry does not make "
    "equivalent have Miller indices (hkl) of at most {highest} in magnitude, without a common "
    "divisor?",
    answer_type="integer",
    tolerance=Tolerance(),
    packages=("pymatgen",),
    draw=_planes,
    files=_planes_cif,
)
def distinct_planes(formula: str, a: float, highest: int) -> int:
    """Number of families of planes."""
    from pymatgen.core.surface import get_symmetrically_distinct_miller_indices

    crystal = from_cif(_planes_cif(formula, a)["crystal.cif"])
    return len(get_symmetrically_distinct_miller_indices(crystal, highest))
