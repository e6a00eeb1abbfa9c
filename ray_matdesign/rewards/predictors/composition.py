"""Compositions as vectors: fractions of the elements, and statistics of what elements are like.

The statistics are those of Magpie (Ward et al., npj Comput. Mater. 2, 16028 (2016)), without its
mode and with the standard deviation in place of its average deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from math import gcd

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.crystals.validity import smact_valid
from ray_matdesign.potentials.protocol import Failed

HEAVIEST = 94
"""Plutonium: the heaviest element of the training data."""
_CHUNK = 1024
"""Compositions treated together, to bound the memory of the extremes."""


def composition_features(
    compositions: Sequence[Mapping[int, int]], table: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Vectors of compositions; multiples of one formula unit give the same vector.

    Args:
        compositions: Atoms of each element by atomic number, none above :data:`HEAVIEST`.
        table: Properties of the elements, shape ``(HEAVIEST + 1, n_properties)``; row 0 is unused.

    Returns:
        Shape ``(n, n_features(table))``: fractions of the elements by atomic number; mean, standard
        deviation, least, greatest and spread of each property over the atoms; and of the formula:
        its elements, its atoms (logarithm), two norms of the fractions, whether SMACT finds charges
        that balance.
    """
    counts = np.zeros((len(compositions), HEAVIEST + 1), dtype=np.float32)
    for row, composition in zip(counts, compositions, strict=True):
        divisor = reduce(gcd, composition.values())
        for z, count in composition.items():
            row[z] = count // divisor
    balanced = np.array([smact_valid(c) for c in compositions], dtype=np.float32)
    blocks = [
        _features(counts[k : k + _CHUNK], balanced[k : k + _CHUNK], table)
        for k in range(0, len(counts), _CHUNK)
    ]
    return np.concatenate(blocks) if blocks else np.zeros((0, n_features(table)), np.float32)


def n_features(table: NDArray[np.float32]) -> int:
    """Length of the vectors that come of a table of elements."""
    return HEAVIEST + 5 * int(table.shape[1]) + 5


def too_heavy(composition: Mapping[int, int]) -> Failed | None:
    """The failure of a composition with elements that no feature stands for, if it has any."""
    heavy = sorted(z for z in composition if z > HEAVIEST)
    if not heavy:
        return None
    return Failed(f"unknown element: {', '.join(SYMBOLS[z] for z in heavy)}")


def element_table() -> NDArray[np.float32]:
    """Magpie's element properties as SMACT tabulates them, standardised over the elements.

    Training reads them here; trained models carry their own copy.

    Returns:
        Shape ``(HEAVIEST + 1, 22)``: number, Mendeleev number, mass, melting point, group, period,
        radius, electronegativity, valence electrons and holes by shell, volume, gap and moment of
        the element's solid, and its space group.
    """
    from importlib.resources import files

    import pandas as pd

    with (files("smact") / "data" / "magpie.csv").open() as file:
        rows = pd.read_csv(file, keep_default_na=False).drop(columns="element")
    values = rows.sort_values("Number").to_numpy(dtype=np.float64)[:HEAVIEST]
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    return np.vstack([np.zeros(scaled.shape[1]), scaled]).astype(np.float32)


def _features(
    counts: NDArray[np.float32], balanced: NDArray[np.float32], table: NDArray[np.float32]
) -> NDArray[np.float32]:
    atoms = counts.sum(axis=1, keepdims=True)
    fractions = counts / atoms
    mean = fractions @ table
    variance = fractions @ np.square(table) - np.square(mean)
    present = (counts > 0)[:, :, None]
    least = np.where(present, table, np.inf).min(axis=1)
    greatest = np.where(present, table, -np.inf).max(axis=1)
    formula = [
        (counts > 0).sum(axis=1, keepdims=True),
        np.log(atoms),
        np.sqrt(np.square(fractions).sum(axis=1, keepdims=True)),
        np.cbrt((fractions**3).sum(axis=1, keepdims=True)),
        balanced[:, None],
    ]
    statistics = [mean, np.sqrt(np.maximum(variance, 0.0)), least, greatest, greatest - least]
    return np.concatenate([fractions[:, 1:], *statistics, *formula], axis=1).astype(np.float32)
