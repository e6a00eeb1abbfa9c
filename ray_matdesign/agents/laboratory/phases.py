"""Reference phases: structures that diffraction patterns are compared with.

Space groups, cells and coordinates are those any table of crystal structures has for the phases,
rounded; lengths are good to some tenths of a percent, which refinement makes up for. Two are
idealised: Ba2TiO4 as the beta-K2SO4 type it is a distortion of, and Li6FeCl8 with the free
coordinate of an ideal anion packing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from ray_matdesign.agents.laboratory.balancing import atoms_of

if TYPE_CHECKING:
    from pymatgen.core import Structure

Point = tuple[float, float, float]
Site = tuple[str, Point]
"""Species with occupancies, such as ``Li`` or ``Li0.5 Fe0.4 Ni0.1``, and a point of its orbit."""


@dataclass(frozen=True)
class Phase:
    """A crystalline phase.

    Attributes:
        name: Unique; the formula, and the modification where there are several.
        spacegroup: Number in the International Tables, standard setting, first origin.
        lengths: a, b, c in Angstrom.
        sites: One for each orbit.
        beta: Angle in degrees; other angles follow from the space group.
        formula: By default the name.
    """

    name: str
    spacegroup: int
    lengths: Point
    sites: tuple[Site, ...]
    beta: float = 90.0
    formula: str = ""

    @cached_property
    def composition(self) -> str:
        """The formula, without a modification."""
        return self.formula or self.name

    @cached_property
    def elements(self) -> frozenset[str]:
        """Symbols of its elements."""
        return frozenset(atoms_of(self.composition))

    @property
    def free_axes(self) -> tuple[int, int, int]:
        """For each axis, the first one that always has its length."""
        if self.spacegroup >= 195:
            return 0, 0, 0
        if self.spacegroup >= 75:
            return 0, 0, 2
        return 0, 1, 2


def _cubic(name: str, spacegroup: int, a: float, *sites: Site, formula: str = "") -> Phase:
    return Phase(name, spacegroup, (a, a, a), sites, formula=formula)


def _uniaxial(
    name: str, spacegroup: int, a: float, c: float, *sites: Site, formula: str = ""
) -> Phase:
    return Phase(name, spacegroup, (a, a, c), sites, formula=formula)


_CORNER, _CENTRE, _QUARTER = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
_EIGHTH, _FIVE_EIGHTHS = (0.125, 0.125, 0.125), (0.625, 0.625, 0.625)


def _along(x: float) -> Point:
    return x, x, x


def _up(z: float) -> Point:
    return 0.0, 0.0, z


PHASES: Mapping[str, Phase] = {
    phase.name: phase
    for phase in [
        # barium titanate and what may come along
        _uniaxial("BaTiO3", 99, 3.994, 4.038, ("Ba", _CORNER), ("Ti", (0.5, 0.5, 0.5224)),
                  ("O", (0.5, 0.5, 0.9756)), ("O", (0.5, 0.0, 0.4895))),
        Phase("BaCO3", 62, (6.428, 5.313, 8.896), (
            ("Ba", (0.7549, 0.25, 0.4163)), ("C", (0.919, 0.25, 0.757)),
            ("O", (0.9122, 0.25, 0.9011)), ("O", (0.921, 0.4595, 0.6839)))),
        _cubic("BaO", 225, 5.539, ("Ba", _CORNER), ("O", _CENTRE)),
        _uniaxial("BaO2", 139, 3.815, 6.851, ("Ba", _CORNER), ("O", _up(0.3911))),
        _cubic("Ba(NO3)2", 205, 8.118, ("Ba", _CORNER), ("N", _along(0.3525)),
               ("O", (0.2859, 0.2866, 0.4768))),
        Phase("Ba2TiO4", 62, (7.69, 6.10, 10.53), (
            ("Ba", (0.674, 0.25, 0.410)), ("Ba", (0.989, 0.25, 0.704)),
            ("Ti", (0.233, 0.25, 0.420)), ("O", (0.012, 0.25, 0.417)),
            ("O", (0.310, 0.25, 0.580)), ("O", (0.320, 0.010, 0.340)))),
        _uniaxial("TiO2", 136, 4.594, 2.959, ("Ti", _CORNER), ("O", (0.305, 0.305, 0.0))),
        _uniaxial("TiO2-anatase", 141, 3.785, 9.514, ("Ti", _CORNER), ("O", _up(0.2081)),
                  formula="TiO2"),
        # lithium cobaltate
        _uniaxial("LiCoO2", 166, 2.816, 14.05, ("Co", _CORNER), ("Li", _up(0.5)),
                  ("O", _up(0.2604))),
        _cubic("LiCoO2-low", 227, 7.994, ("Li", _EIGHTH), ("Co", _FIVE_EIGHTHS),
               ("O", _along(0.3855)), formula="LiCoO2"),
        _cubic("Co3O4", 227, 8.084, ("Co", _CORNER), ("Co", _FIVE_EIGHTHS), ("O", _along(0.3881))),
        _cubic("CoO", 225, 4.260, ("Co", _CORNER), ("O", _CENTRE)),
        _uniaxial("CoCO3", 167, 4.658, 14.958, ("Co", _CORNER), ("C", _up(0.25)),
                  ("O", (0.277, 0.0, 0.25))),
        Phase("Li2CO3", 15, (8.359, 4.973, 6.197), (
            ("Li", (0.1964, 0.4493, 0.8344)), ("C", (0.0, 0.0657, 0.25)),
            ("O", (0.0, 0.3214, 0.25)), ("O", (0.1458, 0.9338, 0.3127))), beta=114.83),
        _cubic("Li2O", 225, 4.619, ("O", _CORNER), ("Li", _QUARTER)),
        _uniaxial("LiOH", 129, 3.549, 4.334, ("Li", _CORNER), ("O", (0.0, 0.5, 0.1951)),
                  ("H", (0.0, 0.5, 0.405))),
        _uniaxial("LiNO3", 167, 4.692, 15.22, ("Li", _CORNER), ("N", _up(0.25)),
                  ("O", (0.266, 0.0, 0.25))),
        # lithium iron nickel chloride
        _cubic("Li2Fe0.8Ni0.2Cl4", 227, 10.38, ("Li", _CORNER),
               ("Li0.5 Fe0.4 Ni0.1", _FIVE_EIGHTHS), ("Cl", _along(0.3825))),
        _cubic("Li6FeCl8", 225, 10.26, ("Fe", _CORNER), ("Li", (0.0, 0.25, 0.25)),
               ("Cl", _QUARTER), ("Cl", (0.25, 0.0, 0.0))),
        _cubic("LiCl", 225, 5.130, ("Li", _CORNER), ("Cl", _CENTRE)),
        _uniaxial("FeCl2", 166, 3.598, 17.536, ("Fe", _CORNER), ("Cl", _up(0.2543))),
        _uniaxial("NiCl2", 166, 3.483, 17.40, ("Ni", _CORNER), ("Cl", _up(0.255))),
        _cubic("NiO", 225, 4.177, ("Ni", _CORNER), ("O", _CENTRE)),
        # lithium iron phosphate
        Phase("LiFePO4", 62, (10.332, 6.010, 4.692), (
            ("Li", _CORNER), ("Fe", (0.2822, 0.25, 0.9747)), ("P", (0.0948, 0.25, 0.4182)),
            ("O", (0.0968, 0.25, 0.7428)), ("O", (0.4571, 0.25, 0.2060)),
            ("O", (0.1656, 0.0465, 0.2848)))),
        Phase("Li3PO4", 31, (6.115, 5.239, 4.855), (
            ("Li", (0.248, 0.328, 0.986)), ("Li", (0.5, 0.843, 0.989)), ("P", (0.0, 0.824, 0.0)),
            ("O", (0.208, 0.686, 0.899)), ("O", (0.0, 0.105, 0.890)),
            ("O", (0.5, 0.185, 0.820)))),
        _uniaxial("FePO4", 152, 5.035, 11.245, ("Fe", (0.4577, 0.0, 1.0 / 3.0)),
                  ("P", (0.4575, 0.0, 5.0 / 6.0)), ("O", (0.4183, 0.3174, 0.3957)),
                  ("O", (0.4117, 0.2626, 0.8740))),
        _cubic("FeO", 225, 4.307, ("Fe", _CORNER), ("O", _CENTRE)),
        _cubic("Fe3O4", 227, 8.396, ("Fe", _CORNER), ("Fe", _FIVE_EIGHTHS), ("O", _along(0.3799))),
        _cubic("Fe", 229, 2.866, ("Fe", _CORNER)),
        _uniaxial("Fe2O3", 167, 5.038, 13.772, ("Fe", _up(0.3553)), ("O", (0.3059, 0.0, 0.25))),
        _uniaxial("C", 194, 2.464, 6.711, ("C", _up(0.25)), ("C", (1.0 / 3.0, 2.0 / 3.0, 0.25))),
    ]
}  # fmt: skip
"""Phases by name."""


def within(elements: Collection[str]) -> list[Phase]:
    """Phases that hold no other elements."""
    return [phase for phase in PHASES.values() if phase.elements <= set(elements)]


@cache
def structure(name: str) -> Structure:
    """Conventional cell of a phase.

    Raises:
        KeyError: There is none of that name.
    """
    from pymatgen.core import Composition, Lattice, Structure

    phase = PHASES[name]
    a, b, c = phase.lengths
    gamma = 120.0 if 143 <= phase.spacegroup < 195 else 90.0
    lattice = Lattice.from_parameters(a, b, c, 90.0, phase.beta, gamma)
    species: list[Any] = [Composition(text.replace(" ", "")) for text, _ in phase.sites]
    points = [point for _, point in phase.sites]
    return Structure.from_spacegroup(phase.spacegroup, lattice, species, points)
