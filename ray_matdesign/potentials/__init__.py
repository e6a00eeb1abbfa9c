"""Interatomic potentials, and the relaxation of crystals with them."""

from ray_matdesign.potentials.protocol import Failed, Potential, Relaxed, Relaxer, SinglePoint
from ray_matdesign.potentials.registry import POTENTIALS, load_potential

__all__ = [
    "POTENTIALS",
    "Failed",
    "Potential",
    "Relaxed",
    "Relaxer",
    "SinglePoint",
    "load_potential",
]
