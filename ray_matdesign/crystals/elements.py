"""Element tables: symbols, masses, covalent radii and Pauling electronegativities.

Kept here, not looked up in pymatgen, because every worker needs them and importing pymatgen takes
a second. Masses (IUPAC 2021 abridged) and electronegativities are those pymatgen tabulates; a test
compares all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from math import gcd

import numpy as np

from ray_matdesign.config.elements import SYMBOLS

__all__ = [
    "ATOMIC_MASSES_AMU",
    "ATOMIC_NUMBERS",
    "COVALENT_RADII_ANG",
    "ELECTRONEGATIVITIES",
    "SYMBOLS",
    "formula_from_counts",
]

ATOMIC_NUMBERS: dict[str, int] = {symbol: z for z, symbol in enumerate(SYMBOLS) if z > 0}
"""Atomic number of each symbol."""

# fmt: off
ATOMIC_MASSES_AMU = np.array((
    0.0, 1.00794, 4.002602, 6.941, 9.012182, 10.811, 12.0107, 14.0067, 15.9994, 18.998403,
    20.1797, 22.989769, 24.305, 26.981539, 28.0855, 30.973762, 32.065, 35.453, 39.948, 39.0983,
    40.078, 44.955912, 47.867, 50.9415, 51.9961, 54.938045, 55.845, 58.933195, 58.6934, 63.546,
    65.409, 69.723, 72.64, 74.9216, 78.96, 79.904, 83.798, 85.4678, 87.62, 88.90585,
    91.224, 92.90638, 95.94, 98.0, 101.07, 102.9055, 106.42, 107.8682, 112.411, 114.818,
    118.71, 121.76, 127.6, 126.90447, 131.293, 132.905452, 137.327, 138.90547, 140.116, 140.90765,
    144.242, 145.0, 150.36, 151.964, 157.25, 158.92535, 162.5, 164.93032, 167.259, 168.93421,
    173.04, 174.967, 178.49, 180.94788, 183.84, 186.207, 190.23, 192.217, 195.084, 196.966569,
    200.59, 204.3833, 207.2, 208.9804, 210.0, 210.0, 220.0, 223.0, 226.0, 227.0,
    232.03806, 231.03588, 238.02891, 237.0, 244.0, 243.0, 247.0, 247.0, 251.0, 252.0,
    257.0, 258.0, 259.0, 262.0, 267.0, 268.0, 269.0, 270.0, 270.0, 278.0,
    281.0, 282.0, 285.0, 286.0, 289.0, 290.0, 293.0, 294.0, 294.0,
))
"""Standard atomic masses by atomic number, atomic mass units."""

ELECTRONEGATIVITIES = np.array((
    0.0, 2.2, 0.0, 0.98, 1.57, 2.04, 2.55, 3.04, 3.44, 3.98, 0.0, 0.93,
    1.31, 1.61, 1.9, 2.19, 2.58, 3.16, 0.0, 0.82, 1.0, 1.36, 1.54, 1.63,
    1.66, 1.55, 1.83, 1.88, 1.91, 1.9, 1.65, 1.81, 2.01, 2.18, 2.55, 2.96,
    3.0, 0.82, 0.95, 1.22, 1.33, 1.6, 2.16, 1.9, 2.2, 2.28, 2.2, 1.93,
    1.69, 1.78, 1.96, 2.05, 2.1, 2.66, 2.6, 0.79, 0.89, 1.1, 1.12, 1.13,
    1.14, 1.13, 1.17, 1.2, 1.2, 1.1, 1.22, 1.23, 1.24, 1.25, 1.1, 1.27,
    1.3, 1.5, 2.36, 1.9, 2.2, 2.2, 2.28, 2.54, 2.0, 1.62, 2.33, 2.02,
    2.0, 2.2, 2.2, 0.7, 0.9, 1.1, 1.3, 1.5, 1.38, 1.36, 1.28, 1.3,
    1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 0.0, 0.0, 0.0, 0.0,
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
))
"""Pauling electronegativities by atomic number; 0 where none is tabulated."""

COVALENT_RADII_ANG = np.array((
    0.0, 0.31, 0.28, 1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58, 1.66, 1.41, 1.21, 1.11,
    1.07, 1.05, 1.02, 1.06, 2.03, 1.76, 1.7, 1.6, 1.53, 1.39, 1.39, 1.32, 1.26, 1.24, 1.32,
    1.22, 1.22, 1.2, 1.19, 1.2, 1.2, 1.16, 2.2, 1.95, 1.9, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42,
    1.39, 1.45, 1.44, 1.42, 1.39, 1.39, 1.38, 1.39, 1.4, 2.44, 2.15, 2.07, 2.04, 2.03, 2.01,
    1.99, 1.98, 1.98, 1.96, 1.94, 1.92, 1.92, 1.89, 1.9, 1.87, 1.87, 1.75, 1.7, 1.62, 1.51,
    1.44, 1.41, 1.36, 1.36, 1.32, 1.45, 1.46, 1.48, 1.4, 1.5, 1.5, 2.6, 2.21, 2.15, 2.06, 2.0,
    1.96, 1.9, 1.87, 1.8, 1.69,
))
"""Covalent radii by atomic number up to curium, Angstrom (Cordero et al., Dalton Trans. 2832
(2008))."""
# fmt: on


def formula_from_counts(counts: Mapping[int, int]) -> str:
    """Reduced formula of a cell's contents, electropositive elements first.

    Unlike pymatgen, elemental gases are reduced too (``O``, not ``O2``): the string serves as the
    key of a composition, and one rule without exceptions is what a key needs.

    Args:
        counts: Atoms of each element by atomic number.
    """
    divisor = reduce(gcd, counts.values())
    # Elements without an electronegativity (He, Ne, Ar, ...) go last, as in pymatgen.
    order = sorted(counts, key=lambda z: (ELECTRONEGATIVITIES[z] or np.inf, SYMBOLS[z]))
    parts = ((SYMBOLS[z], counts[z] // divisor) for z in order)
    return "".join(symbol if k == 1 else f"{symbol}{k}" for symbol, k in parts)
