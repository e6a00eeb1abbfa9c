"""Formation energy."""

from __future__ import annotations

from collections.abc import Sequence

from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen


class FormationEnergy:
    """Energy at rest against the reference's elements, eV/atom.

    It was known before the property budget was spent, and costs nothing here.
    """

    name = "formation_energy"
    unit = "eV/atom"
    version = "1"
    cost = CostClass.CHEAP

    def __init__(self, potential_name: str) -> None:
        self.source = f"{potential_name} against the elemental energies of the reference set"

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Formation energy of each specimen, eV/atom."""
        return [specimen.formation_energy_ev_per_atom for specimen in specimens]


def make(bench: Bench) -> FormationEnergy:
    """Builds the scorer for the bench's potential."""
    return FormationEnergy(bench.potential.name)
