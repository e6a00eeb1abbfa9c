"""Neighbours of atoms in periodic crystals, many crystals at once, kept from step to step.

Finding neighbours from nothing costs about as much as a tenth of evaluating a graph potential, and
during a relaxation nearly all of them stay the same. :class:`PairCandidates` therefore holds every
pair within the cutoff plus a skin (Verlet, Phys. Rev. 159, 98 (1967)) and says, for atoms and
cells that have moved since, whether a pair may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_IMAGES = 20_000
"""Lattice translations a search may look at; a cube 1 Angstrom wide has 4,913 of them."""
DISTANCES_AT_ONCE = 1_000_000
"""Atom pairs times translations looked at in one go: a bound on memory (8 MB an array)."""


class CellTooFlat(ValueError):
    """A cell so flat that the images within the cutoff cannot be listed."""


@dataclass(frozen=True)
class PairCandidates:
    """Every unordered pair of atoms of one crystal within ``cutoff + skin`` of each other.

    Attributes:
        first: Index of the first atom, shape ``(n_pairs,)``.
        second: Index of the second atom, shape ``(n_pairs,)``.
        images: Lattice translation of the second atom, shape ``(n_pairs, 3)``, relative to the
            fractional coordinates as given (not wrapped into the cell).
        cutoff: Distance that matters, Angstrom.
        skin: Distance beyond it that is listed too, Angstrom.
        lattice: Cell when the search was made, shape ``(3, 3)``, Angstrom.
        frac_coords: Coordinates when the search was made, shape ``(n_atoms, 3)``.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    images: NDArray[np.float64]
    cutoff: float
    skin: float
    lattice: NDArray[np.float64]
    frac_coords: NDArray[np.float64]

    def covers(self, lattice: NDArray[np.float64], frac_coords: NDArray[np.float64]) -> bool:
        """Whether no pair can have come within the cutoff without being listed.

        A pair vector ``v`` becomes ``v F + du``, with ``F`` the deformation of the cell and ``du``
        the difference of two atoms' own displacements. An unlisted pair was longer than
        ``cutoff + skin`` and so is longer than ``sigma_min(F) (cutoff + skin) - 2 max|u|`` now.

        Args:
            lattice: Cell now, shape ``(3, 3)``, Angstrom.
            frac_coords: Coordinates now, shape ``(n_atoms, 3)``, not wrapped since the search.
        """
        deformation = np.linalg.solve(self.lattice, lattice)
        shrinkage = float(np.linalg.svd(deformation, compute_uv=False)[-1])
        moved = (frac_coords - self.frac_coords) @ lattice
        # A common translation of all atoms changes no distance.
        moved -= moved.mean(axis=0)
        furthest = float(np.sqrt((moved**2).sum(axis=1).max()))
        return shrinkage * (self.cutoff + self.skin) - 2.0 * furthest >= self.cutoff


def find_pairs(
    lattice: NDArray[np.float64], frac_coords: NDArray[np.float64], *, cutoff: float, skin: float
) -> PairCandidates:
    """Lists every unordered pair of atoms, images included, within ``cutoff + skin``.

    An atom and its own image count as a pair once: of a translation and its opposite only the
    lexicographically positive one is listed.

    Args:
        lattice: Cell vectors as rows, shape ``(3, 3)``, Angstrom.
        frac_coords: Shape ``(n_atoms, 3)``.
        cutoff: Angstrom.
        skin: Angstrom.

    Raises:
        CellTooFlat: More than ``MAX_IMAGES`` translations of the cell are within reach.
    """
    reach = cutoff + skin
    n_atoms = len(frac_coords)
    # Distance between opposite faces along each axis: |a_k . (a_i x a_j)| / |a_i x a_j|.
    spacings = 1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    bounds = np.ceil(reach / spacings + 0.5)
    n_images = float(np.prod(2.0 * bounds + 1.0))
    if not n_images <= MAX_IMAGES:
        raise CellTooFlat(
            f"plane spacings {np.round(spacings, 3).tolist()} Angstrom are too small for a "
            f"neighbour search within {reach:.1f} Angstrom"
        )
    axes = [np.arange(-bound, bound + 1.0) for bound in bounds]
    images = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    # Lexicographic order makes the second half of the grid the positive translations.
    positive = images[len(images) // 2 + 1 :]

    first, second = np.triu_indices(n_atoms, k=1)
    difference = frac_coords[second] - frac_coords[first]
    wrap = -np.rint(difference)
    separations = (difference + wrap) @ lattice
    near, image = _within(separations, images @ lattice, reach)
    own = np.nonzero(((positive @ lattice) ** 2).sum(axis=1) < reach**2)[0]
    atoms = np.arange(n_atoms)
    return PairCandidates(
        first=np.concatenate([first[near], np.repeat(atoms, len(own))]),
        second=np.concatenate([second[near], np.repeat(atoms, len(own))]),
        images=np.concatenate([images[image] + wrap[near], np.tile(positive[own], (n_atoms, 1))]),
        cutoff=cutoff,
        skin=skin,
        lattice=lattice,
        frac_coords=frac_coords,
    )


def _within(
    separations: NDArray[np.float64], translations: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which pairs, shifted by which translation, are closer than ``reach``.

    Uses |s + t|^2 = |s|^2 + 2 s.t + |t|^2: a matrix product in place of a three-dimensional
    temporary.

    Args:
        separations: Shape ``(n_pairs, 3)``, Angstrom.
        translations: Shape ``(n_images, 3)``, Angstrom.
        reach: Angstrom.

    Returns:
        Indices of pairs and of translations.
    """
    translation_squares = (translations**2).sum(axis=1)
    pairs, images = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    rows = max(1, DISTANCES_AT_ONCE // len(translations))
    for start in range(0, len(separations), rows):
        chunk = separations[start : start + rows]
        squared = 2.0 * chunk @ translations.T
        squared += (chunk**2).sum(axis=1)[:, None]
        squared += translation_squares
        pair, image = np.nonzero(squared < reach**2)
        pairs.append(pair + start)
        images.append(image)
    return np.concatenate(pairs), np.concatenate(images)
