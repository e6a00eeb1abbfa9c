"""Groups of elements that objectives speak of, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS

_LANTHANIDES = frozenset(range(57, 72))
_TRANSITION = frozenset((*range(21, 31), *range(39, 49), *range(72, 81)))

GROUPS: Mapping[str, frozenset[int]] = {
    "rare_earth": _LANTHANIDES | {21, 39},  # with Sc and Y, as IUPAC has it
    "lanthanide": _LANTHANIDES,
    "actinide": frozenset(range(89, 104)),
    "alkali": frozenset((3, 11, 19, 37, 55, 87)),
    "alkaline_earth": frozenset((4, 12, 20, 38, 56, 88)),
    "transition_metal": _TRANSITION,
    "platinum_group": frozenset((44, 45, 46, 76, 77, 78)),
    "noble_metal": frozenset((44, 45, 46, 47, 76, 77, 78, 79)),
    "refractory_metal": frozenset((41, 42, 73, 74, 75)),
    "magnetic_3d": frozenset((24, 25, 26, 27, 28)),
    "pnictogen": frozenset((7, 15, 33, 51, 83)),
    "chalcogen": frozenset((8, 16, 34, 52, 84)),
    "halogen": frozenset((9, 17, 35, 53, 85)),
    "noble_gas": frozenset((2, 10, 18, 36, 54, 86)),
    "metalloid": frozenset((5, 14, 32, 33, 51, 52)),
    "light_covalent": frozenset((5, 6, 7, 8)),  # B, C, N, O
    "light": frozenset(range(1, 15)),  # up to silicon
    "toxic": frozenset((4, 33, 48, 80, 81, 82)),  # Be, As, Cd, Hg, Tl, Pb
    "radioactive": frozenset((43, 61, *range(84, 119))),
}
"""Atomic numbers by name of the group."""


class UnknownElements(ValueError):
    """Neither the symbol of an element nor the name of a group."""


def members(names: Iterable[str]) -> frozenset[int]:
    """Atomic numbers of elements and groups together.

    Raises:
        UnknownElements: One of the names is neither.
    """
    found: set[int] = set()
    for name in names:
        if name in ATOMIC_NUMBERS:
            found.add(ATOMIC_NUMBERS[name])
        elif name in GROUPS:
            found |= GROUPS[name]
        else:
            raise UnknownElements(
                f"{name!r} is neither an element nor a group; groups are {', '.join(GROUPS)}"
            )
    return frozenset(found)
