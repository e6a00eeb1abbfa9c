"""Mass-weighted means of element tables: what HHI, price and abundance have in common."""

from __future__ import annotations

from collections.abc import Mapping

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_MASSES_AMU, SYMBOLS
from ray_matdesign.potentials.protocol import Failed


def mass_fractions(crystal: Crystal) -> dict[int, float]:
    """Share of each element in the crystal's mass, by atomic number; sums to one."""
    masses = {z: count * float(ATOMIC_MASSES_AMU[z]) for z, count in crystal.counts.items()}
    total = sum(masses.values())
    return {z: mass / total for z, mass in masses.items()}


def mass_weighted_mean(
    crystal: Crystal, table: Mapping[int, float], quantity: str
) -> float | Failed:
    """Mean of an element property over the crystal's mass.

    Args:
        crystal: Only its composition counts.
        table: The property by atomic number.
        quantity: Its name, for the reason of a failure.

    Returns:
        The mean, or a failure naming the elements that the table lacks.
    """
    missing = [SYMBOLS[z] for z in crystal.counts if z not in table]
    if missing:
        return Failed(f"no {quantity} tabulated for {', '.join(missing)}")
    return sum(fraction * table[z] for z, fraction in mass_fractions(crystal).items())
