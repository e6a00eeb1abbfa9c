"""Distance to the hull: stability itself as what is designed for."""

from __future__ import annotations

from collections.abc import Sequence

from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen


class EnergyAboveHull:
    """Energy at rest above the reference's hull, eV/atom; negative below it.

    It was known before the property budget was spent, and costs nothing here.
    """

    name = "e_above_hull"
    unit = "eV/atom"
    version = "1"
    cost = CostClass.CHEAP

    def __init__(self, potential_name: str) -> None:
        self.source = f"{potential_name} against the hull of the reference set"

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Distance to the hull of each specimen, eV/atom."""
        return [specimen.e_above_hull_ev_per_atom for specimen in specimens]


def make(bench: Bench) -> EnergyAboveHull:
    """Builds the scorer for the bench's potential."""
    return EnergyAboveHull(bench.potential.name)
