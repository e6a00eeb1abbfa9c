"""Potentials of this package behind ASE's calculator interface, for ASE's band of images."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from ray_matdesign.agents.scenarios.study_folder import StudyFailed
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed, Potential


class PotentialCalculator(Calculator):
    """Energies and forces of atoms by a potential.

    Args:
        potential: Asked for one crystal at a time. A slab is a crystal with a gap.
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 - as ASE declares it

    def __init__(self, potential: Potential) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._potential = potential

    def calculate(
        self,
        atoms: Any = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        """Evaluates the atoms.

        Raises:
            StudyFailed: The potential cannot evaluate them.
        """
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        crystal = Crystal(
            np.asarray(atoms.cell), atoms.get_scaled_positions(wrap=False), atoms.numbers
        )
        (point,) = self._potential.evaluate([crystal])
        if isinstance(point, Failed):
            raise StudyFailed(f"{self._potential.name}: {point.reason}")
        self.results = {
            "energy": point.energy_ev_per_atom * len(crystal),
            "forces": point.forces_ev_per_ang,
        }
