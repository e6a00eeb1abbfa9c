"""A crystal of springs whose elastic tensor has a closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.elasticity.batch import EV_PER_CUBIC_ANGSTROM_IN_GPA
from ray_matdesign.potentials.mandel import from_mandel, to_mandel
from ray_matdesign.potentials.protocol import EnergyScale, Failed, SinglePoint


class Springs:
    """Energy quadratic in strain and in the ions' displacements, about one crystal.

    ``E = V s.e + V/2 e.C.e + e.L.u + u.P.u / 2 - f.u`` with a stress and forces left at rest, as
    an unfinished relaxation leaves them. With the ions at rest, the stiffness is
    ``C - L P^-1 L^T / V`` (Born and Huang, Dynamical Theory of Crystal Lattices, section 11).
    """

    name = "springs"
    elements = frozenset(range(1, 119))
    energy_scale = EnergyScale.OWN

    def __init__(self, crystal: Crystal, seed: int, softest_ev_per_ang2: float = 2.0) -> None:
        rng = np.random.default_rng(seed)
        size = 3 * len(crystal)
        self.crystal = crystal
        self.evaluations = 0
        vectors = np.linalg.qr(rng.standard_normal((size, size)))[0]
        self.ions = vectors @ np.diag(np.geomspace(softest_ev_per_ang2, 60.0, size)) @ vectors.T
        root = rng.standard_normal((6, 6))
        self.coupling = rng.standard_normal((6, size)) * 3.0
        relaxed_away = self.coupling @ np.linalg.inv(self.ions) @ self.coupling.T
        self.cell = relaxed_away / crystal.volume + 0.2 * root @ root.T + 0.3 * np.eye(6)
        self.stress = 0.01 * rng.standard_normal(6)
        self.force = 0.03 * rng.standard_normal(size)

    @property
    def stiffness_gpa(self) -> np.ndarray:
        """In Mandel's notation."""
        relaxed_away = self.coupling @ np.linalg.inv(self.ions) @ self.coupling.T
        return (self.cell - relaxed_away / self.crystal.volume) * EV_PER_CUBIC_ANGSTROM_IN_GPA

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        self.evaluations += len(crystals)
        return [self._point(crystal) for crystal in crystals]

    def _point(self, crystal: Crystal) -> SinglePoint:
        home = self.crystal
        strain = to_mandel(np.linalg.solve(home.lattice, crystal.lattice) - np.eye(3))
        moved = ((crystal.frac_coords - home.frac_coords) @ crystal.lattice).ravel()
        stress = self.stress + self.cell @ strain + self.coupling @ moved / home.volume
        force = self.force - self.coupling.T @ strain - self.ions @ moved
        return SinglePoint(0.0, force.reshape(-1, 3), from_mandel(stress))
