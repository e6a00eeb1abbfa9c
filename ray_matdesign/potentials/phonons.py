"""Harmonic phonons of many crystals by finite displacements, evaluated together.

phonopy (Togo, J. Phys. Soc. Jpn. 92, 012001 (2023)) finds the displacements that symmetry leaves
and turns forces into force constants. The displaced supercells of all crystals go through the
potential in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.symmetry import attempt, conventional_cell, spglib_cell
from ray_matdesign.potentials.protocol import Failed, Potential, Relaxed, SinglePoint
from ray_matdesign.potentials.relaxation import BatchRelaxer

KELVIN_IN_THZ = 0.020836619
"""Boltzmann's constant over Planck's, THz/K (CODATA 2018)."""
GAS_CONSTANT = 8.31446262
"""J/(mol K) (CODATA 2018)."""
OPTIMIZER = "bfgs"
"""Near a minimum it needs fewer steps than FIRE."""


@dataclass(frozen=True)
class PhononSettings:
    """How force constants are obtained.

    Attributes:
        min_length_ang: Shortest supercell vector, Angstrom: how far a displaced atom is from its
            own images. With 0 the atoms of the primitive cell move with all their images, which
            gives the force constants at zero wave vector exactly, and no others.
        displacement_ang: Length of a displacement, Angstrom. CHGNet's energy is rough on a smaller
            scale: at 0.01 its optical frequency of NaCl is a third of what it is from 0.06 on.
        fmax_ev_per_ang: What a crystal is brought to rest to before, eV/Angstrom. The forces left
            over are subtracted.
        max_steps: Steps of that relaxation.
        symprec_ang: How far atoms may be from the places of a symmetry that is made exact.
        max_cell_atoms: Most atoms in a primitive cell.
        max_atoms: Most atoms evaluated for one crystal, all its displaced supercells together.
    """

    min_length_ang: float = 7.0
    displacement_ang: float = 0.1
    fmax_ev_per_ang: float = 0.005
    max_steps: int = 200
    symprec_ang: float = 0.01
    max_cell_atoms: int = 100
    max_atoms: int = 20_000


@dataclass(frozen=True)
class Phonons:
    """The force constants of one crystal.

    Attributes:
        crystal: The primitive cell they belong to, at rest.
        solver: phonopy's object that holds them.
        supercells: Displaced supercells evaluated.
        supercell_atoms: Atoms in each.
    """

    crystal: Crystal
    solver: Any
    supercells: int
    supercell_atoms: int

    def spectrum(self, mesh_length_ang: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Frequencies on an even mesh of wave vectors.

        Args:
            mesh_length_ang: Points along a reciprocal vector are this length times the vector's
                length (without 2 pi), at least one.

        Returns:
            Frequencies, shape ``(points, 3 n_atoms)``, THz, imaginary ones negative; and the share
            of each point in the Brillouin zone, summing to one.
        """
        self.solver.run_mesh(mesh_length_ang)
        mesh = self.solver.mesh
        weights = np.asarray(mesh.weights, dtype=np.float64)
        return np.asarray(mesh.frequencies), weights / weights.sum()

    @cached_property
    def gamma_force_constants(self) -> NDArray[np.float64]:
        """Force constants at zero wave vector, eV/Angstrom^2.

        Shape ``(3 n_atoms, 3 n_atoms)``, symmetric, atoms as in :attr:`crystal`; a rigid shift of
        all atoms costs nothing.
        """
        self.solver.dynamical_matrix.run([0.0, 0.0, 0.0])
        dynamical = np.real(self.solver.dynamical_matrix.dynamical_matrix)
        root = np.sqrt(np.repeat(self.solver.primitive.masses, 3))
        matrix = dynamical * np.outer(root, root)
        return np.asarray(0.5 * (matrix + matrix.T))


def heat_capacity(
    frequencies_thz: NDArray[np.float64], weights: NDArray[np.float64], temperature_k: float
) -> float:
    """Heat capacity at constant volume of harmonic modes (Einstein's function, summed).

    An imaginary frequency counts as a real one of its magnitude, a zero one as ``k_B``; whether
    that is fair is for the caller to judge.

    Args:
        frequencies_thz: Shape ``(points, modes)``.
        weights: Shape ``(points,)``, summing to one.
        temperature_k: Kelvin, positive.

    Returns:
        J/(K mol) of cells.
    """
    x = np.abs(frequencies_thz) / (KELVIN_IN_THZ * temperature_k)
    # (x / 2 sinh(x/2))^2, written with exp(-x) so that stiff modes cannot overflow.
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.exp(-x) * np.square(x / -np.expm1(-x))
    share[x < 1e-8] = 1.0
    return float(GAS_CONSTANT * weights @ share.sum(axis=1))


def phonons_of(
    crystals: Sequence[Crystal], potential: Potential, settings: PhononSettings
) -> list[Phonons | Failed]:
    """Force constants of each crystal; same order and length as given.

    A crystal is brought to rest with its symmetry, its supercells are chosen for the fewest atoms
    in all, and forces left over are subtracted.
    """
    cells = [_primitive(crystal, settings.symprec_ang) for crystal in crystals]
    results: dict[int, Phonons | Failed] = {
        k: Failed(
            f"a primitive cell of {len(cell)} atoms: phonons are limited to "
            f"{settings.max_cell_atoms}"
        )
        for k, cell in enumerate(cells)
        if len(cell) > settings.max_cell_atoms
    }
    kept = {k: cell for k, cell in enumerate(cells) if k not in results}
    plans: dict[int, _Plan] = {}
    for k, resting in zip(kept, _at_rest(list(kept.values()), potential, settings), strict=True):
        plan = resting if isinstance(resting, Failed) else _plan(resting, settings)
        if isinstance(plan, Failed):
            results[k] = plan
        else:
            plans[k] = plan
    points = iter(potential.evaluate([copy for plan in plans.values() for copy in plan.copies]))
    for k, plan in plans.items():
        results[k] = plan.phonons([next(points) for _ in plan.copies])
    return [results[k] for k in range(len(crystals))]


@dataclass(frozen=True)
class _Plan:
    """What is to be evaluated for one crystal: its supercell at rest, then the displaced ones."""

    crystal: Crystal
    solver: Any
    copies: tuple[Crystal, ...]

    def phonons(self, points: Sequence[SinglePoint | Failed]) -> Phonons | Failed:
        forces = []
        for point in points:
            if isinstance(point, Failed):
                return Failed(f"a supercell failed: {point.reason}")
            forces.append(point.forces_ev_per_ang)
        self.solver.forces = [displaced - forces[0] for displaced in forces[1:]]
        self.solver.produce_force_constants(show_drift=False)
        self.solver.symmetrize_force_constants(show_drift=False)
        return Phonons(self.crystal, self.solver, len(forces) - 1, len(self.copies[0]))


def _at_rest(
    cells: Sequence[Crystal], potential: Potential, settings: PhononSettings
) -> list[Crystal | Failed]:
    """Cells at rest, their symmetry exact: noise in it would multiply the displacements."""
    outcomes = BatchRelaxer(potential, optimizer=OPTIMIZER).relax(
        cells, fmax_ev_per_ang=settings.fmax_ev_per_ang, max_steps=settings.max_steps
    )
    return [_rested(outcome, settings) for outcome in outcomes]


def _rested(outcome: Relaxed | Failed, settings: PhononSettings) -> Crystal | Failed:
    if isinstance(outcome, Failed):
        return outcome
    if not outcome.converged:
        return Failed(
            f"not at rest after {settings.max_steps} steps: "
            f"{outcome.max_force_ev_per_ang:.2g} eV/A left"
        )
    return _primitive(outcome.crystal, settings.symprec_ang)


def _primitive(crystal: Crystal, symprec_ang: float) -> Crystal:
    """The symmetrised primitive cell; the crystal itself where spglib finds no symmetry."""
    import spglib

    cell = attempt(
        spglib.standardize_cell, spglib_cell(crystal), to_primitive=True, symprec=symprec_ang
    )
    return crystal if cell is None else Crystal(*cell)


def _plan(crystal: Crystal, settings: PhononSettings) -> _Plan | Failed:
    """Supercells along the axes that need fewer atoms: the primitive or the conventional cell's."""
    solvers = [_solver(crystal, axes, settings) for axes in _axes(crystal, settings)]
    work = [len(s.supercell) * len(s.dataset["first_atoms"]) for s in solvers]
    least = int(np.argmin(work))
    if work[least] > settings.max_atoms:
        return Failed(
            f"its displaced supercells would have more than {settings.max_atoms} atoms in all"
        )
    solver = solvers[least]
    supercells = [solver.supercell, *solver.supercells_with_displacements]
    copies = tuple(Crystal(s.cell, s.scaled_positions, s.numbers) for s in supercells)
    return _Plan(crystal, solver, copies)


def _axes(crystal: Crystal, settings: PhononSettings) -> list[NDArray[np.int64]]:
    """Cells to repeat: rows of integers, in primitive vectors."""
    axes = [np.eye(3, dtype=np.int64)]
    conventional = conventional_cell(crystal, settings.symprec_ang)
    if settings.min_length_ang > 0.0 and conventional is not None:
        exact = conventional.lattice @ np.linalg.inv(crystal.lattice)
        whole = np.rint(exact).astype(np.int64)
        if np.allclose(exact, whole, atol=0.01) and not np.array_equal(whole, axes[0]):
            axes.append(whole)
    return axes


def _solver(crystal: Crystal, axes: NDArray[np.int64], settings: PhononSettings) -> Any:
    """Displacements by phonopy, in the shortest multiples of a cell that are long enough."""
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    lengths = np.linalg.norm(axes @ crystal.lattice, axis=1)
    repeats = np.maximum(np.ceil(settings.min_length_ang / lengths - 1e-6), 1).astype(np.int64)
    cell = PhonopyAtoms(
        numbers=crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords
    )
    # phonopy takes the vectors as columns.
    matrix = (repeats[:, None] * axes).T
    solver = Phonopy(cell, matrix, primitive_matrix="P", symprec=settings.symprec_ang)
    solver.generate_displacements(distance=settings.displacement_ang)
    return solver
