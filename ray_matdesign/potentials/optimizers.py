"""Optimisers of one crystal's atoms and cell: each turns a point on the way into the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.mandel import from_mandel, to_mandel
from ray_matdesign.potentials.protocol import SinglePoint

EXP_RADIUS = 0.5
"""Matrices up to this size (sum of entries' magnitudes) are exponentiated without halving."""
EXP_TERMS = 12
"""0.5^12 / 12! is 5e-13."""


class Optimizer(Protocol):
    """Follows one crystal downhill, in coordinates of its own choice."""

    def generalised_force(self, crystal: Crystal, point: SinglePoint) -> NDArray[np.float64]:
        """Minus the gradient of the energy, in the optimiser's coordinates.

        Args:
            crystal: As returned by the step before, or as it started.
            point: The potential's verdict on it.

        Returns:
            Shape ``(n_atoms + 3, 3)``, eV/Angstrom: the atoms, then the cell's part over
            ``n_atoms``. The longest row is what convergence is judged by.
        """
        ...

    def step(self, crystal: Crystal, point: SinglePoint, force: NDArray[np.float64]) -> Crystal:
        """Where to look next.

        Args:
            crystal: As given to :meth:`generalised_force`.
            point: Likewise.
            force: Its result.

        Raises:
            InvalidCrystal: The step leads to a cell without volume or to numbers not finite.
        """
        ...


class FrechetFire:
    """FIRE on the atoms and the logarithm of the cell's deformation.

    The fast inertial relaxation engine of Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), with
    the parameters and the step limit that ASE uses. The coordinates are those of ASE's
    ``FrechetCellFilter``: atoms in the undeformed cell, and ``n_atoms log F`` with ``F`` the
    deformation, whose gradient takes the Frechet derivative of the matrix exponential. Step by
    step this is what CHGNet's own optimiser does.

    Args:
        start: The crystal to relax; its cell is the undeformed one.
    """

    first_timestep = 0.1
    longest_timestep = 1.0
    longest_step_ang = 0.2
    delay = 5
    growth = 1.1
    shrinkage = 0.5
    first_mixing = 0.1
    mixing_decay = 0.99

    def __init__(self, start: Crystal) -> None:
        self._cell = start.lattice
        self._log_deformation = np.zeros((3, 3))
        self._velocity: NDArray[np.float64] | None = None
        self._timestep = self.first_timestep
        self._mixing = self.first_mixing
        self._downhill_steps = 0

    def generalised_force(self, crystal: Crystal, point: SinglePoint) -> NDArray[np.float64]:
        """Minus the gradient by the coordinates named above."""
        # Rows are vectors here: a vector v of the undeformed crystal has become v F.
        deformation = np.linalg.solve(self._cell, crystal.lattice)
        virial = -point.stress_ev_per_ang3 * crystal.volume
        by_deformation = np.linalg.solve(deformation, virial)
        # The derivative of exp at X, transposed, is that at X transposed.
        by_logarithm = exp_derivative(self._log_deformation.T, by_deformation)
        atoms = point.forces_ev_per_ang @ deformation.T
        return np.concatenate([atoms, by_logarithm / len(crystal)])

    def step(self, crystal: Crystal, point: SinglePoint, force: NDArray[np.float64]) -> Crystal:
        """One step of molecular dynamics with the velocity turned towards the force."""
        n_atoms = len(crystal)
        self._turn(force)
        assert self._velocity is not None
        self._velocity = self._velocity + self._timestep * force
        move = self._timestep * self._velocity
        length = float(np.linalg.norm(move))
        if length > self.longest_step_ang:
            move *= self.longest_step_ang / length
        # Fractional coordinates do not feel the cell's move; atoms move in the undeformed cell.
        frac_coords = crystal.frac_coords + np.linalg.solve(self._cell.T, move[:n_atoms].T).T
        self._log_deformation = self._log_deformation + move[n_atoms:] / n_atoms
        return crystal.with_cell(self._cell @ exp(self._log_deformation), frac_coords)

    def _turn(self, force: NDArray[np.float64]) -> None:
        """Mixes the velocity towards the force, or stops where it points uphill."""
        if self._velocity is None:
            self._velocity = np.zeros_like(force)
            return
        if np.vdot(force, self._velocity) > 0.0:
            along = force * (np.linalg.norm(self._velocity) / np.linalg.norm(force))
            self._velocity = (1.0 - self._mixing) * self._velocity + self._mixing * along
            if self._downhill_steps > self.delay:
                self._timestep = min(self._timestep * self.growth, self.longest_timestep)
                self._mixing *= self.mixing_decay
            self._downhill_steps += 1
        else:
            self._velocity = np.zeros_like(force)
            self._mixing = self.first_mixing
            self._timestep *= self.shrinkage
            self._downhill_steps = 0


class StrainBfgs:
    """BFGS on the atoms and the symmetric strain of the cell.

    Each step is taken from the crystal as it stands: atoms move by ``u``, then everything is
    stretched by ``exp(strain)``. The six strains have a stiffness of their own (an elastic modulus
    times the volume), so that cell and atoms are scaled alike from the first step. The Hessian is
    updated with Powell's damping (Nocedal and Wright, Numerical Optimization, 2nd ed., Procedure
    18.2), which keeps it positive; a long step is shortened.

    On generated crystals this takes about half the steps of FIRE. Where the start is far from any
    minimum it often ends in another one, more often a lower than a higher.

    Args:
        start: The crystal to relax.
    """

    atom_stiffness_ev_per_ang2 = 20.0
    modulus_ev_per_ang3 = 0.6
    softest_mode_ev_per_ang2 = 0.01
    longest_move_ang = 0.2
    largest_strain = 0.05

    def __init__(self, start: Crystal) -> None:
        stiffness = np.full(3 * len(start) + 6, self.atom_stiffness_ev_per_ang2)
        stiffness[-6:] = self.modulus_ev_per_ang3 * start.volume
        self._hessian = np.diag(stiffness)
        self._last_move: NDArray[np.float64] | None = None
        self._last_gradient: NDArray[np.float64] | None = None

    def generalised_force(self, crystal: Crystal, point: SinglePoint) -> NDArray[np.float64]:
        """Forces as they are, and minus the virial over the number of atoms."""
        virial = point.stress_ev_per_ang3 * (crystal.volume / len(crystal))
        return np.concatenate([point.forces_ev_per_ang, -virial])

    def step(self, crystal: Crystal, point: SinglePoint, force: NDArray[np.float64]) -> Crystal:
        """One quasi-Newton step."""
        n_atoms = len(crystal)
        cell_force = force[n_atoms:] * n_atoms
        gradient = -np.concatenate([force[:n_atoms].ravel(), to_mandel(cell_force)])
        self._update(gradient)
        move = -np.linalg.solve(self._hessian, gradient)
        atoms, strain = move[:-6].reshape(-1, 3), move[-6:]
        excess = max(
            float(np.linalg.norm(atoms, axis=1).max()) / self.longest_move_ang,
            float(np.linalg.norm(strain)) / self.largest_strain,
        )
        if excess > 1.0:
            move = move / excess
        self._last_move, self._last_gradient = move, gradient
        atoms = move[:-6].reshape(-1, 3)
        frac_coords = crystal.frac_coords + np.linalg.solve(crystal.lattice.T, atoms.T).T
        return crystal.with_cell(crystal.lattice @ exp(from_mandel(move[-6:])), frac_coords)

    def _update(self, gradient: NDArray[np.float64]) -> None:
        """Teaches the Hessian what the last step showed."""
        if self._last_move is None or self._last_gradient is None:
            return
        move, change = self._last_move, gradient - self._last_gradient
        expected = self._hessian @ move
        curvature, seen = float(move @ expected), float(move @ change)
        if curvature < self.softest_mode_ev_per_ang2 * float(move @ move):
            return  # Damping could soften it without end.
        if seen < 0.2 * curvature:
            share = 0.8 * curvature / (curvature - seen)
            change = share * change + (1.0 - share) * expected
            seen = float(move @ change)
        self._hessian += np.outer(change, change) / seen
        self._hessian -= np.outer(expected, expected) / curvature


def exp(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponential of a small matrix, by its series after halving, then squaring.

    For the small matrices met here, this takes a tenth of the time of a general routine.
    """
    size = max(float(np.abs(matrix).sum()), EXP_RADIUS)
    halvings = int(np.ceil(np.log2(size / EXP_RADIUS)))
    scaled = matrix / 2.0**halvings
    total = term = np.eye(len(matrix))
    for k in range(1, EXP_TERMS):
        term = term @ scaled / k
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total


def exp_derivative(
    matrix: NDArray[np.float64], direction: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Derivative of the matrix exponential along a direction, shape as the arguments.

    The upper right block of the exponential of ``[[X, E], [0, X]]`` (Najfeld and Havel, Adv. Appl.
    Math. 16, 321 (1995), Eq. 11).
    """
    n = len(matrix)
    block = np.zeros((2 * n, 2 * n))
    block[:n, :n] = block[n:, n:] = matrix
    block[:n, n:] = direction
    return exp(block)[:n, n:]


OPTIMIZERS: dict[str, Callable[[Crystal], Optimizer]] = {
    "fire": FrechetFire,
    "bfgs": StrainBfgs,
}
"""Name to a factory that takes the starting crystal."""
