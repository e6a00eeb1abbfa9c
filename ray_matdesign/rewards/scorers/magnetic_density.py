"""Magnetic density from predicted site moments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ray_matdesign.potentials.protocol import Failed, Potential, SinglePoint
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen


class MagneticDensity:
    """Sum of the moduli of the site moments over the cell volume, Bohr magnetons per Angstrom^3.

    That is the density of the ferromagnetic arrangement of these moments: the potential predicts
    no sign, so an antiferromagnet scores as high as a ferromagnet.
    """

    name = "magnetic_density"
    unit = "mu_B/A^3"
    version = "1"
    cost = CostClass.MLIP

    def __init__(self, potential: Potential) -> None:
        self.source = f"site moments of {potential.name}, taken as parallel"
        self._potential = potential

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Magnetic density of each specimen, mu_B/A^3."""
        points = self._potential.evaluate([specimen.crystal for specimen in specimens])
        return [
            self._density(specimen, point)
            for specimen, point in zip(specimens, points, strict=True)
        ]

    def _density(self, specimen: Specimen, point: SinglePoint | Failed) -> float | Failed:
        if isinstance(point, Failed):
            return point
        if point.magmoms_mu_b is None:
            return Failed(f"{self._potential.name} predicts no magnetic moments")
        return float(np.abs(point.magmoms_mu_b).sum()) / specimen.crystal.volume


def make(bench: Bench) -> MagneticDensity:
    """Builds the scorer on the bench's potential."""
    return MagneticDensity(bench.potential)
