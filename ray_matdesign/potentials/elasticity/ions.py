"""Ions of one crystal brought to rest in many strained cells at once, the cells held fixed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.mandel import from_mandel, to_mandel
from ray_matdesign.potentials.protocol import SinglePoint

Floats = NDArray[np.float64]

ION_STIFFNESS_EV_PER_ANG2 = 20.0
"""First guess of every ion's stiffness, of the order of a bond's."""
LONGEST_MOVE_ANG = 0.05
"""A strain of 5 % moves ions against each other by hardly more."""


class StrainedIons:
    """Strained copies of one crystal on their way to rest.

    Each copy takes quasi-Newton steps (BFGS) with a Hessian of its own. Powell's damping (Nocedal
    and Wright, Numerical Optimization, 2nd ed., Procedure 18.2) keeps it positive, so that a copy
    goes downhill and not to the nearest saddle. One Hessian for all copies, taught by the moves of
    each, needs as many evaluations: at strains of 5 % the copies differ too much.

    Args:
        crystal: Without strain.
        strains: Shape ``(n, 6)``, Mandel's notation.
        fmax_ev_per_ang: A copy is at rest when the force on every ion is shorter.

    Attributes:
        crystal: As given.
        strains: As given.
        fmax_ev_per_ang: As given.
        steps: Evaluations taken in so far.
        stresses_ev_per_ang3: Of each copy as last evaluated, shape ``(n, 6)``, Mandel's notation,
            eV/Angstrom^3.
    """

    def __init__(self, crystal: Crystal, strains: Floats, *, fmax_ev_per_ang: float) -> None:
        self.crystal = crystal
        self.strains = strains
        self.fmax_ev_per_ang = fmax_ev_per_ang
        self.steps = 0
        self.stresses_ev_per_ang3 = np.full((len(strains), 6), np.nan)
        self._lattices = crystal.lattice @ (np.eye(3) + from_mandel(strains))
        size = 3 * len(crystal)
        self._hessians = np.tile(ION_STIFFNESS_EV_PER_ANG2 * np.eye(size), (len(strains), 1, 1))
        self._displacements = np.zeros((len(strains), size))
        self._moves = np.zeros((len(strains), size))
        self._forces = np.full((len(strains), size), np.nan)
        self._moving = list(range(len(strains)))

    @property
    def moving(self) -> Sequence[int]:
        """Copies not at rest yet, by number."""
        return self._moving

    @property
    def largest_force_ev_per_ang(self) -> float:
        """On any ion of any copy, as last evaluated."""
        return float(_longest(self._forces).max())

    def copies(self) -> list[Crystal]:
        """The copies not at rest, as they are to be evaluated next."""
        return [
            self.crystal.with_cell(
                self._lattices[copy],
                self.crystal.frac_coords
                + self._displacements[copy].reshape(-1, 3) @ np.linalg.inv(self._lattices[copy]),
            )
            for copy in self._moving
        ]

    def advance(self, points: Sequence[SinglePoint]) -> None:
        """Takes the potential's verdicts on :meth:`copies` and moves what is not at rest."""
        forces = np.array([point.forces_ev_per_ang.ravel() for point in points])
        stresses = np.array([point.stress_ev_per_ang3 for point in points])
        moving = self._moving
        if self.steps > 0:
            for copy, force in zip(moving, forces, strict=True):
                self._learn(copy, self._forces[copy] - force)
        self._forces[moving] = forces
        self.stresses_ev_per_ang3[moving] = to_mandel(stresses)
        at_rest = _longest(forces) < self.fmax_ev_per_ang
        moving = [copy for copy, rests in zip(moving, at_rest, strict=True) if not rests]
        moves = np.linalg.solve(self._hessians[moving], self._forces[moving, :, None])[..., 0]
        excess = np.maximum(_longest(moves) / LONGEST_MOVE_ANG, 1.0)
        self._moves[moving] = moves / excess[:, None]
        self._displacements[moving] += self._moves[moving]
        self._moving = moving
        self.steps += 1

    def _learn(self, copy: int, change: Floats) -> None:
        """Teaches a copy's Hessian how its last move changed the gradient."""
        move, hessian = self._moves[copy], self._hessians[copy]
        expected = hessian @ move
        curvature, seen = float(move @ expected), float(move @ change)
        if seen < 0.2 * curvature:
            share = 0.8 * curvature / (curvature - seen)
            change = share * change + (1.0 - share) * expected
            seen = float(move @ change)
        hessian += np.outer(change, change) / seen
        hessian -= np.outer(expected, expected) / curvature


def _longest(rows: Floats) -> Floats:
    """Length of the longest three-vector in each row."""
    vectors = rows.reshape(len(rows), rows.shape[1] // 3, 3)
    return np.asarray(np.sqrt((vectors**2).sum(axis=2)).max(axis=1, initial=0.0))
