"""Minimal coincident interface area of a film on a substrate: a small one grows epitaxially."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.symmetry import conventional_cell
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen
from ray_matdesign.rewards.scorers.substrates import SUBSTRATES, Miller

LENGTH_TOLERANCE = 0.03
"""Relative difference of two lengths that still coincide."""
ANGLE_TOLERANCE = 0.01
"""Relative difference of two angles that still coincide."""
AREA_RATIO_TOLERANCE = 0.09
"""Difference of the ratio of two areas to the ratio of their multiples."""
SYMPREC_ANG = 0.05
"""How far atoms of a relaxed film may be from the places of its symmetry."""
MOST_MILLER = 3
"""Faces of higher index are not grown, and their number grows with the cube of the index."""
MOST_AREA_ANG2 = 1000.0
"""Beyond it nothing is epitaxy, and almost everything coincides with everything."""

Floats = NDArray[np.float64]


class MCIA:
    """Area of the smallest cell that a face of the film and the substrate have in common, A^2.

    Lattice vectors are matched as Zur and McGill do, J. Appl. Phys. 55, 378 (1984), with the
    tolerances and the conventions of pymatgen's ``SubstrateAnalyzer``: faces are those of the
    conventional cells (so a centred face counts with its centred area), lengths may differ by 3 %
    and angles by 1 %, and the area is the film's before it is strained. All superlattices of a size
    are compared at once, which takes a twentieth of the analyzer's time: 0.03 s a crystal.

    A film without a match below ``max_area_ang2`` is given that area, which is at most its own.
    """

    name = "mcia"
    unit = "A^2"
    cost = CostClass.CHEAP
    version = "1"

    def __init__(
        self, substrate: str, miller: Miller, film_max_miller: int, max_area_ang2: float
    ) -> None:
        face = "".join(map(str, miller))
        self.source = (
            f"lattice match (Zur and McGill 1984) on {substrate}({face}), film faces up to index "
            f"{film_max_miller}, areas above {max_area_ang2:g} A^2 given as that; lattice "
            f"constants: {SUBSTRATES[substrate].source}"
        )
        self._faces = faces(film_max_miller)
        self._substrate = Net.of_face(SUBSTRATES[substrate].lattice, miller)
        self._max_area = max_area_ang2

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Area for each specimen, A^2."""
        return [self._area(specimen.crystal) for specimen in specimens]

    def _area(self, crystal: Crystal) -> float | Failed:
        film = conventional_cell(crystal, SYMPREC_ANG)
        if film is None:
            return Failed("no conventional cell found")
        nets = [Net.of_face(film.lattice, face) for face in self._faces]
        areas = (coincident_area(net, self._substrate, self._max_area) for net in nets)
        return min((area for area in areas if area is not None), default=self._max_area)


@dataclass(frozen=True)
class Net:
    """A two-dimensional lattice, by the scalar products of its vectors.

    Attributes:
        aa: ``a . a``, square Angstrom.
        bb: ``b . b``, square Angstrom.
        ab: ``a . b``, square Angstrom.
    """

    aa: float
    bb: float
    ab: float

    @classmethod
    def of_face(cls, lattice: Floats, miller: Miller) -> Net:
        """The lattice points of a plane through the origin.

        Args:
            lattice: Cell vectors as rows, shape ``(3, 3)``, Angstrom.
            miller: The plane, without a common divisor.
        """
        a, b = np.array(in_plane_vectors(miller)) @ lattice
        return cls(float(a @ a), float(b @ b), float(a @ b))

    @property
    def area(self) -> float:
        """Of a primitive cell, square Angstrom."""
        return math.sqrt(self.aa * self.bb - self.ab**2)


@lru_cache(maxsize=1024)  # the substrate's are asked for again with every film
def superlattices(net: Net, n: int) -> Floats:
    """Shapes of all superlattices of ``n`` times the area.

    Args:
        net: The lattice.
        n: At least 1.

    Returns:
        Shape ``(3, n_superlattices)``: lengths of the two vectors of the reduced cell (Angstrom,
        the shorter one first), and the angle between them (radians, at most 90 degrees).
    """
    # One matrix [[i, j], [0, k]] with i k = n and 0 <= j < k for each superlattice (Cassels, An
    # Introduction to the Geometry of Numbers).
    forms = [(n // k, j, k) for k in range(1, n + 1) if n % k == 0 for j in range(k)]
    i, j, k = np.array(forms, dtype=np.float64).T
    aa = i * i * net.aa + 2.0 * i * j * net.ab + j * j * net.bb
    ab = k * (i * net.ab + j * net.bb)
    return _reduced(aa, k * k * net.bb, ab)


def coincident_area(film: Net, substrate: Net, max_area_ang2: float) -> float | None:
    """Area of the smallest superlattice of the film that is one of the substrate's too.

    Args:
        film: One face.
        substrate: Its face.
        max_area_ang2: No superlattice of either may reach it.

    Returns:
        The film's area, square Angstrom; ``None`` where nothing matches.
    """
    ratio = film.area / substrate.area
    most = math.ceil(max_area_ang2 / substrate.area)
    for n in range(1, math.ceil(max_area_ang2 / film.area)):
        for m in range(1, most):
            if (
                abs(ratio - m / n) >= AREA_RATIO_TOLERANCE
                and abs(1.0 / ratio - n / m) >= AREA_RATIO_TOLERANCE
            ):
                continue
            if _coincide(superlattices(film, n), superlattices(substrate, m)):
                return n * film.area
    return None


def faces(max_miller: int) -> list[Miller]:
    """Miller indices up to ``max_miller``, of each plane and its opposite one."""
    indices = range(-max_miller, max_miller + 1)
    return [
        miller
        for miller in itertools.product(indices, indices, indices)
        if math.gcd(*miller) == 1 and miller > (0, 0, 0)
    ]


@cache
def in_plane_vectors(miller: Miller) -> tuple[Miller, Miller]:
    """Two lattice vectors that span all lattice points of a plane.

    Args:
        miller: Indices without a common divisor. The cross product of the two vectors (as integers)
            is plus or minus these, which is what makes them primitive.
    """
    reach = max(map(abs, miller))
    steps = range(-reach, reach + 1)
    inside = [
        vector
        for vector in sorted(
            itertools.product(steps, steps, steps), key=lambda v: (sum(x * x for x in v), v)
        )
        if any(vector) and sum(h * x for h, x in zip(miller, vector, strict=True)) == 0
    ]
    for a, b in itertools.combinations(inside, 2):
        cross = tuple(int(x) for x in np.cross(a, b))
        if cross in (miller, tuple(-h for h in miller)):
            return a, b
    raise ValueError(f"Miller indices {miller} have a common divisor")


def _reduced(aa: Floats, bb: Floats, ab: Floats) -> Floats:
    """Lengths and angles of reduced cells, from scalar products, by Gauss's algorithm."""
    while True:
        swap = aa > bb
        aa, bb = np.where(swap, bb, aa), np.where(swap, aa, bb)
        steps = np.rint(ab / aa)
        shorter = bb - 2.0 * steps * ab + steps * steps * aa
        if not (shorter < bb * (1.0 - 1e-12)).any():
            break
        bb, ab = shorter, ab - steps * aa
    a, b = np.sqrt(aa), np.sqrt(bb)
    return np.stack([a, b, np.arccos(np.clip(np.abs(ab) / (a * b), 0.0, 1.0))])


def _coincide(film: Floats, substrate: Floats) -> bool:
    """Whether any shape is common to both, within the tolerances."""
    relative = np.abs(substrate[:, None, :] / film[:, :, None] - 1.0)
    tolerances = np.array([LENGTH_TOLERANCE, LENGTH_TOLERANCE, ANGLE_TOLERANCE])
    return bool((relative <= tolerances[:, None, None]).all(axis=0).any())


def make(
    bench: Bench,
    substrate: str = "Si",
    miller: Sequence[int] | None = None,
    film_max_miller: int = 1,
    max_area_ang2: float = 400.0,
) -> MCIA:
    """Builds the scorer.

    Args:
        bench: Not used.
        substrate: A key of :data:`~ray_matdesign.rewards.scorers.substrates.SUBSTRATES`.
        miller: Three indices of the substrate's face, in its conventional cell; by default the
            usual one.
        film_max_miller: Largest index of the film's faces.
        max_area_ang2: How far to look, A^2.

    Raises:
        ValueError: An unknown substrate, no face, or a limit that is not positive.
    """
    if substrate not in SUBSTRATES:
        raise ValueError(f"mcia: no substrate {substrate!r}; there are {', '.join(SUBSTRATES)}")
    if not 1 <= film_max_miller <= MOST_MILLER:
        raise ValueError(f"mcia: film_max_miller must lie in 1 to {MOST_MILLER}")
    face = SUBSTRATES[substrate].miller if miller is None else tuple(int(h) for h in miller)
    if len(face) != 3 or math.gcd(*face) != 1:
        raise ValueError(
            f"mcia: miller must be three indices without a common divisor, got {miller}"
        )
    area = Net.of_face(SUBSTRATES[substrate].lattice, face).area
    if not area < max_area_ang2 <= MOST_AREA_ANG2:
        raise ValueError(
            f"mcia: max_area_ang2 must lie above the substrate's {area:.1f} A^2 and not above "
            f"{MOST_AREA_ANG2:g}, got {max_area_ang2:g}"
        )
    return MCIA(substrate, face, film_max_miller, max_area_ang2)
