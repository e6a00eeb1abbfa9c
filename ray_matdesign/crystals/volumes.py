"""How large a cell the elements of a structure type ask for."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import COVALENT_RADII_ANG, ELECTRONEGATIVITIES, SYMBOLS
from ray_matdesign.crystals.geometry import Floats, reduced_cell

_IMAGES = np.array(list(itertools.product(range(-2, 3), repeat=3)))


def site_distances(cell: Crystal) -> Floats:
    """Shortest distance between atoms of each two sites, at one cubic Angstrom a cell.

    Args:
        cell: The atomic number of an atom is the number of its site, from 1.

    Returns:
        Shape ``(sites, sites)``, symmetric; on the diagonal, between atoms of one site, images of
        the same atom included.
    """
    lattice, _ = reduced_cell(cell.lattice)
    frac = cell.positions @ np.linalg.inv(lattice)
    apart = frac[:, None] - frac
    apart -= np.round(apart)
    vectors = (apart[:, :, None] + _IMAGES) @ lattice
    lengths = np.linalg.norm(vectors, axis=-1)
    lengths[lengths < 1e-6] = np.inf  # an atom and itself
    shortest = lengths.min(axis=-1) / cell.volume ** (1.0 / 3.0)
    sites = int(cell.numbers.max())
    between = np.full((sites, sites), np.inf)
    np.minimum.at(between, (cell.numbers[:, None] - 1, cell.numbers[None] - 1), shortest)
    return between


def guessed_volumes(atoms: ArrayLike, distances: Floats, elements: ArrayLike) -> Floats:
    """Cell volumes at which no bond is shorter than radii allow, cubic Angstrom.

    Radii are data-mined and grow with the spread of electronegativities (DLS: Chu et al.,
    Comput. Mater. Sci. 146, 184 (2018), as pymatgen has it); for pairs with an element that it
    lacks, they are atomic radii. Where pymatgen knows no radius of any of the elements, bonds are
    on average as long as covalent radii add up to.

    Args:
        atoms: Of each site in the cell, shape ``(sites,)``.
        distances: Between sites, as :func:`site_distances` gives them.
        elements: Atomic numbers by site, shape ``(n, sites)``.

    Returns:
        Shape ``(n,)``.
    """
    numbers, weights = np.asarray(elements), np.asarray(atoms, dtype=float)
    base, growth, atomic = _radii()
    electronegativities = ELECTRONEGATIVITIES[numbers]
    mean = np.average(electronegativities, axis=1, weights=weights)
    spread = np.sqrt(
        np.average((electronegativities - mean[:, None]) ** 2, axis=1, weights=weights)
    )
    mined = base[numbers] + growth[numbers] * spread[:, None]
    bonds = mined[:, :, None] + mined[:, None, :]
    plain = atomic[numbers]
    bonds = np.where(np.isnan(bonds), plain[:, :, None] + plain[:, None, :], bonds)
    # An element without any radius sets no bound.
    bonds[np.isnan(plain)[:, :, None] | np.isnan(plain)[:, None, :]] = 0.0
    lengths = (bonds / distances).max(axis=(1, 2))
    unknown = np.flatnonzero(lengths == 0.0)
    if len(unknown):
        covalent = np.asarray(COVALENT_RADII_ANG)[numbers[unknown]]
        sums = covalent[:, :, None] + covalent[:, None, :]
        nearest = np.log((distances / sums).min(axis=2))
        lengths[unknown] = np.exp(-np.average(nearest, axis=1, weights=weights))
    return np.asarray(lengths**3)


@cache
def _radii() -> tuple[Floats, Floats, Floats]:
    """DLS radii without spread and their growth with it, and atomic radii, by atomic number.

    Angstrom; ``nan`` where pymatgen has none.
    """
    from pymatgen.core import Element
    from pymatgen.core.structure_prediction.volume_predictor import bond_params

    base, growth, atomic = (np.full(len(SYMBOLS), np.nan) for _ in range(3))
    for z, symbol in enumerate(SYMBOLS):
        if z == 0:
            continue
        radius = Element(symbol).atomic_radius
        if radius:
            atomic[z] = float(radius)
        # Of argon, for one, the fit is off by eleven orders of magnitude.
        if symbol in bond_params and float(bond_params[symbol]["r"]) > 0.0:
            base[z], growth[z] = (float(bond_params[symbol][key]) for key in ("r", "k"))
    return base, growth, atomic
