"""A potential with closed-form phonons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import EnergyScale, Failed, SinglePoint

DISTANCE_ANG = 2.0


class Springs:
    """Atoms on a simple cubic lattice, each tied to its six neighbours.

    A spring pulls back every component of the difference of two displacements alike, so that for
    one kind of atom ``m omega^2 = 2 k sum_a (1 - cos q_a d)`` for each direction of motion.

    Args:
        stiffness_ev_per_ang2: ``k``.
        push_ev_per_ang: A force along x on atoms of the first kind in a cell of two, and against x
            on the others, which nothing can relax.
    """

    name = "springs"
    elements = frozenset(range(1, 95)) - {2}
    energy_scale = EnergyScale.OWN

    def __init__(self, stiffness_ev_per_ang2: float, push_ev_per_ang: float = 0.0) -> None:
        self._k = stiffness_ev_per_ang2
        self._push = push_ev_per_ang
        self.calls = 0
        self.evaluated: list[Crystal] = []

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        self.calls += 1
        self.evaluated += crystals
        return [self._point(crystal) for crystal in crystals]

    def _point(self, crystal: Crystal) -> SinglePoint | Failed:
        if not crystal.elements <= self.elements:
            return Failed("helium is unknown")
        sites = np.rint(crystal.positions / DISTANCE_ANG)
        shift = crystal.positions - sites * DISTANCE_ANG
        ideal = sites * DISTANCE_ANG @ np.linalg.inv(crystal.lattice)
        forces, energy = np.zeros_like(shift), 0.0
        for step in (s * axis for s in (1, -1) for axis in np.eye(3)):
            there = ideal + DISTANCE_ANG * step @ np.linalg.inv(crystal.lattice)
            apart = there[:, None] - ideal[None]
            apart -= np.rint(apart)
            neighbour = np.abs(apart).max(axis=2).argmin(axis=1)
            stretch = shift[neighbour] - shift
            forces += self._k * stretch
            energy += 0.25 * self._k * float(np.square(stretch).sum())
        lightest = crystal.numbers == crystal.numbers.min()
        forces[:, 0] += np.where(lightest, self._push, -self._push)
        return SinglePoint(energy / len(crystal), forces, np.zeros((3, 3)))


def simple_cubic(number: int) -> Crystal:
    """One atom in the cell."""
    return Crystal(DISTANCE_ANG * np.eye(3), [[0.0, 0.0, 0.0]], [number])


def rock_salt(first: int, second: int) -> Crystal:
    """The primitive cell."""
    lattice = DISTANCE_ANG * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return Crystal(lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [first, second])
