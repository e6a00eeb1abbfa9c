"""Crystals that questions are about, and the texts they are handed over in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

ROCKSALTS = {"MgO": 4.21, "CaO": 4.81, "SrO": 5.16, "NaCl": 5.64, "LiF": 4.03, "KCl": 6.29,
             "MnO": 4.44, "NiO": 4.18, "TiN": 4.24, "ZrC": 4.69}  # fmt: skip
"""Lattice constants of rocksalt crystals, in Angstrom, from which questions depart at random."""

PEROVSKITES = {"SrTiO3": 3.905, "BaTiO3": 4.00, "KNbO3": 4.02, "LaAlO3": 3.79, "CaTiO3": 3.84,
               "KMgF3": 3.99, "BaZrO3": 4.19}  # fmt: skip
"""Likewise of cubic perovskites, named after their A site first."""

_POINT = ((0.0, 0.0, 0.0),)
_BODY = (*_POINT, (0.5, 0.5, 0.5))
_FACES = (*_POINT, (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
_RHOMBOHEDRAL = (*_POINT, (2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3))

_Points = tuple[tuple[float, float, float], ...]

_CUBIC: Mapping[str, tuple[_Points, tuple[_Points, ...]]] = {
    "rocksalt": (_FACES, (_POINT, ((0.5, 0.5, 0.5),))),
    "zincblende": (_FACES, (_POINT, ((0.25, 0.25, 0.25),))),
    "fluorite": (_FACES, (_POINT, ((0.25, 0.25, 0.25), (0.75, 0.75, 0.75)))),
    "diamond": (_FACES, (((0.0, 0.0, 0.0), (0.25, 0.25, 0.25)),)),
    "fcc": (_FACES, (_POINT,)),
    "CsCl": (_POINT, (_POINT, ((0.5, 0.5, 0.5),))),
    "perovskite": (_POINT, (_POINT, ((0.5, 0.5, 0.5),), _FACES[1:])),
}
"""Centring of each cubic prototype, and the sites of the formula's elements, in their order."""


def cubic(prototype: str, formula: str, a: float) -> Structure:
    """A conventional cell.

    Args:
        prototype: Key of ``_CUBIC``.
        formula: Its elements fill the sites in this order.
        a: Lattice constant in Angstrom.
    """
    from pymatgen.core import Lattice

    centring, sites = _CUBIC[prototype]
    return _crystal(Lattice.cubic(a), centring, _elements(formula), sites)


def wurtzite(formula: str, a: float, c: float, u: float = 0.38) -> Structure:
    """A conventional cell of four atoms; lengths in Angstrom."""
    from pymatgen.core import Lattice

    sites = [[(1 / 3, 2 / 3, z), (2 / 3, 1 / 3, z + 0.5)] for z in (0.0, u)]
    return _crystal(Lattice.hexagonal(a, c), _POINT, _elements(formula), sites)


def rutile(formula: str, a: float, c: float, u: float = 0.305) -> Structure:
    """A conventional cell of six atoms; lengths in Angstrom."""
    from pymatgen.core import Lattice

    v = u + 0.5
    anions = [(u, u, 0.0), (1 - u, 1 - u, 0.0), (v, 1 - v, 0.5), (1 - v, v, 0.5)]
    return _crystal(Lattice.tetragonal(a, c), _POINT, _elements(formula), [_BODY, anions])


def layered(formula: str, a: float, c: float, z: float = 0.621) -> Structure:
    """A 2H dichalcogenide: six atoms in two layers; lengths in Angstrom."""
    from pymatgen.core import Lattice

    near, far = (1 / 3, 2 / 3), (2 / 3, 1 / 3)
    metals = [(*near, 0.25), (*far, 0.75)]
    others = [(*near, z), (*far, z - 0.5), (*near, 1.5 - z), (*far, 1 - z)]
    return _crystal(Lattice.hexagonal(a, c), _POINT, _elements(formula), [metals, others])


def layered_oxide(metal: str, a: float, c: float, *, lithium: bool = True) -> Structure:
    """LiMO2 of the O3 type, or its empty host: a primitive cell of one formula unit.

    Args:
        metal: Its symbol.
        a: Of the hexagonal cell, in Angstrom.
        c: Likewise.
        lithium: Whether the lithium is there.
    """
    from pymatgen.core import Lattice

    elements = ["Li", metal, "O"]
    sites: list[_Points] = [((0.0, 0.0, 0.5),), _POINT, ((0.0, 0.0, 0.24), (0.0, 0.0, 0.76))]
    first = 0 if lithium else 1
    hexagonal = _crystal(Lattice.hexagonal(a, c), _RHOMBOHEDRAL, elements[first:], sites[first:])
    return hexagonal.get_primitive_structure().get_sorted_structure()


def _elements(formula: str) -> list[str]:
    from pymatgen.core import Composition

    return [str(element) for element in Composition(formula)]


def _crystal(
    lattice: Any, centring: _Points, elements: Sequence[str], sites: Sequence[Sequence[Any]]
) -> Structure:
    """A cell in which every element fills its sites, at each point of the centring."""
    import numpy as np
    from pymatgen.core import Structure

    species, places = [], []
    for element, points in zip(elements, sites, strict=True):
        for point in points:
            for shift in centring:
                species.append(element)
                places.append(np.mod(np.add(point, shift), 1.0))
    return Structure(lattice, species, places)


def cif(crystal: Structure) -> str:
    """Text of a CIF file without symmetry: the sites stay in their order."""
    return str(crystal.to(fmt="cif"))


def from_cif(text: str) -> Structure:
    """What a reader of the text gets."""
    from pymatgen.core import Structure

    return Structure.from_str(text, fmt="cif")


def extxyz(frames: list[Atoms]) -> str:
    """Text of an extended XYZ file."""
    from io import StringIO

    from ase.io import write

    text = StringIO()
    write(text, frames, format="extxyz")
    return text.getvalue()


def rattled(crystal: Structure, seed: int, distance: float) -> Structure:
    """A copy with every atom moved by a distance in Angstrom, in directions of the seed's."""
    import numpy as np

    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(len(crystal), 3))
    steps *= distance / np.linalg.norm(steps, axis=1, keepdims=True)
    moved = crystal.copy()
    for index, step in enumerate(steps):
        moved.translate_sites([index], step, frac_coords=False)
    return moved


def near(rng: Any, table: Mapping[str, float], spread: float = 0.03) -> tuple[str, float]:
    """A formula of a table, with its lattice constant stretched or squeezed a little."""
    formula = rng.choice(sorted(table))
    return formula, round(table[formula] * rng.uniform(1 - spread, 1 + spread), 3)
