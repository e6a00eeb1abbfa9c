"""Cutting a batch into parts of like size, so that little work is spent on padding.

A part costs the network its number of crystals times its most orbits times its most atoms, padding
and all. Where to cut is found exactly, by dynamic programming over the crystals in order of size.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_FINEST_CUTS = 128
"""Crystals of a large batch are cut in groups, of which there are about so many."""


def buckets(n_orbits: Tensor, n_atoms: Tensor, parts: int) -> list[Tensor]:
    """Parts of a batch that together cost least.

    Args:
        n_orbits: Orbits of each crystal, shape ``(batch,)``.
        n_atoms: Atoms of each crystal, shape ``(batch,)``.
        parts: How many parts to cut; there are fewer where the batch has no more crystals.

    Returns:
        Positions in the batch, of each part; every position is in one of them. The largest crystals
        come first: what fits the memory at the beginning goes on to fit.
    """
    orbits, atoms = n_orbits.numpy(), n_atoms.numpy()
    order = np.lexsort((atoms, orbits))
    ends = np.unique(np.linspace(0, len(order), min(len(order), _FINEST_CUTS) + 1).astype(int))[1:]
    cost = _costs(orbits[order], atoms[order], ends)
    cuts = [0, *ends[_cheapest(cost, min(parts, len(ends)))].tolist()]
    return [torch.from_numpy(order[a:b]) for a, b in zip(cuts[-2::-1], cuts[:0:-1], strict=True)]


def padded_pairs(n_orbits: Tensor, n_atoms: Tensor, parts: list[Tensor]) -> int:
    """Orbit-atom pairs the network computes for these parts, padding and all."""
    return sum(len(part) * int(n_orbits[part].max() * n_atoms[part].max()) for part in parts)


def _costs(
    orbits: NDArray[np.integer], atoms: NDArray[np.integer], ends: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Cost of a part from group i through group j, infinite where i comes after j."""
    starts = np.concatenate([[0], ends[:-1]])
    inside = np.triu(np.ones((len(ends), len(ends)), dtype=bool))
    most = [
        np.maximum.accumulate(np.where(inside, np.maximum.reduceat(of, starts), 0), axis=1)
        for of in (orbits, atoms)
    ]
    lengths = ends - starts[:, None]
    return np.where(inside, (lengths * most[0] * most[1]).astype(float), np.inf)


def _cheapest(cost: NDArray[np.float64], parts: int) -> NDArray[np.int64]:
    """Last group of each of ``parts`` consecutive parts whose costs have the smallest sum."""
    best, came_from = cost[0], []
    for _ in range(parts - 1):
        sums = np.concatenate([[np.inf], best[:-1]])[:, None] + cost
        came_from.append(sums.argmin(axis=0) - 1)
        best = sums.min(axis=0)
    last = [len(cost) - 1]
    for previous in reversed(came_from):
        last.append(int(previous[last[-1]]))
    return np.array(last[::-1])
