"""Which scaffolds to draw crystals on: those of the training data, as often as they occur there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.generators.diffusion.symmetry import OFFSET_GRID, Scaffold

Key = tuple[int, str]
"""Space group and Wyckoff letters, one for each orbit, ascending."""


@dataclass(frozen=True, eq=False)
class Orbit:
    """The atoms of one Wyckoff position, see :class:`~.symmetry.Scaffold`."""

    basis: NDArray[np.int8]
    offset: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScaffoldLibrary:
    """Scaffolds with their frequencies.

    Attributes:
        counts: How often each scaffold occurs.
        centrings: Lattice letter of each space group.
        orbits: Wyckoff positions by group and letter.
    """

    counts: dict[Key, int]
    centrings: dict[int, str]
    orbits: dict[Key, Orbit]

    def scaffold(self, group: int, letters: str) -> Scaffold:
        """The scaffold with these positions occupied.

        Raises:
            KeyError: A Wyckoff position that the training data never showed.
        """
        parts = [self.orbits[group, letter] for letter in letters]
        return Scaffold(
            group=group,
            centring=self.centrings[group],
            letters=letters,
            orbit=np.repeat(np.arange(len(parts)), [len(part.basis) for part in parts]),
            basis=np.concatenate([part.basis for part in parts]),
            offset=np.concatenate([part.offset for part in parts]),
        )

    def multiplicities(self, key: Key) -> tuple[int, ...]:
        """Atoms of each orbit of a scaffold."""
        return tuple(len(self.orbits[key[0], letter].basis) for letter in key[1])

    def to_json(self) -> dict[str, Any]:
        """As JSON values; offsets in units of 1/48."""
        return {
            "scaffolds": [[group, letters, n] for (group, letters), n in self.counts.items()],
            "centrings": {str(group): letter for group, letter in self.centrings.items()},
            "orbits": [
                [
                    group,
                    letter,
                    orbit.basis.ravel().tolist(),
                    np.rint(orbit.offset * OFFSET_GRID).astype(int).ravel().tolist(),
                ]
                for (group, letter), orbit in self.orbits.items()
            ],
        }

    @staticmethod
    def from_json(stored: dict[str, Any]) -> ScaffoldLibrary:
        """Inverse of :meth:`to_json`."""
        return ScaffoldLibrary(
            counts={(group, letters): n for group, letters, n in stored["scaffolds"]},
            centrings={int(group): letter for group, letter in stored["centrings"].items()},
            orbits={
                (group, letter): Orbit(
                    np.array(basis, dtype=np.int8).reshape(-1, 3, 3),
                    np.array(offset, dtype=float).reshape(-1, 3) / OFFSET_GRID,
                )
                for group, letter, basis, offset in stored["orbits"]
            },
        )


def collect_scaffolds(scaffolds: Iterable[Scaffold]) -> ScaffoldLibrary:
    """Counts the scaffolds of a training set."""
    counts: Counter[Key] = Counter()
    centrings: dict[int, str] = {}
    orbits: dict[Key, Orbit] = {}
    for scaffold in scaffolds:
        counts[scaffold.group, scaffold.letters] += 1
        centrings[scaffold.group] = scaffold.centring
        for k, letter in enumerate(scaffold.letters):
            if (scaffold.group, letter) not in orbits:
                of = scaffold.orbit == k
                orbits[scaffold.group, letter] = Orbit(scaffold.basis[of], scaffold.offset[of])
    return ScaffoldLibrary(dict(sorted(counts.items())), centrings, orbits)
