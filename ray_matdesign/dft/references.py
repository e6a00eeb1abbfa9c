"""Elements by the same code: what formation energies are taken against."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ray_matdesign.crystals.convert import from_ase, parse_cif
from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.dft.result import DftError

DIMERS_ANG = {1: 0.741, 7: 1.098, 8: 1.208, 9: 1.412, 17: 1.988}
"""Bond lengths of the gases H2, N2, O2, F2 and Cl2 (NIST Chemistry WebBook)."""

_BOX_ANG = 8.0
_HELICES = {34: (4.366, 4.954, 0.225), 52: (4.457, 5.929, 0.267)}
"""Trigonal Se and Te: a, c in Angstrom and the coordinate (Wyckoff, Crystal Structures, 1963)."""


def elemental_crystal(number: int) -> Crystal:
    """An element as found in nature, from measured lattice constants.

    Args:
        number: Atomic number.

    Returns:
        The solid of ASE's tables of prototypes, trigonal Se or Te, or one molecule of H2, N2, O2,
        F2 or Cl2 in a cube of 8 Angstrom.

    Raises:
        DftError: There is no crystal of the element at hand (B, P, S, Mn, Ga, Br, I).
    """
    if number in DIMERS_ANG:
        # Off the axes, so that the box does not make a molecule look like a crystal.
        half = DIMERS_ANG[number] / (2.0 * np.sqrt(3.0)) / _BOX_ANG
        place = np.array([[0.5 - half] * 3, [0.5 + half] * 3])
        return Crystal(np.eye(3) * _BOX_ANG, place, [number, number])
    if number in _HELICES:
        return _helix(number, *_HELICES[number])
    from ase.build import bulk

    try:
        return from_ase(bulk(SYMBOLS[number]))
    except (ValueError, RuntimeError, KeyError) as error:
        raise DftError(
            f"no reference crystal of {SYMBOLS[number]}: give a CIF in option references"
        ) from error


def read_references(paths: Mapping[str, str]) -> dict[int, Crystal]:
    """Reference crystals that a user gives.

    Args:
        paths: CIF file by symbol.

    Returns:
        By atomic number.

    Raises:
        ValueError: A symbol or file is not what it should be.
    """
    crystals = {}
    for symbol, path in paths.items():
        if symbol not in ATOMIC_NUMBERS:
            raise ValueError(f"references: {symbol!r} is no chemical element")
        try:
            crystal = parse_cif(Path(path).read_text(encoding="utf-8"))
        except (OSError, InvalidCrystal) as error:
            raise ValueError(f"references: {symbol}: {path}: {error}") from error
        if crystal.elements != {ATOMIC_NUMBERS[symbol]}:
            raise ValueError(f"references: {path} holds {crystal.formula}, not {symbol}")
        crystals[ATOMIC_NUMBERS[symbol]] = crystal
    return crystals


def is_molecule(number: int) -> bool:
    """Whether :func:`elemental_crystal` gives a molecule in a box, which no cell fits."""
    return number in DIMERS_ANG


def _helix(number: int, a: float, c: float, x: float) -> Crystal:
    """Three atoms on a threefold screw axis (space group 152, Wyckoff position 3a)."""
    lattice = [[a, 0.0, 0.0], [-a / 2.0, a * np.sqrt(3.0) / 2.0, 0.0], [0.0, 0.0, c]]
    places = [[x, 0.0, 1.0 / 3.0], [0.0, x, 2.0 / 3.0], [-x, -x, 0.0]]
    return Crystal(lattice, places, [number] * 3)
