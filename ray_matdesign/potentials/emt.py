"""Effective medium theory: a potential cheap enough for tests.

Jacobsen, Stoltze and Norskov, Surf. Sci. 366, 394 (1996), as ASE implements it: good for the
late transition metals, a placeholder for H, C, N and O.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.potentials.checks import checked_point, unknown_elements
from ray_matdesign.potentials.protocol import EnergyScale, Failed, SinglePoint


class EmtPotential:
    """ASE's EMT calculator behind the :class:`Potential` protocol."""

    def __init__(self) -> None:
        from ase.calculators.emt import EMT, parameters

        self.name = "emt"
        self.energy_scale = EnergyScale.OWN
        self.elements = frozenset(z for z, symbol in enumerate(SYMBOLS) if symbol in parameters)
        self._make_calculator: Callable[[], Any] = EMT

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        """Evaluates each crystal; same order and length as given."""
        return [self._evaluate_one(crystal) for crystal in crystals]

    def _evaluate_one(self, crystal: Crystal) -> SinglePoint | Failed:
        from ase import Atoms

        unknown = unknown_elements(crystal, self.elements)
        if unknown is not None:
            return unknown
        atoms = Atoms(
            numbers=crystal.numbers,
            cell=crystal.lattice,
            scaled_positions=crystal.frac_coords,
            pbc=True,
            calculator=self._make_calculator(),
        )
        # Atoms on top of each other divide by zero; the check below turns that into a value.
        with np.errstate(all="ignore"):
            energy = float(atoms.get_potential_energy()) / len(crystal)
            forces = np.asarray(atoms.get_forces())
            stress = np.asarray(atoms.get_stress(voigt=False))
        return checked_point(SinglePoint(energy, forces, stress))
