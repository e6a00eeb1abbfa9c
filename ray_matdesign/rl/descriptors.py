"""Crystals as vectors, for models that must learn from a few dozen of them.

Composition as in Magpie, a dozen figures of geometry, and, of relaxed crystals, the two energies
that every survivor comes with. All of it is known before any property is paid for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import COVALENT_RADII_ANG, ELECTRONEGATIVITIES
from ray_matdesign.crystals.geometry import nearest_distances
from ray_matdesign.rewards.predictors.composition import (
    HEAVIEST,
    composition_features,
    element_table,
    n_features,
)
from ray_matdesign.rewards.scorer import Specimen

Floats = NDArray[np.float64]

GEOMETRY = (
    "log volume per atom",
    "log mass density",
    "log packing fraction",
    "closest contact, mean",
    "closest contact, least",
    "closest contact, standard deviation",
    "log neighbours, mean",
    "log neighbours, standard deviation",
    "bond polarity, mean",
    "bonds between like atoms",
    "log atoms in the cell",
)
"""Figures of geometry. Contacts are distances over sums of covalent radii; the polarity of a bond
is the difference of Pauling's electronegativities."""

NEAR, SOFTNESS = 1.25, 0.05
"""An atom 1.25 times as far as the nearest is half a neighbour, one farther less, one closer more:
a count that jumped would tell crystals apart that are all but the same."""

TYPICAL = np.array((2.95, 1.88, -0.48, 0.96, 0.94, 0.025, 2.0, 0.2, 0.7, 0.27, 1.9))
SPREAD = np.array((0.37, 0.5, 0.4, 0.066, 0.075, 0.027, 0.55, 0.24, 0.6, 0.19, 0.66))
"""Means and standard deviations of the figures over 2,700 nearly stable crystals of the Materials
Project."""

_NEIGHBOURS = 18  # a close-packed atom's twelve, and the shell after them
_ENERGY_UNITS_EV = np.array((1.0, 0.05))


@cache
def _table() -> NDArray[np.float32]:
    return element_table()


@cache
def blocks() -> dict[str, slice]:
    """Columns by what they describe; within a block all are on one scale.

    ``fractions`` of the elements; statistics of properties of the ``elements``, in standard
    deviations over the elements; figures of the ``formula``; figures of the ``geometry``, in
    standard deviations over known crystals; and the ``energies``: formation energy in eV/atom,
    hull distance in 0.05 eV/atom.
    """
    composition = n_features(_table())
    edges = {
        "fractions": HEAVIEST,
        "elements": composition - 5,
        "formula": composition,
        "geometry": composition + len(GEOMETRY),
        "energies": composition + len(GEOMETRY) + 2,
    }
    starts = (0, *edges.values())
    return {name: slice(a, b) for (name, b), a in zip(edges.items(), starts, strict=False)}


def describe(specimens: Sequence[Specimen]) -> Floats:
    """Vectors that describe relaxed crystals.

    Args:
        specimens: Crystals at rest with their energies.

    Returns:
        Shape ``(n, d)``, all finite; columns as in :func:`blocks`.
    """
    energies = np.array(
        [(s.formation_energy_ev_per_atom, s.e_above_hull_ev_per_atom) for s in specimens]
    ).reshape(-1, 2)
    crystals = describe_crystals([specimen.crystal for specimen in specimens])
    return np.hstack([crystals, energies / _ENERGY_UNITS_EV])


def describe_crystals(crystals: Sequence[Crystal]) -> Floats:
    """Vectors that describe crystals of which no energy is known.

    They do not depend on the choice of the cell, but for the number of atoms in it. Transuranium
    elements are taken for plutonium, beyond which nothing is tabulated.

    Args:
        crystals: At rest or not.

    Returns:
        Shape ``(n, d)``, all finite; columns as in :func:`blocks`, without the energies.
    """
    composition = composition_features([_tabulated(c) for c in crystals], _table())
    geometry = np.array([_geometry(c) for c in crystals]).reshape(-1, len(GEOMETRY))
    return np.hstack([composition, (geometry - TYPICAL) / SPREAD]).astype(np.float64)


def _tabulated(crystal: Crystal) -> Counter[int]:
    """Atoms of each element that is tabulated."""
    return Counter(np.minimum(crystal.numbers, HEAVIEST).tolist())


def _geometry(crystal: Crystal) -> Floats:
    """The figures of :data:`GEOMETRY`, as they are."""
    numbers = np.minimum(crystal.numbers, HEAVIEST)
    radii = COVALENT_RADII_ANG[numbers]
    distances, owners = nearest_distances(crystal, _NEIGHBOURS)
    contacts = distances / (radii[:, None] + radii[owners])
    closest = contacts.min(axis=1)
    apart = distances / distances[:, :1]
    bonds = 1.0 / (1.0 + np.exp(np.minimum((apart - NEAR) / SOFTNESS, 50.0)))
    log_neighbours = np.log(bonds.sum(axis=1))
    chi = ELECTRONEGATIVITIES[numbers]
    polarity = np.abs(chi[:, None] - chi[owners])
    like = numbers[:, None] == numbers[owners]
    n_atoms = len(crystal)
    return np.array(
        (
            np.log(crystal.volume / n_atoms),
            np.log(crystal.density),
            np.log(4.0 / 3.0 * np.pi * (radii**3).sum() / crystal.volume),
            closest.mean(),
            closest.min(),
            closest.std(),
            log_neighbours.mean(),
            log_neighbours.std(),
            np.average(polarity, weights=bonds),
            np.average(like, weights=bonds),
            np.log(n_atoms),
        )
    )
