"""What turns a crystal or a result a potential cannot stand for into a :class:`Failed`."""

from __future__ import annotations

import numpy as np

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.potentials.protocol import Failed, SinglePoint

CLOSEST_ATOMS_ANG = 0.5
"""Atoms nearer than this overlap: no potential was fitted there. H2's bond measures 0.74."""


def overlapping_atoms(shortest_ang: float) -> Failed | None:
    """The failure of a crystal whose two nearest atoms overlap, if they do."""
    if shortest_ang >= CLOSEST_ATOMS_ANG:
        return None
    return Failed(f"two atoms {shortest_ang:.2f} Angstrom apart")


def unknown_elements(crystal: Crystal, known: frozenset[int]) -> Failed | None:
    """The failure of a crystal that holds elements a potential does not know, if it does."""
    unknown = sorted(crystal.elements - known)
    if not unknown:
        return None
    return Failed(f"unknown element: {', '.join(SYMBOLS[z] for z in unknown)}")


def checked_point(point: SinglePoint) -> SinglePoint | Failed:
    """The point, or a failure where a number in it is not finite."""
    finite = (
        np.isfinite(point.energy_ev_per_atom)
        and np.isfinite(point.forces_ev_per_ang).all()
        and np.isfinite(point.stress_ev_per_ang3).all()
    )
    return point if finite else Failed("energy, forces or stress are not finite")
