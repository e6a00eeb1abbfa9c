"""Band gaps from levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float64]
"""Kohn-Sham levels, shape ``(n_spins, n_kpoints, n_bands)``, ascending along the last axis, eV."""


class TooFewBands(ValueError):
    """Levels without a single empty band."""


@dataclass(frozen=True)
class Gap:
    """Distance between occupied and empty levels.

    Attributes:
        fundamental_ev: Between any two k-points and spins; 0 for a metal.
        direct_ev: At one k-point and spin; 0 for a metal.
    """

    fundamental_ev: float
    direct_ev: float


def band_gap(mesh: Levels, fermi_ev: float, lines: Levels | None = None) -> Gap:
    """The gap of the bands that are full and empty on a self-consistent mesh.

    How many bands lie below the Fermi level is counted on the mesh alone. A band that is full at
    one k-point of it and empty at another makes a metal. In an insulator the count also holds
    between the points of the mesh, wherever in the gap the smeared Fermi level came to lie, so the
    levels along further lines are sorted by count and not by the Fermi level.

    Args:
        mesh: Levels on the mesh.
        fermi_ev: Fermi level of the mesh.
        lines: Levels at further k-points.

    Raises:
        TooFewBands: There is no empty band to measure the gap to.
    """
    occupied = (mesh < fermi_ev).sum(axis=2)
    if (occupied != occupied[:, :1]).any():
        return Gap(0.0, 0.0)
    levels = mesh if lines is None else np.concatenate([mesh, lines], axis=1)
    tops, bottoms, direct = [], [], []
    for spin, count in enumerate(occupied[:, 0]):
        if count >= levels.shape[2]:
            raise TooFewBands(f"all {levels.shape[2]} bands are occupied")
        bottoms.append(levels[spin, :, count].min())
        if count > 0:
            tops.append(levels[spin, :, count - 1].max())
            direct.append((levels[spin, :, count] - levels[spin, :, count - 1]).min())
    if not tops:
        raise TooFewBands("no band is occupied")
    fundamental = max(0.0, float(min(bottoms) - max(tops)))
    return Gap(fundamental, max(fundamental, float(min(direct))) if fundamental else 0.0)
