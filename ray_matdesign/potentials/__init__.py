"""Interatomic potentials, and the relaxation of crystals with them."""

from ray_matdesign.potentials.protocol import (
    EnergyScale,
    Failed,
    Potential,
    Relaxed,
    Relaxer,
    SinglePoint,
)
from ray_matdesign.potentials.registry import POTENTIALS, load_potential

__all__ = [
    "POTENTIALS",
    "EnergyScale",
    "Failed",
    "Potential",
    "Relaxed",
    "Relaxer",
    "SinglePoint",
    "load_potential",
]
