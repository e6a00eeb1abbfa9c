"""Crystals away from rest, made of elements that are asked for."""

from __future__ import annotations

import numpy as np

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS


def strained_crystals(elements: frozenset[int], most: int = 3) -> list[Crystal]:
    """Crystals of given elements with their cells strained and their atoms moved a little.

    Args:
        elements: Atomic numbers that may occur.
        most: How many at most; fewer where the elements allow no more.
    """
    rng = np.random.default_rng(0)
    strained: list[Crystal] = []
    for lattice_ang, coords, symbols in _PROTOTYPES:
        numbers = [ATOMIC_NUMBERS[symbol] for symbol in symbols.split()]
        if not elements.issuperset(numbers) or len(strained) == most:
            continue
        lattice = lattice_ang * (np.eye(3) + 0.02 * rng.standard_normal((3, 3)))
        moves = 0.05 * rng.standard_normal((len(numbers), 3))
        strained.append(
            Crystal(lattice, np.array(coords) + moves @ np.linalg.inv(lattice), numbers)
        )
    return strained


_FCC = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
_PEROVSKITE = ((0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5))
_BODY_CENTRED = ((0, 0, 0), (0.5, 0.5, 0.5))
_PROTOTYPES = (
    (2.75, _BODY_CENTRED, "Ag Mg"),
    (4.00, _PEROVSKITE, "Ba Ti O O O"),
    (4.13, _BODY_CENTRED, "Cs Cl"),
    (2.90, _BODY_CENTRED, "Fe Fe"),
    (3.75, _FCC, "Cu Cu Cu Au"),
    (4.05, _FCC, "Al Al Al Al"),
    (3.90, _FCC, "Pt Pt Pt Ni"),
    (5.43, (*_FCC, *((x + 0.25, y + 0.25, z + 0.25) for x, y, z in _FCC)), "Si " * 8),
)
"""Cubic cell length (Angstrom), fractional coordinates and symbols."""
