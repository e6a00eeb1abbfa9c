"""Checks that any potential must pass, for the tests of this package and of a user's own.

Each function raises ``AssertionError`` with the largest deviation found. The physics behind them is
exact, so tolerances cover only the potential's arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed, Potential, SinglePoint

SUPERCELL = (2, 1, 2)


def check_supercell(potential: Potential, crystal: Crystal, *, tol_ev: float = 1e-5) -> None:
    """A supercell has the same energy per atom and the same forces (energy is extensive)."""
    shifts = np.array([(a, b, c) for a in range(2) for b in range(1) for c in range(2)])
    multiples = np.array(SUPERCELL)
    coords = (crystal.frac_coords[None] + shifts[:, None]) / multiples
    supercell = Crystal(
        crystal.lattice * multiples[:, None],
        coords.reshape(-1, 3),
        np.tile(crystal.numbers, len(shifts)),
    )
    one, many = _points(potential, [crystal, supercell])
    _close("energy per atom", many.energy_ev_per_atom, one.energy_ev_per_atom, tol_ev)
    forces = np.tile(one.forces_ev_per_ang, (len(shifts), 1))
    _close("forces", many.forces_ev_per_ang, forces, 10 * tol_ev)
    _close("stress", many.stress_ev_per_ang3, one.stress_ev_per_ang3, tol_ev)


def check_forces(
    potential: Potential, crystal: Crystal, *, step_ang: float = 1e-3, tol_ev_per_ang: float = 1e-3
) -> None:
    """Forces are minus the derivative of the energy by the positions (central differences)."""
    moves = [
        (atom, axis, sign)
        for atom in range(len(crystal))
        for axis in range(3)
        for sign in (-1.0, 1.0)
    ]
    displaced = []
    for atom, axis, sign in moves:
        positions = crystal.positions.copy()
        positions[atom, axis] += sign * step_ang
        displaced.append(crystal.with_cell(crystal.lattice, positions @ _inverse(crystal)))
    (point,) = _points(potential, [crystal])
    energies = _energies(potential, displaced).reshape(-1, 2)
    numerical = -(energies[:, 1] - energies[:, 0]) / (2 * step_ang)
    _close("forces", point.forces_ev_per_ang.ravel(), numerical, tol_ev_per_ang)


def check_stress(
    potential: Potential, crystal: Crystal, *, step: float = 1e-4, tol_ev_per_ang3: float = 1e-4
) -> None:
    """Stress is the derivative of the energy by the strain over the volume."""
    strained = []
    for row in range(3):
        for column in range(3):
            for sign in (-1.0, 1.0):
                strain = np.zeros((3, 3))
                strain[row, column] += 0.5 * sign * step
                strain[column, row] += 0.5 * sign * step
                lattice = crystal.lattice @ (np.eye(3) + strain)
                strained.append(crystal.with_cell(lattice, crystal.frac_coords))
    (point,) = _points(potential, [crystal])
    energies = _energies(potential, strained).reshape(3, 3, 2)
    numerical = (energies[..., 1] - energies[..., 0]) / (2 * step * crystal.volume)
    _close("stress", point.stress_ev_per_ang3, numerical, tol_ev_per_ang3)


def check_batch(potential: Potential, crystals: Sequence[Crystal], *, tol_ev: float = 1e-5) -> None:
    """Evaluated together or one by one, in order: the same."""
    together = _points(potential, crystals)
    apart = [_points(potential, [crystal])[0] for crystal in crystals]
    for one, other in zip(together, apart, strict=True):
        _close_points(one, other, tol_ev)


def check_permutation(potential: Potential, crystal: Crystal, *, tol_ev: float = 1e-5) -> None:
    """Atoms listed in another order carry their forces with them."""
    order = np.arange(len(crystal))[::-1]
    given, permuted = _points(potential, [crystal, crystal.permuted(order.tolist())])
    _close("energy per atom", permuted.energy_ev_per_atom, given.energy_ev_per_atom, tol_ev)
    _close("forces", permuted.forces_ev_per_ang, given.forces_ev_per_ang[order], 10 * tol_ev)


def check_translation(potential: Potential, crystal: Crystal, *, tol_ev: float = 1e-5) -> None:
    """Moving all atoms, some of them across the cell's border, changes nothing."""
    shifted = crystal.with_cell(crystal.lattice, crystal.frac_coords + np.array([0.31, 1.7, -0.55]))
    wrapped = crystal.with_cell(crystal.lattice, shifted.frac_coords % 1.0)
    given, *others = _points(potential, [crystal, shifted, wrapped])
    for other in others:
        _close_points(other, given, tol_ev)


def check_unknown_element(potential: Potential) -> None:
    """An element the potential does not know fails, and alone."""
    unknown = min(frozenset(range(1, 119)) - potential.elements)
    known = max(potential.elements & frozenset({13, 29, 78}))
    lattice = 4.0 * np.eye(3)
    corner = np.zeros((1, 3))
    outcomes = potential.evaluate(
        [Crystal(lattice, corner, [unknown]), Crystal(lattice, corner, [known])]
    )
    assert isinstance(outcomes[0], Failed), f"element {unknown} passed"
    assert isinstance(outcomes[1], SinglePoint), f"element {known} failed: {outcomes[1]}"


def _points(potential: Potential, crystals: Sequence[Crystal]) -> list[SinglePoint]:
    points: list[SinglePoint] = []
    for outcome in potential.evaluate(crystals):
        assert isinstance(outcome, SinglePoint), f"evaluation failed: {outcome.reason}"
        points.append(outcome)
    assert len(points) == len(crystals), f"{len(points)} results for {len(crystals)} crystals"
    return points


def _energies(potential: Potential, crystals: Sequence[Crystal]) -> NDArray[np.float64]:
    """Energies of the cells, shape ``(n_crystals,)``, eV."""
    points = _points(potential, crystals)
    pairs = zip(points, crystals, strict=True)
    return np.array([point.energy_ev_per_atom * len(crystal) for point, crystal in pairs])


def _inverse(crystal: Crystal) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(crystal.lattice))


def _close_points(one: SinglePoint, other: SinglePoint, tol_ev: float) -> None:
    _close("energy per atom", one.energy_ev_per_atom, other.energy_ev_per_atom, tol_ev)
    _close("forces", one.forces_ev_per_ang, other.forces_ev_per_ang, 10 * tol_ev)
    _close("stress", one.stress_ev_per_ang3, other.stress_ev_per_ang3, tol_ev)


def _close(
    what: str,
    found: float | NDArray[np.float64],
    expected: float | NDArray[np.float64],
    tol: float,
) -> None:
    deviation = float(np.abs(np.asarray(found) - np.asarray(expected)).max())
    assert deviation < tol, f"{what} deviates by {deviation:.3g}, tolerance {tol:.3g}"
