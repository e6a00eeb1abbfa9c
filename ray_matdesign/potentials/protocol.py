"""What a potential and a relaxer promise. Batch in, batch out, same order; failure is a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal


class EnergyScale(StrEnum):
    """What a potential's energies may be compared with.

    Formation energies and hull distances are on the MP2020 scale (Wang et al., Sci. Rep. 11, 15496
    (2021)); :meth:`~ray_matdesign.stability.reference.ReferenceSet.formation_energy` takes an
    energy there.
    """

    MP2020 = "mp2020"
    """The Materials Project's PBE and PBE+U energies with the MP2020 corrections."""
    MP_UNCORRECTED = "mp-uncorrected"
    """The same calculations as they came out, without any correction."""
    OWN = "own"
    """Comparable only with elemental energies by the same potential; never corrected."""


@dataclass(frozen=True)
class SinglePoint:
    """A potential's verdict on one crystal as it stands.

    Attributes:
        energy_ev_per_atom: Potential energy, eV/atom.
        forces_ev_per_ang: Shape ``(n_atoms, 3)``, eV/Angstrom.
        stress_ev_per_ang3: Shape ``(3, 3)``, eV/Angstrom^3, positive under tension
            (``dE/dstrain / volume``).
        magmoms_mu_b: Site moments, shape ``(n_atoms,)``, Bohr magnetons; ``None`` where the
            potential does not predict them.
    """

    energy_ev_per_atom: float
    forces_ev_per_ang: NDArray[np.float64]
    stress_ev_per_ang3: NDArray[np.float64]
    magmoms_mu_b: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Relaxed:
    """A crystal brought to rest.

    Attributes:
        crystal: Atoms in the order they came in.
        energy_ev_per_atom: Energy at rest, eV/atom.
        initial_energy_ev_per_atom: Energy before the first step, eV/atom.
        steps: Optimiser steps taken.
        converged: Whether every force and stress fell below the threshold before the step cap.
        max_force_ev_per_ang: Largest generalised force left, eV/Angstrom.
    """

    crystal: Crystal
    energy_ev_per_atom: float
    initial_energy_ev_per_atom: float
    steps: int
    converged: bool
    max_force_ev_per_ang: float


@dataclass(frozen=True)
class Failed:
    """A crystal that could not be treated, and why, in one line."""

    reason: str


class Potential(Protocol):
    """Energies, forces and stresses of crystals.

    Attributes:
        name: Name and version, as written into results, e.g. ``chgnet-0.3.0``.
        elements: Atomic numbers the potential knows.
        energy_scale: What its energies may be compared with.
    """

    name: str
    elements: frozenset[int]
    energy_scale: EnergyScale

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        """Evaluates each crystal; same order and length as given."""
        ...


class Relaxer(Protocol):
    """Brings crystals, atoms and cell, to the nearest energy minimum."""

    def relax(
        self, crystals: Sequence[Crystal], *, fmax_ev_per_ang: float, max_steps: int
    ) -> list[Relaxed | Failed]:
        """Relaxes each crystal; same order and length as given.

        A crystal that explodes, holds an element the potential does not know, or outlives the
        relaxer's deadline becomes a :class:`Failed`; one that runs out of steps is a
        :class:`Relaxed` with ``converged=False``.
        """
        ...
