"""A world in which a proxy is easily exploited: alloys with planted moments, volumes and energies.

Magnetic density alone is best met by pure manganese and by rare earths, and by mixtures of strong
magnets that would fall apart; compounds of iron or manganese with aluminium, silicon or titanium
are what is wanted. Energies follow a closed form, so that a campaign takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, ELECTRONEGATIVITIES
from ray_matdesign.potentials.protocol import EnergyScale, Failed, SinglePoint
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen
from ray_matdesign.stability.build import build_reference

# Volume of an atom (Angstrom^3) and its moment (Bohr magnetons).
ATOMS = {
    "Fe": (11.8, 2.2), "Mn": (12.2, 3.0), "Co": (11.0, 1.7), "Ni": (10.9, 0.6), "Cr": (12.0, 0.5),
    "Gd": (33.0, 7.5), "Nd": (34.0, 3.3), "Sm": (33.0, 3.0), "Pt": (15.1, 0.3), "Al": (16.6, 0.0),
    "Si": (20.0, 0.0), "Ti": (17.6, 0.0), "Cu": (11.8, 0.0), "V": (13.9, 0.1), "Zn": (15.2, 0.0),
}  # fmt: skip
_NUMBERS = {ATOMIC_NUMBERS[symbol]: values for symbol, values in ATOMS.items()}
_STRONG = 1.5
"""Moment from which on two kinds of atoms do not like each other."""
_ATTRACTION, _REPULSION = 2.0, 0.4
"""eV/atom, of unlike electronegativities squared and of strong magnets."""


class Planted:
    """Murnaghan's equation about Vegard's volume, and a mixing energy: a ``Potential``."""

    name = "planted"
    elements = frozenset(_NUMBERS)
    energy_scale = EnergyScale.OWN

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        """Energy, stress and moments of each; atoms feel no force."""
        return [self._point(crystal) for crystal in crystals]

    def _point(self, crystal: Crystal) -> SinglePoint:
        modulus, b = 0.5, 4.0  # eV/A^3, and its derivative by the pressure
        volume = sum(_NUMBERS[int(z)][0] for z in crystal.numbers)
        ratio = volume / crystal.volume
        energy = modulus * crystal.volume / b * (ratio**b / (b - 1) + 1) / len(crystal)
        energy -= modulus * volume / (b - 1) / len(crystal)
        moments = np.array([_NUMBERS[int(z)][1] for z in crystal.numbers])
        stress = -np.eye(3) * modulus / b * (ratio**b - 1.0)
        forces = np.zeros((len(crystal), 3))
        return SinglePoint(energy - 3.0 + _mixing(crystal), forces, stress, moments)


def _mixing(crystal: Crystal) -> float:
    shares = {z: count / len(crystal) for z, count in crystal.counts.items()}
    energy = 0.0
    for first, x in shares.items():
        for second, y in shares.items():
            apart = ELECTRONEGATIVITIES[first] - ELECTRONEGATIVITIES[second]
            energy -= _ATTRACTION * float(apart) ** 2 * x * y
            strong = min(_NUMBERS[first][1], _NUMBERS[second][1]) >= _STRONG
            energy += _REPULSION * x * y if strong and first != second else 0.0
    return energy


class ElementCount:
    """How many elements a crystal has: a ``Scorer``."""

    name, unit, source, version = "element_count", "", "composition", "1"
    cost = CostClass.CHEAP

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Of each specimen."""
        return [float(len(specimen.crystal.elements)) for specimen in specimens]


def potential() -> Planted:
    """For ``potential.name``."""
    return Planted()


def element_count(bench: Bench) -> ElementCount:
    """For ``scorer``."""
    return ElementCount()


def write_reference(folder: Path) -> None:
    """The pure elements, at rest."""
    cell = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    crystals = [
        Crystal(cell * (4.0 * volume) ** (1 / 3), [[0, 0, 0]], [z])
        for z, (volume, _) in _NUMBERS.items()
    ]
    points = Planted().evaluate(crystals)
    energies = {
        z: point.energy_ev_per_atom
        for z, point in zip(_NUMBERS, points, strict=True)
        if isinstance(point, SinglePoint)
    }
    build_reference([(one.formula, one) for one in crystals], [], energies, folder)
