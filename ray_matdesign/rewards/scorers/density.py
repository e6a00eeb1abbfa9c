"""Mass density."""

from __future__ import annotations

from collections.abc import Sequence

from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen


class Density:
    """Mass of the relaxed cell over its volume, g/cm3."""

    name = "density"
    unit = "g/cm3"
    source = "relaxed cell and IUPAC standard atomic masses"
    version = "1"
    cost = CostClass.CHEAP

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Density of each specimen, g/cm3."""
        return [specimen.crystal.density for specimen in specimens]


def make(bench: Bench) -> Density:
    """Builds the scorer; it needs no instrument."""
    return Density()
