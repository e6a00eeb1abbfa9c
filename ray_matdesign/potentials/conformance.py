"""Checks that any potential must pass, for the tests of this package and of a user's own.

:func:`violations` runs them all. Each check raises ``AssertionError`` with the largest deviation
found. The physics behind them is exact, so tolerances cover only the potential's arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.potentials.protocol import Failed, Potential, SinglePoint

SUPERCELL = (2, 1, 2)


@dataclass(frozen=True)
class Tolerances:
    """How exact a potential is held to be; the defaults suit single precision.

    Attributes:
        energy_ev: Of energies per atom (eV) and stresses (eV/Angstrom^3) that must agree; forces
            (eV/Angstrom) may differ by ten times as much.
        force_step_ang: Displacement of the finite differences. In single precision the energy of a
            cell is known to a few microelectronvolts, so a smaller step finds noise.
        force_ev_per_ang: Forces against finite differences.
        strain_step: Strain of the finite differences.
        stress_ev_per_ang3: Stresses against finite differences.
    """

    energy_ev: float = 1e-5
    force_step_ang: float = 0.005
    force_ev_per_ang: float = 0.01
    strain_step: float = 2e-3
    stress_ev_per_ang3: float = 1e-3


SINGLE_PRECISION = Tolerances()
DOUBLE_PRECISION = Tolerances(
    energy_ev=1e-8,
    force_step_ang=1e-4,
    force_ev_per_ang=1e-5,
    strain_step=1e-4,
    stress_ev_per_ang3=1e-6,
)


def violations(
    potential: Potential,
    crystals: Sequence[Crystal] | None = None,
    *,
    tolerances: Tolerances = SINGLE_PRECISION,
) -> list[str]:
    """Runs every check of this module.

    Args:
        potential: To be checked.
        crystals: Two or more that it knows, away from equilibrium so that forces and stresses do
            not vanish; :func:`strained_crystals` by default.
        tolerances: How exact it is held to be.

    Returns:
        One line for each check failed, ``check of formula: deviation``; empty if all is well.

    Raises:
        ValueError: Fewer than two crystals, given or known.
    """
    chosen = strained_crystals(potential.elements) if crystals is None else list(crystals)
    if len(chosen) < 2:
        raise ValueError(f"checking {potential.name} takes two crystals it knows: give crystals")
    runs: dict[str, Callable[[], None]] = {
        f"{name} of {crystal.formula}": partial(check, potential, crystal, tolerances)
        for crystal in chosen
        for name, check in _CHECKS.items()
    }
    runs["batch"] = partial(check_batch, potential, chosen, tol_ev=tolerances.energy_ev)
    if len(potential.elements) < len(ATOMIC_NUMBERS):
        runs["unknown element"] = partial(check_unknown_element, potential, chosen[0])
    found = []
    for name, run in runs.items():
        try:
            run()
        except AssertionError as error:
            found.append(f"{name}: {error}")
    return found


_CHECKS: dict[str, Callable[[Potential, Crystal, Tolerances], None]] = {
    "supercell": lambda p, c, t: check_supercell(p, c, tol_ev=t.energy_ev),
    "permutation": lambda p, c, t: check_permutation(p, c, tol_ev=t.energy_ev),
    "translation": lambda p, c, t: check_translation(p, c, tol_ev=t.energy_ev),
    "forces": lambda p, c, t: check_forces(
        p, c, step_ang=t.force_step_ang, tol_ev_per_ang=t.force_ev_per_ang
    ),
    "stress": lambda p, c, t: check_stress(
        p, c, step=t.strain_step, tol_ev_per_ang3=t.stress_ev_per_ang3
    ),
}


def strained_crystals(elements: frozenset[int], most: int = 3) -> list[Crystal]:
    """Crystals of given elements with their cells strained and their atoms moved a little.

    Args:
        elements: Atomic numbers that may occur.
        most: How many at most; fewer where the elements allow no more.
    """
    rng = np.random.default_rng(0)
    strained: list[Crystal] = []
    for lattice_ang, coords, symbols in _PROTOTYPES:
        numbers = [ATOMIC_NUMBERS[symbol] for symbol in symbols.split()]
        if not elements.issuperset(numbers) or len(strained) == most:
            continue
        lattice = lattice_ang * (np.eye(3) + 0.02 * rng.standard_normal((3, 3)))
        moves = 0.05 * rng.standard_normal((len(numbers), 3))
        strained.append(
            Crystal(lattice, np.array(coords) + moves @ np.linalg.inv(lattice), numbers)
        )
    return strained


_FCC = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
_PEROVSKITE = ((0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5))
_BODY_CENTRED = ((0, 0, 0), (0.5, 0.5, 0.5))
_PROTOTYPES = (
    (2.75, _BODY_CENTRED, "Ag Mg"),
    (4.00, _PEROVSKITE, "Ba Ti O O O"),
    (4.13, _BODY_CENTRED, "Cs Cl"),
    (2.90, _BODY_CENTRED, "Fe Fe"),
    (3.75, _FCC, "Cu Cu Cu Au"),
    (4.05, _FCC, "Al Al Al Al"),
    (3.90, _FCC, "Pt Pt Pt Ni"),
    (5.43, (*_FCC, *((x + 0.25, y + 0.25, z + 0.25) for x, y, z in _FCC)), "Si " * 8),
)
"""Cubic cell length (Angstrom), fractional coordinates and symbols."""


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
    strained: list[Crystal] = []
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


def check_unknown_element(potential: Potential, crystal: Crystal) -> None:
    """A crystal of an element the potential does not know fails, and one beside it does not.

    Args:
        potential: One that does not know every element.
        crystal: One that it knows.
    """
    unknown = min(frozenset(ATOMIC_NUMBERS.values()) - potential.elements)
    stranger = Crystal(4.0 * np.eye(3), np.zeros((1, 3)), [unknown])
    outcomes = potential.evaluate([stranger, crystal])
    assert isinstance(outcomes[0], Failed), f"element {unknown} passed"
    assert isinstance(outcomes[1], SinglePoint), f"{crystal.formula} failed: {outcomes[1].reason}"


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
    shapes = np.shape(found), np.shape(expected)
    assert shapes[0] == shapes[1], f"{what} have shape {shapes[0]}, expected {shapes[1]}"
    deviation = float(np.abs(np.asarray(found) - np.asarray(expected)).max())
    assert deviation < tol, f"{what} deviates by {deviation:.3g}, tolerance {tol:.3g}"
