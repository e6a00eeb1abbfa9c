"""Checks that any potential must pass, for the tests of this package and of a user's own.

:func:`examine` runs them all and tells how far each was missed; :func:`violations` names those that
failed. A check alone raises :class:`Violation`, an ``AssertionError``, with the largest deviation
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
from ray_matdesign.potentials.strained import strained_crystals

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


@dataclass(frozen=True)
class Deviation:
    """How far apart two results are that physics says are one.

    Attributes:
        quantity: ``energy per atom``, ``forces`` or ``stress``.
        value: Largest absolute difference.
        tolerance: What it must stay below.
    """

    quantity: str
    value: float
    tolerance: float

    @property
    def unit(self) -> str:
        """Of value and tolerance."""
        return _UNITS[self.quantity]


_UNITS = {"energy per atom": "eV", "forces": "eV/Angstrom", "stress": "eV/Angstrom^3"}


class Violation(AssertionError):
    """A check failed.

    Attributes:
        deviation: What was measured; ``None`` where nothing could be.
    """

    def __init__(self, problem: str, deviation: Deviation | None = None) -> None:
        super().__init__(problem)
        self.deviation = deviation


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: Its name.
        formula: Of the crystal it was made on; empty for those on several.
        deviation: The largest against its tolerance; ``None`` where nothing could be measured, or
            there was nothing to measure.
        problem: Why the check failed, in one line; empty if it passed.
    """

    check: str
    formula: str
    deviation: Deviation | None
    problem: str = ""


def examine(
    potential: Potential,
    crystals: Sequence[Crystal] | None = None,
    *,
    tolerances: Tolerances = SINGLE_PRECISION,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Finding]:
    """Runs every check of this module.

    Args:
        potential: To be checked.
        crystals: Two or more that it knows, away from equilibrium so that forces and stresses do
            not vanish; :func:`~ray_matdesign.potentials.strained.strained_crystals` by default.
        tolerances: How exact it is held to be.
        progress: Is told how many checks of how many are done.

    Returns:
        One finding for each check. An exception of the potential's, which should have been a
        failure returned, is one too.

    Raises:
        TooFewCrystals: Fewer than two crystals, given or known.
    """
    chosen = strained_crystals(potential.elements) if crystals is None else list(crystals)
    if len(chosen) < 2:
        raise TooFewCrystals(
            f"checking {potential.name} takes two crystals it knows: give crystals"
        )
    checks = _checks(potential, chosen, tolerances)
    findings = []
    for name, formula, check in checks:
        findings.append(_finding(name, formula, check))
        progress(len(findings), len(checks))
    return findings


def violations(
    potential: Potential,
    crystals: Sequence[Crystal] | None = None,
    *,
    tolerances: Tolerances = SINGLE_PRECISION,
) -> list[str]:
    """Runs every check and names those that failed.

    Args:
        potential: As in :func:`examine`.
        crystals: Likewise.
        tolerances: Likewise.

    Returns:
        One line for each check failed, ``check of formula: deviation``; empty if all is well.

    Raises:
        TooFewCrystals: Likewise.
    """
    return [
        f"{found.check}{f' of {found.formula}' if found.formula else ''}: {found.problem}"
        for found in examine(potential, crystals, tolerances=tolerances)
        if found.problem
    ]


class TooFewCrystals(ValueError):
    """Checks on several crystals need more than one."""


_Check = Callable[[], Deviation | None]


def _checks(
    potential: Potential, crystals: Sequence[Crystal], tolerances: Tolerances
) -> list[tuple[str, str, _Check]]:
    """Name, formula and call of every check to be made."""
    checks: list[tuple[str, str, _Check]] = [
        (name, crystal.formula, partial(check, potential, crystal, tolerances))
        for crystal in crystals
        for name, check in _CHECKS.items()
    ]
    together = partial(check_batch, potential, crystals, tol_ev=tolerances.energy_ev)
    checks.append(("batch", "", together))
    if len(potential.elements) < len(ATOMIC_NUMBERS):
        unknown = partial(check_unknown_element, potential, crystals[0])
        checks.append(("unknown element", "", unknown))
    return checks


def _finding(name: str, formula: str, check: _Check) -> Finding:
    try:
        return Finding(name, formula, check())
    except Violation as error:
        return Finding(name, formula, error.deviation, str(error))
    except Exception as error:  # noqa: BLE001 - a potential of the user's may raise anything
        message = " ".join(str(error).split())
        return Finding(name, formula, None, f"raised {type(error).__name__}: {message}")


_CHECKS: dict[str, Callable[[Potential, Crystal, Tolerances], Deviation]] = {
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


def check_supercell(potential: Potential, crystal: Crystal, *, tol_ev: float = 1e-5) -> Deviation:
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
    forces = np.tile(one.forces_ev_per_ang, (len(shifts), 1))
    return _worst(
        _close("energy per atom", many.energy_ev_per_atom, one.energy_ev_per_atom, tol_ev),
        _close("forces", many.forces_ev_per_ang, forces, 10 * tol_ev),
        _close("stress", many.stress_ev_per_ang3, one.stress_ev_per_ang3, tol_ev),
    )


def check_forces(
    potential: Potential, crystal: Crystal, *, step_ang: float = 1e-3, tol_ev_per_ang: float = 1e-3
) -> Deviation:
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
    return _close("forces", point.forces_ev_per_ang.ravel(), numerical, tol_ev_per_ang)


def check_stress(
    potential: Potential, crystal: Crystal, *, step: float = 1e-4, tol_ev_per_ang3: float = 1e-4
) -> Deviation:
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
    return _close("stress", point.stress_ev_per_ang3, numerical, tol_ev_per_ang3)


def check_batch(
    potential: Potential, crystals: Sequence[Crystal], *, tol_ev: float = 1e-5
) -> Deviation:
    """Evaluated together or one by one, in order: the same."""
    together = _points(potential, crystals)
    apart = [_points(potential, [crystal])[0] for crystal in crystals]
    pairs = zip(together, apart, strict=True)
    return _worst(*(_close_points(one, other, tol_ev) for one, other in pairs))


def check_permutation(potential: Potential, crystal: Crystal, *, tol_ev: float = 1e-5) -> Deviation:
    """Atoms listed in another order carry their forces with them."""
    order = np.arange(len(crystal))[::-1]
    given, permuted = _points(potential, [crystal, crystal.permuted(order.tolist())])
    return _worst(
        _close("energy per atom", permuted.energy_ev_per_atom, given.energy_ev_per_atom, tol_ev),
        _close("forces", permuted.forces_ev_per_ang, given.forces_ev_per_ang[order], 10 * tol_ev),
    )


def check_translation(potential: Potential, crystal: Crystal, *, tol_ev: float = 1e-5) -> Deviation:
    """Moving all atoms, some of them across the cell's border, changes nothing."""
    shifted = crystal.with_cell(crystal.lattice, crystal.frac_coords + np.array([0.31, 1.7, -0.55]))
    wrapped = crystal.with_cell(crystal.lattice, shifted.frac_coords % 1.0)
    given, *others = _points(potential, [crystal, shifted, wrapped])
    return _worst(*(_close_points(other, given, tol_ev) for other in others))


def check_unknown_element(potential: Potential, crystal: Crystal) -> None:
    """A crystal of an element the potential does not know fails, and one beside it does not.

    Args:
        potential: One that does not know every element.
        crystal: One that it knows.
    """
    unknown = min(frozenset(ATOMIC_NUMBERS.values()) - potential.elements)
    stranger = Crystal(4.0 * np.eye(3), np.zeros((1, 3)), [unknown])
    outcomes = potential.evaluate([stranger, crystal])
    if not isinstance(outcomes[0], Failed):
        raise Violation(f"element {unknown} passed")
    if isinstance(outcomes[1], Failed):
        raise Violation(f"{crystal.formula} failed: {outcomes[1].reason}")


def _points(potential: Potential, crystals: Sequence[Crystal]) -> list[SinglePoint]:
    points: list[SinglePoint] = []
    for outcome in potential.evaluate(crystals):
        if isinstance(outcome, Failed):
            raise Violation(f"evaluation failed: {outcome.reason}")
        points.append(outcome)
    if len(points) != len(crystals):
        raise Violation(f"{len(points)} results for {len(crystals)} crystals")
    return points


def _energies(potential: Potential, crystals: Sequence[Crystal]) -> NDArray[np.float64]:
    """Energies of the cells, shape ``(n_crystals,)``, eV."""
    points = _points(potential, crystals)
    pairs = zip(points, crystals, strict=True)
    return np.array([point.energy_ev_per_atom * len(crystal) for point, crystal in pairs])


def _inverse(crystal: Crystal) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(crystal.lattice))


def _close_points(one: SinglePoint, other: SinglePoint, tol_ev: float) -> Deviation:
    return _worst(
        _close("energy per atom", one.energy_ev_per_atom, other.energy_ev_per_atom, tol_ev),
        _close("forces", one.forces_ev_per_ang, other.forces_ev_per_ang, 10 * tol_ev),
        _close("stress", one.stress_ev_per_ang3, other.stress_ev_per_ang3, tol_ev),
    )


def _worst(*deviations: Deviation) -> Deviation:
    return max(deviations, key=lambda deviation: deviation.value / deviation.tolerance)


def _close(
    what: str,
    found: float | NDArray[np.float64],
    expected: float | NDArray[np.float64],
    tol: float,
) -> Deviation:
    shapes = np.shape(found), np.shape(expected)
    if shapes[0] != shapes[1]:
        raise Violation(f"{what} have shape {shapes[0]}, expected {shapes[1]}")
    value = float(np.abs(np.asarray(found) - np.asarray(expected)).max())
    deviation = Deviation(what, value, tol)
    if not value < tol:  # nor is NaN
        raise Violation(f"{what} deviates by {value:.3g}, tolerance {tol:.3g}", deviation)
    return deviation
