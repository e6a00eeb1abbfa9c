"""Single crystals that films are grown on: cell shape, lattice constants and usual face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Miller = tuple[int, int, int]


@dataclass(frozen=True)
class Substrate:
    """A substrate's conventional cell, as far as a lattice match asks for it.

    Attributes:
        a_ang: First lattice constant at room temperature, Angstrom.
        c_ang: Third; ``None`` for cubic cells.
        hexagonal: Whether the first two axes enclose 120 degrees instead of 90.
        miller: The face it is usually sold with.
        source: Of the lattice constants.
    """

    a_ang: float
    c_ang: float | None
    hexagonal: bool
    miller: Miller
    source: str

    @property
    def lattice(self) -> NDArray[np.float64]:
        """Cell vectors as rows, shape ``(3, 3)``, Angstrom."""
        a, c = self.a_ang, self.c_ang or self.a_ang
        if self.hexagonal:
            return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])
        return np.diag([a, a, c])


_SEMICONDUCTORS = "Madelung, Semiconductors: Data Handbook, 3rd ed., Springer (2004)"
_NITRIDES = "Vurgaftman and Meyer, J. Appl. Phys. 94, 3675 (2003)"
_HANDBOOK = "CRC Handbook of Chemistry and Physics, 97th ed. (2016)"
_OXIDES = "Schlom et al., MRS Bull. 39, 118 (2014)"
_CUBE: Miller = (1, 0, 0)
_BASAL: Miller = (0, 0, 1)


def _cubic(a_ang: float, source: str) -> Substrate:
    return Substrate(a_ang, None, False, _CUBE, source)


def _hexagonal(a_ang: float, c_ang: float, source: str) -> Substrate:
    return Substrate(a_ang, c_ang, True, _BASAL, source)


SUBSTRATES: dict[str, Substrate] = {
    "Si": _cubic(5.4310, _SEMICONDUCTORS),
    "Ge": _cubic(5.6579, _SEMICONDUCTORS),
    "C": _cubic(3.5668, _SEMICONDUCTORS),
    "GaAs": _cubic(5.6533, _SEMICONDUCTORS),
    "GaP": _cubic(5.4505, _SEMICONDUCTORS),
    "InP": _cubic(5.8687, _SEMICONDUCTORS),
    "3C-SiC": _cubic(4.3596, _SEMICONDUCTORS),
    "4H-SiC": _hexagonal(3.073, 10.053, _SEMICONDUCTORS),
    "6H-SiC": _hexagonal(3.0806, 15.1173, _SEMICONDUCTORS),
    "GaN": _hexagonal(3.189, 5.185, _NITRIDES),
    "AlN": _hexagonal(3.112, 4.982, _NITRIDES),
    "ZnO": _hexagonal(3.2495, 5.2069, _SEMICONDUCTORS),
    "Al2O3": _hexagonal(4.759, 12.991, _HANDBOOK),
    "MgO": _cubic(4.212, _HANDBOOK),
    "MgAl2O4": _cubic(8.083, _HANDBOOK),
    "CaF2": _cubic(5.4626, _HANDBOOK),
    "TiO2": Substrate(4.5937, 2.9587, False, _BASAL, _HANDBOOK),
    "SrTiO3": _cubic(3.905, _OXIDES),
    "LaAlO3": _cubic(3.79, _OXIDES),
    "Cu": _cubic(3.6149, _HANDBOOK),
    "Ag": _cubic(4.0857, _HANDBOOK),
    "Au": _cubic(4.0782, _HANDBOOK),
    "Pt": _cubic(3.9236, _HANDBOOK),
}
"""Substrates by name. LaAlO3 is its pseudocubic cell, TiO2 is rutile."""
