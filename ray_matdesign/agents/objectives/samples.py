"""Crystals that scorers are tried on: well-known ones by name, and fresh ones no code has seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.objectives.features import Batch
from ray_matdesign.agents.objectives.registered import REGISTERED
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.crystals.geometry import nearest_contacts

_FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
_BCC = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
_CUBE = np.eye(3)
_HEXAGON = np.array([[1.0, 0.0, 0.0], [-0.5, np.sqrt(0.75), 0.0], [0.0, 0.0, 1.0]])
_HALF, _QUARTER, _ORIGIN = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), (0.0, 0.0, 0.0)
_THIRDS = (1 / 3, 2 / 3)

Point = tuple[float, ...]
Frame = tuple[NDArray[np.float64], tuple[Point, ...], tuple[int, ...]]
"""Cell of unit length, fractional coordinates, and which element of a list each site takes."""

_FACES = ((0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5))
_FRAMES: Mapping[str, Frame] = {
    "fcc": (_FCC, (_ORIGIN,), (0,)),
    "bcc": (_BCC, (_ORIGIN,), (0,)),
    "hcp": (_HEXAGON, ((*_THIRDS, 0.25), (2 / 3, 1 / 3, 0.75)), (0, 0)),
    "diamond": (_FCC, (_ORIGIN, _QUARTER), (0, 0)),
    "rock_salt": (_FCC, (_ORIGIN, _HALF), (0, 1)),
    "zinc_blende": (_FCC, (_ORIGIN, _QUARTER), (0, 1)),
    "caesium_chloride": (_CUBE, (_ORIGIN, _HALF), (0, 1)),
    "copper_gold": (_CUBE, (_ORIGIN, _HALF), (0, 1)),
    "fluorite": (_FCC, (_ORIGIN, _QUARTER, (0.75, 0.75, 0.75)), (0, 1, 1)),
    "perovskite": (_CUBE, (_ORIGIN, _HALF, *_FACES), (0, 1, 2, 2, 2)),
    "gold_copper_3": (_CUBE, (_ORIGIN, *_FACES), (0, 1, 1, 1)),
    "diboride": (
        _HEXAGON,
        (_ORIGIN, (*_THIRDS, 0.5), (2 / 3, 1 / 3, 0.5)),
        (0, 1, 1),
    ),
    "calcium_copper_5": (
        _HEXAGON,
        (
            _ORIGIN,
            (*_THIRDS, 0.0),
            (2 / 3, 1 / 3, 0.0),
            (0.5, 0.0, 0.5),
            (0.0, 0.5, 0.5),
            (0.5, 0.5, 0.5),
        ),
        (0, 1, 1, 1, 1, 1),
    ),
    "rutile": (
        _CUBE,
        (
            _ORIGIN,
            _HALF,
            (0.305, 0.305, 0.0),
            (0.695, 0.695, 0.0),
            (0.195, 0.805, 0.5),
            (0.805, 0.195, 0.5),
        ),
        (0, 0, 1, 1, 1, 1),
    ),
    "wurtzite": (
        _HEXAGON,
        ((*_THIRDS, 0.0), (2 / 3, 1 / 3, 0.5), (*_THIRDS, 0.38), (2 / 3, 1 / 3, 0.88)),
        (0, 0, 1, 1),
    ),
}  # fmt: skip
"""By structure type; tetragonal and hexagonal ones are stretched along the third vector."""

_KNOWN: Mapping[str, tuple[str, str, float, float]] = {
    # name: structure type, elements in order, a and c in Angstrom (c of cubic cells is a)
    "diamond": ("diamond", "C", 3.567, 3.567),
    "Si": ("diamond", "Si", 5.431, 5.431),
    "Ge": ("diamond", "Ge", 5.658, 5.658),
    "c-BN": ("zinc_blende", "B N", 3.616, 3.616),
    "SiC": ("zinc_blende", "Si C", 4.360, 4.360),
    "GaAs": ("zinc_blende", "Ga As", 5.653, 5.653),
    "ZnS": ("zinc_blende", "Zn S", 5.410, 5.410),
    "CdTe": ("zinc_blende", "Cd Te", 6.482, 6.482),
    "Al": ("fcc", "Al", 4.050, 4.050),
    "Cu": ("fcc", "Cu", 3.615, 3.615),
    "Ag": ("fcc", "Ag", 4.086, 4.086),
    "Au": ("fcc", "Au", 4.078, 4.078),
    "Pt": ("fcc", "Pt", 3.924, 3.924),
    "Fe": ("bcc", "Fe", 2.866, 2.866),
    "W": ("bcc", "W", 3.165, 3.165),
    "Na": ("bcc", "Na", 4.291, 4.291),
    "Mg": ("hcp", "Mg", 3.209, 5.211),
    "Ti": ("hcp", "Ti", 2.951, 4.684),
    "NaCl": ("rock_salt", "Na Cl", 5.640, 5.640),
    "LiF": ("rock_salt", "Li F", 4.026, 4.026),
    "MgO": ("rock_salt", "Mg O", 4.212, 4.212),
    "TiN": ("rock_salt", "Ti N", 4.241, 4.241),
    "TiC": ("rock_salt", "Ti C", 4.327, 4.327),
    "WC-rock-salt": ("rock_salt", "W C", 4.220, 4.220),
    "PbTe": ("rock_salt", "Pb Te", 6.462, 6.462),
    "NiO": ("rock_salt", "Ni O", 4.177, 4.177),
    "CsCl": ("caesium_chloride", "Cs Cl", 4.123, 4.123),
    "NiAl": ("caesium_chloride", "Ni Al", 2.887, 2.887),
    "FePt": ("copper_gold", "Fe Pt", 2.725, 3.720),
    "FeNi": ("copper_gold", "Fe Ni", 2.533, 3.582),
    "MnAl": ("copper_gold", "Mn Al", 2.771, 3.570),
    "CaF2": ("fluorite", "Ca F", 5.463, 5.463),
    "CeO2": ("fluorite", "Ce O", 5.411, 5.411),
    "ZrO2": ("fluorite", "Zr O", 5.090, 5.090),
    "TiO2": ("rutile", "Ti O", 4.594, 2.959),
    "SnO2": ("rutile", "Sn O", 4.737, 3.186),
    "BaTiO3": ("perovskite", "Ba Ti O", 4.000, 4.000),
    "SrTiO3": ("perovskite", "Sr Ti O", 3.905, 3.905),
    "CsPbI3": ("perovskite", "Cs Pb I", 6.289, 6.289),
    "LaAlO3": ("perovskite", "La Al O", 3.790, 3.790),
    "Cu3Au": ("gold_copper_3", "Au Cu", 3.749, 3.749),
    "Ni3Al": ("gold_copper_3", "Al Ni", 3.572, 3.572),
    "MgB2": ("diboride", "Mg B", 3.086, 3.524),
    "TiB2": ("diboride", "Ti B", 3.028, 3.228),
    "SmCo5": ("calcium_copper_5", "Sm Co", 5.002, 3.964),
    "YCo5": ("calcium_copper_5", "Y Co", 4.935, 3.964),
    "GaN": ("wurtzite", "Ga N", 3.189, 5.185),
    "ZnO": ("wurtzite", "Zn O", 3.250, 5.207),
    "AlN": ("wurtzite", "Al N", 3.112, 4.982),
    "GdN": ("rock_salt", "Gd N", 4.987, 4.987),
}

_FRESH_ELEMENTS = (
    "Li Be B C N O F Na Mg Al Si P S Cl K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Rb Sr Y "
    "Zr Nb Mo Ag Cd In Sn Sb Te I Cs Ba La Ce Nd Sm Gd Dy Hf Ta W Re Pt Au Hg Tl Pb Bi"
)  # those that all tables of elements know


class UnknownSample(ValueError):
    """There is no sample crystal of that name."""


@cache
def known_crystals() -> Mapping[str, Crystal]:
    """Fifty well-known crystals at room temperature's lattice constants, by name."""
    return {
        name: _built(kind, [ATOMIC_NUMBERS[s] for s in elements.split()], a, c)
        for name, (kind, elements, a, c) in _KNOWN.items()
    }


def sample(name: str) -> Crystal:
    """A well-known crystal by name, such as ``diamond``, or by formula, such as ``OTi2``.

    Raises:
        UnknownSample: There is none, or several have that formula.
    """
    crystals = known_crystals()
    if name in crystals:
        return crystals[name]
    alike = [key for key, crystal in crystals.items() if crystal.formula == name]
    if len(alike) != 1:
        raise UnknownSample(f"{name!r} is no sample crystal; there are {', '.join(crystals)}")
    return crystals[alike[0]]


def fresh_crystals(seed: str, n: int) -> list[Crystal]:
    """Crystals that cannot be known before the seed is.

    Structure types filled with elements at random and blown up until atoms touch. With the hash of
    a scorer's code as the seed, no code can hold a table of them.

    Args:
        seed: Any text.
        n: How many.
    """
    rng = np.random.default_rng(list(hashlib.sha256(seed.encode()).digest()))
    kinds = list(_FRAMES)
    made = []
    for _ in range(n):
        kind = kinds[int(rng.integers(len(kinds)))]
        distinct = max(_FRAMES[kind][2]) + 1
        symbols = rng.choice(_FRESH_ELEMENTS.split(), size=distinct, replace=False)
        c = 1.0 if _is_cubic(kind) else float(rng.uniform(0.8, 1.7))
        crystal = _built(kind, [ATOMIC_NUMBERS[str(s)] for s in symbols], 4.0, 4.0 * c)
        swelling = float(rng.uniform(0.95, 1.15)) / float(nearest_contacts(crystal).min())
        made.append(crystal.with_cell(crystal.lattice * swelling, crystal.frac_coords))
    return made


def with_stand_ins(crystals: Sequence[Crystal], needs: Sequence[str], seed: str) -> Batch:
    """A batch with made-up values of registered scorers, each from its usual range.

    What is examined is what a scorer makes of these values, so they need not be right, and no
    potential has to be asked.

    Args:
        crystals: Any number.
        needs: Names of registered scorers.
        seed: Any text.
    """
    rng = np.random.default_rng(list(hashlib.sha256(f"stand-ins {seed}".encode()).digest()))
    properties = {}
    for name in needs:
        one = REGISTERED[name]
        draw = _spread(one.low, one.high)
        properties[name] = tuple(draw(float(x)) for x in rng.uniform(size=len(crystals)))
    return Batch(tuple(crystals), properties)


def _spread(low: float, high: float) -> Callable[[float], float]:
    # Quantities over several orders of magnitude are spread evenly over these.
    if low > 0.0 and high / low > 30.0:
        return lambda x: low * (high / low) ** x
    return lambda x: low + (high - low) * x


def _built(kind: str, elements: Sequence[int], a: float, c: float) -> Crystal:
    frame, places, order = _FRAMES[kind]
    # Stretched along z; of cubic cells c is a, so that centred ones keep their shape.
    lattice = frame * np.array([a, a, c])
    return Crystal(lattice, places, [elements[i] for i in order])


def _is_cubic(kind: str) -> bool:
    return kind not in ("hcp", "diboride", "calcium_copper_5", "wurtzite", "rutile", "copper_gold")
