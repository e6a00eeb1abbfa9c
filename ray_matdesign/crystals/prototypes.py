"""Structure types to build crystals from.

Space groups, Wyckoff positions and axial ratios are those of the compound each type is named after,
as any table of crystal structures has them; ratios and free coordinates are starting points that a
relaxation changes. Antifluorite is fluorite with the anion on the first site, antiperovskites and
inverse spinels follow likewise, and so have no entries of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from ray_matdesign.crystals.convert import from_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.geometry import Floats
from ray_matdesign.crystals.volumes import guessed_volumes, site_distances

Point = tuple[float, float, float]


@dataclass(frozen=True)
class StructureType:
    """A structure type in its conventional setting.

    Attributes:
        spacegroup: Number in the International Tables; of two origins, the first.
        sites: A point on each Wyckoff position that takes an element, fractional.
        c_over_a: Of the conventional cell; ``b`` is ``a``.
        hexagonal: Whether gamma is 120 degrees; else all angles are 90.
    """

    spacegroup: int
    sites: tuple[Point, ...]
    c_over_a: float = 1.0
    hexagonal: bool = False


_THIRD, _TWO_THIRDS = 1.0 / 3.0, 2.0 / 3.0
_CORNER, _CENTRE, _QUARTER = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
_FACE, _EDGE = (0.5, 0.5, 0.0), (0.0, 0.0, 0.5)
_FIVE_EIGHTHS = (0.625, 0.625, 0.625)

STRUCTURE_TYPES: Mapping[str, StructureType] = {
    # A
    "diamond": StructureType(227, (_CORNER,)),
    "lonsdaleite": StructureType(
        194, ((_THIRD, _TWO_THIRDS, 0.0625),), 1.633, hexagonal=True
    ),
    # AB
    "rock_salt": StructureType(225, (_CORNER, _CENTRE)),
    "caesium_chloride": StructureType(221, (_CORNER, _CENTRE)),
    "zinc_blende": StructureType(216, (_CORNER, _QUARTER)),
    "wurtzite": StructureType(
        186, ((_THIRD, _TWO_THIRDS, 0.0), (_THIRD, _TWO_THIRDS, 0.375)), 1.633, hexagonal=True
    ),
    "nickel_arsenide": StructureType(
        194, (_CORNER, (_THIRD, _TWO_THIRDS, 0.25)), 1.39, hexagonal=True
    ),
    "copper_gold": StructureType(123, (_CORNER, _CENTRE), 1.31),  # L1_0
    "tungsten_carbide": StructureType(
        187, (_CORNER, (_THIRD, _TWO_THIRDS, 0.5)), 0.976, hexagonal=True
    ),
    # AB2
    "fluorite": StructureType(225, (_CORNER, _QUARTER)),
    "rutile": StructureType(136, (_CORNER, (0.305, 0.305, 0.0)), 0.644),
    "cadmium_iodide": StructureType(
        164, (_CORNER, (_THIRD, _TWO_THIRDS, 0.25)), 1.61, hexagonal=True
    ),
    "laves_c15": StructureType(227, (_CORNER, _FIVE_EIGHTHS)),
    "aluminium_diboride": StructureType(
        191, (_CORNER, (_THIRD, _TWO_THIRDS, 0.5)), 1.08, hexagonal=True
    ),
    "rhenium_diboride": StructureType(
        194, ((_THIRD, _TWO_THIRDS, 0.25), (_THIRD, _TWO_THIRDS, 0.548)), 2.579, hexagonal=True
    ),
    "pyrite": StructureType(205, (_CORNER, (0.385, 0.385, 0.385))),
    "molybdenum_disilicide": StructureType(139, (_CORNER, (0.0, 0.0, 0.333)), 2.45),
    # AB3 and A2B3
    "gold_copper_3": StructureType(221, (_CORNER, _FACE)),  # L1_2
    "corundum": StructureType(167, ((0.0, 0.0, 0.352), (0.306, 0.0, 0.25)), 2.73, hexagonal=True),
    # AB5 and AB6
    "calcium_copper_5": StructureType(
        191, (_CORNER, (_THIRD, _TWO_THIRDS, 0.0), (0.5, 0.0, 0.5)), 0.80, hexagonal=True
    ),
    "calcium_hexaboride": StructureType(221, (_CORNER, (0.2, 0.5, 0.5))),
    # ABC
    "half_heusler": StructureType(216, (_CORNER, _QUARTER, _CENTRE)),
    # ABC2
    "full_heusler": StructureType(225, (_CORNER, _CENTRE, _QUARTER)),
    "delafossite": StructureType(
        166, (_CORNER, _EDGE, (0.0, 0.0, 0.11)), 5.93, hexagonal=True
    ),
    "layered_rock_salt": StructureType(
        166, (_CORNER, _EDGE, (0.0, 0.0, 0.24)), 4.99, hexagonal=True
    ),
    "chalcopyrite": StructureType(122, (_CORNER, _EDGE, (0.257, 0.25, 0.125)), 1.97),
    # AB2C2, ABC3 and AB2C4
    "thorium_chromium_silicide": StructureType(
        139, (_CORNER, (0.0, 0.5, 0.25), (0.0, 0.0, 0.37)), 2.58
    ),
    "perovskite": StructureType(221, (_CORNER, _CENTRE, _FACE)),
    "spinel": StructureType(227, (_CORNER, _FIVE_EIGHTHS, (0.3875, 0.3875, 0.3875))),
}  # fmt: skip
"""Structure types by name, by their general formula; sites are in the order of its letters."""

MAX_SITES = 3
"""Sites of a structure type, at most."""


@dataclass(frozen=True)
class Prototype:
    """A structure type ready to be filled.

    Attributes:
        name: Key of :data:`STRUCTURE_TYPES`.
        cell: Primitive cell of some size; the atomic number of an atom is the number of its site,
            from 1.
        stoichiometry: Atoms of each site in a formula unit.
    """

    name: str
    cell: Crystal
    stoichiometry: tuple[int, ...]

    @property
    def atoms(self) -> tuple[int, ...]:
        """Atoms of each site in the cell."""
        return tuple(self.cell.counts.values())

    @cached_property
    def distances(self) -> Floats:
        """Shortest distances between sites; see :func:`~.volumes.site_distances`."""
        return site_distances(self.cell)

    def filled(self, elements: Sequence[int]) -> Crystal:
        """The prototype with an element on each site, at the volume its bonds ask for.

        Args:
            elements: Atomic number for each site; one may appear on several.

        Raises:
            ValueError: There are more or fewer elements than sites.
        """
        if len(elements) != len(self.stoichiometry):
            raise ValueError(
                f"{self.name} has {len(self.stoichiometry)} sites, got {len(elements)} elements"
            )
        sites = np.asarray(elements)
        (volume,) = guessed_volumes(self.atoms, self.distances, sites[None])
        stretch = (volume / self.cell.volume) ** (1.0 / 3.0)
        return Crystal(
            self.cell.lattice * stretch, self.cell.frac_coords, sites[self.cell.numbers - 1]
        )


@cache
def prototypes() -> tuple[Prototype, ...]:
    """Every structure type, in the order of the table."""
    return tuple(_prototype(name, kind) for name, kind in STRUCTURE_TYPES.items())


def _prototype(name: str, kind: StructureType) -> Prototype:
    from pymatgen.core import Lattice, Structure

    a = 5.0  # any length will do, as volumes follow from the elements
    angle = 120.0 if kind.hexagonal else 90.0
    lattice = Lattice.from_parameters(a, a, a * kind.c_over_a, 90.0, 90.0, angle)
    markers = ("H", "He", "Li")[: len(kind.sites)]  # of atomic numbers 1, 2 and 3
    structure = Structure.from_spacegroup(kind.spacegroup, lattice, markers, kind.sites)
    cell = from_pymatgen(structure.get_primitive_structure())
    counts = tuple(cell.counts.values())
    return Prototype(name, cell, tuple(int(n) for n in np.asarray(counts) // np.gcd.reduce(counts)))
