"""Coincident areas of films known to grow epitaxially, from measured lattice constants.

The published value is the area of the film's cell in the orientation in which it grows, worked out
from the film's measured lattice constants; ours starts from the relaxed crystal and is left to find
the orientation. Every mismatch is below 2.5 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from pymatgen.core import Lattice, Structure

from ray_matdesign.crystals.convert import from_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed
from validation import prototypes as of
from validation.frame import Row, Validation
from validation.relaxed import score_relaxed

FACTORY = "ray_matdesign.rewards.scorers.mcia:make"
INOUE = "Inoue et al., Appl. Phys. Lett. 56, 1332 (1990)"
TUNG = "Tung et al., Phys. Rev. Lett. 50, 429 (1983)"
ASANO = "Asano and Ishiwara, Appl. Phys. Lett. 42, 517 (1983)"
VOLZ = "Volz et al., J. Cryst. Growth 315, 37 (2011)"
MCKEE = "McKee et al., Phys. Rev. Lett. 81, 3014 (1998)"
HERFORT = "Herfort et al., Appl. Phys. Lett. 83, 3912 (2003)"
KREBS = "Krebs et al., J. Appl. Phys. 61, 2596 (1987)"
HARBISON = "Harbison et al., Appl. Phys. Lett. 53, 1717 (1988)"
COMMON = "lattice constants: CRC Handbook"
CUBE, TURNED, DOUBLE, BASAL = "cube on cube", "turned by 45 degrees", "two by two", "basal on basal"


def _fluorite_silicide(metal: str, a: float) -> Crystal:
    return of.fluorite(metal, "Si", a)


def _fe3si(a: float) -> Crystal:
    places = [[0.0] * 3, [0.5] * 3, [0.25] * 3]
    structure = Structure.from_spacegroup(225, Lattice.cubic(a), ["Si", "Fe", "Fe"], places)
    return from_pymatgen(structure.get_primitive_structure())


GROWN: tuple[tuple[str, str, Crystal, float, str, str], ...] = (
    ("CeO2", "Si", of.fluorite("Ce", "O", 5.411), 5.411, CUBE, INOUE),
    ("NiSi2", "Si", _fluorite_silicide("Ni", 5.406), 5.406, CUBE, TUNG),
    ("CoSi2", "Si", _fluorite_silicide("Co", 5.365), 5.365, CUBE, TUNG),
    ("CaF2", "Si", of.fluorite("Ca", "F", 5.463), 5.463, CUBE, ASANO),
    ("GaP", "Si", of.zincblende("Ga", "P", 5.4505), 5.4505, CUBE, VOLZ),
    ("AlP", "Si", of.zincblende("Al", "P", 5.4635), 5.4635, CUBE, COMMON),
    ("SrTiO3", "Si", of.perovskite("Sr", "Ti", "O", 3.905), 3.905, TURNED, MCKEE),
    ("Ge", "GaAs", of.diamond("Ge", 5.6579), 5.6579, CUBE, COMMON),
    ("ZnSe", "GaAs", of.zincblende("Zn", "Se", 5.6676), 5.6676, CUBE, COMMON),
    ("AlAs", "GaAs", of.zincblende("Al", "As", 5.6605), 5.6605, CUBE, COMMON),
    ("Fe3Si", "GaAs", _fe3si(5.65), 5.65, CUBE, HERFORT),
    ("Fe", "GaAs", of.bcc("Fe", 2.8665), 2.8665, DOUBLE, KREBS),
    ("NiAl", "GaAs", of.caesium_chloride("Ni", "Al", 2.887), 2.887, DOUBLE, HARBISON),
    ("TiN", "MgO", of.rocksalt("Ti", "N", 4.241), 4.241, CUBE, COMMON),
    ("VN", "MgO", of.rocksalt("V", "N", 4.139), 4.139, CUBE, COMMON),
    ("NiO", "MgO", of.rocksalt("Ni", "O", 4.177), 4.177, CUBE, COMMON),
    ("CoO", "MgO", of.rocksalt("Co", "O", 4.26), 4.26, CUBE, COMMON),
    ("Pt", "SrTiO3", of.fcc("Pt", 3.9236), 3.9236, CUBE, COMMON),
    ("Pd", "SrTiO3", of.fcc("Pd", 3.8907), 3.8907, CUBE, COMMON),
    ("Al", "Ag", of.fcc("Al", 4.0495), 4.0495, CUBE, COMMON),
    ("Au", "Ag", of.fcc("Au", 4.0782), 4.0782, CUBE, COMMON),
    ("BN", "C", of.zincblende("B", "N", 3.6157), 3.6157, CUBE, COMMON),
    ("Cu", "C", of.fcc("Cu", 3.6149), 3.6149, CUBE, COMMON),
    ("AlN", "GaN", of.wurtzite("Al", "N", 3.112, 4.982), 3.112, BASAL, COMMON),
    ("AlN", "4H-SiC", of.wurtzite("Al", "N", 3.112, 4.982), 3.112, BASAL, COMMON),
    ("GaN", "ZnO", of.wurtzite("Ga", "N", 3.189, 5.185), 3.189, BASAL, COMMON),
)
"""Film, substrate (its usual face), film's crystal, its lattice constant a (Angstrom), how its cell
lies on the substrate's, and a report of its growth where the orientation is not the obvious one."""
CELLS = {CUBE: 1.0, TURNED: 2.0, DOUBLE: 4.0, BASAL: math.sqrt(3) / 2}
"""Area of the common cell in units of a^2."""
QUICK = 5


def validate(data: Path | None, *, quick: bool, pool: ProcessPoolExecutor) -> list[Validation]:
    """Relaxes the films and matches them.

    Args:
        data: Not used: the crystals are all in this file.
        quick: A handful of them only.
        pool: Of single-threaded workers.
    """
    chosen = GROWN[9 : 9 + QUICK] if quick else GROWN
    areas: dict[int, float | Failed] = {}
    for substrate in dict.fromkeys(row[1] for row in chosen):
        places = [k for k, row in enumerate(chosen) if row[1] == substrate]
        films = [chosen[k][2] for k in places]
        areas |= zip(places, score_relaxed(FACTORY, films, pool, substrate=substrate), strict=True)
    rows = [_row(row, areas[k]) for k, row in enumerate(chosen)]
    return [Validation("mcia", "films known to grow epitaxially", "A^2", tuple(rows))]


def _row(grown: Sequence[object], found: float | Failed) -> Row:
    film, substrate, _, a, orientation, grower = grown
    assert isinstance(a, float)
    assert isinstance(orientation, str)
    published = CELLS[orientation] * a**2
    name, source = f"{film} on {substrate}", f"{orientation}, a = {a} A ({grower})"
    if isinstance(found, Failed):
        return Row(name, published, source, None, found.reason)
    return Row(name, published, source, found)
