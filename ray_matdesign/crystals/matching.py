"""When two crystals are the same one.

The judge is pymatgen's ``StructureMatcher`` with MatInvent's tolerances, within one reduced
formula. A fingerprint of interatomic distances cannot stand in for it: on 4,000 pairs of real
crystals of one formula no threshold agreed with it on more than 87% (stacking variants have the
same neighbours and do not match; distorted crystals do). Fingerprints serve as keys instead.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.config.schema import StabilitySettings
from ray_matdesign.crystals.convert import to_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import formula_from_counts
from ray_matdesign.crystals.geometry import nearest_distances, reduced_cell

if TYPE_CHECKING:
    from pymatgen.core import Structure

_NEIGHBOURS = 12
_KEY_RESOLUTION = 0.01
_DEFAULT = StabilitySettings()


class Matcher:
    """Compares crystals; remembers nothing between calls."""

    def __init__(self, settings: StabilitySettings = _DEFAULT) -> None:
        """Takes the tolerances (``matcher_*``) from the stability settings."""
        from pymatgen.analysis.structure_matcher import StructureMatcher

        self._judge = StructureMatcher(
            ltol=settings.matcher_ltol,
            stol=settings.matcher_stol,
            angle_tol=settings.matcher_angle_tol_deg,
            primitive_cell=True,
            scale=True,
        )

    def match(self, first: Crystal, second: Crystal) -> bool:
        """Whether two crystals are the same, volume aside."""
        if formula_from_counts(first.counts) != formula_from_counts(second.counts):
            return False
        return self.match_primitive(primitive_structure(first), primitive_structure(second))

    def match_primitive(self, first: Structure, second: Structure) -> bool:
        """:meth:`match` for cells already made primitive by :func:`primitive_structure`."""
        if len(first) != len(second):
            return False
        return bool(self._judge.fit(first, second, skip_structure_reduction=True))

    def unique_mask(self, crystals: Sequence[Crystal]) -> list[bool]:
        """Which crystals are the first of their kind.

        Returns:
            One flag for each crystal; of several that match, only the first is unique.
        """
        kept: dict[str, list[Structure]] = {}
        mask = []
        for crystal in crystals:
            structure = primitive_structure(crystal)
            earlier = kept.setdefault(crystal.formula, [])
            unique = not any(self.match_primitive(structure, other) for other in earlier)
            if unique:
                earlier.append(structure)
            mask.append(unique)
        return mask


def match(first: Crystal, second: Crystal, settings: StabilitySettings = _DEFAULT) -> bool:
    """Whether two crystals are the same, volume aside."""
    return Matcher(settings).match(first, second)


def unique_mask(crystals: Sequence[Crystal], settings: StabilitySettings = _DEFAULT) -> list[bool]:
    """Which crystals are the first of their kind; see :meth:`Matcher.unique_mask`."""
    return Matcher(settings).unique_mask(crystals)


def primitive_structure(crystal: Crystal) -> Structure:
    """The reduced primitive cell, as ``StructureMatcher`` compares it.

    Where pymatgen's reduction does not converge (cells of extreme shape), the cell as it stands,
    Minkowski-reduced, is used: a match may then be missed, none is invented.
    """
    compact = to_pymatgen(compact_cell(crystal))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return compact.get_primitive_structure()
        except ValueError:
            return compact


def compact_cell(crystal: Crystal) -> Crystal:
    """The same crystal in its Minkowski-reduced cell, fractional coordinates in [0, 1)."""
    cell, _ = reduced_cell(crystal.lattice)
    coords = (crystal.positions @ np.linalg.inv(cell)) % 1.0
    # A coordinate a hair below zero wraps to exactly 1.0 in floating point.
    coords[coords == 1.0] = 0.0
    return Crystal(cell, coords, crystal.numbers)


def fingerprint(crystal: Crystal) -> NDArray[np.float64]:
    """Mean distances to the nearest neighbours, element by element.

    The average minimum distances of Widdowson et al. (MATCH 87, 529 (2022)) resolved by element:
    independent of the choice of cell, of the order of atoms and of rotation, and continuous in the
    positions. Distances are in units of the mean atomic spacing ``(V / n)^(1/3)``, as
    ``StructureMatcher`` scales volumes away.

    Returns:
        Shape ``(n_elements * 12,)``: for each element, ascending by atomic number, the mean
        distance of its atoms to their first, second, ... neighbour of any kind.
    """
    distances, _ = nearest_distances(crystal, _NEIGHBOURS)
    spacing = (crystal.volume / len(crystal)) ** (1 / 3)
    means = [distances[crystal.numbers == z].mean(axis=0) for z in crystal.counts]
    return np.asarray(np.concatenate(means) / spacing)


def structure_key(crystal: Crystal) -> str:
    """A short name for a crystal: its formula and a hash of its rounded fingerprint.

    For caches and file names. Copies of a crystal in other cells share it; crystals that merely
    :func:`match` mostly do not, and stacking variants may share it.
    """
    rounded = np.round(fingerprint(crystal) / _KEY_RESOLUTION).astype("<i4")
    return f"{crystal.formula}-{hashlib.blake2b(rounded.tobytes(), digest_size=6).hexdigest()}"
