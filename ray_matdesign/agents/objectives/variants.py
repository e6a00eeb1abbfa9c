"""The same crystal told otherwise, and crystals changed in one respect only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ray_matdesign.crystals.crystal import Crystal

_SHEARED_CELL = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]])


def retold(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """The same crystal: turned, its origin moved, its atoms in another order, in another cell."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    shift = rng.uniform(size=3)
    lattice = _SHEARED_CELL @ crystal.lattice @ turn
    coords = (crystal.frac_coords + shift) @ np.linalg.inv(_SHEARED_CELL)
    moved = Crystal(lattice, coords - np.floor(coords), crystal.numbers)
    return moved.permuted([int(i) for i in rng.permutation(len(crystal))])


def doubled(crystal: Crystal, axis: int) -> Crystal:
    """A supercell of two cells along an axis."""
    repeats = np.ones(3)
    repeats[axis] = 2.0
    coords = crystal.frac_coords / repeats
    again = coords + np.eye(3)[axis] / 2.0
    numbers = np.concatenate([crystal.numbers, crystal.numbers])
    return Crystal(crystal.lattice * repeats[:, None], np.vstack([coords, again]), numbers)


def deformed(crystal: Crystal, stretch: float, rng: np.random.Generator) -> Crystal:
    """The same atoms in a cell that is larger or smaller and out of shape."""
    strain = stretch * (np.eye(3) + 0.08 * rng.normal(size=(3, 3)))
    return crystal.with_cell(crystal.lattice @ strain, crystal.frac_coords)


def substituted(crystals: Sequence[Crystal]) -> list[Crystal]:
    """The same structures with other elements: each takes those of another crystal."""
    donors = [*crystals[1:], *crystals[:1]]
    changed = []
    for crystal, donor in zip(crystals, donors, strict=True):
        pool = [*donor.counts, 26, 8, 56]
        names = dict(zip(crystal.counts, dict.fromkeys(pool), strict=False))
        numbers = [names[int(z)] for z in crystal.numbers]
        changed.append(Crystal(crystal.lattice, crystal.frac_coords, numbers))
    return changed
