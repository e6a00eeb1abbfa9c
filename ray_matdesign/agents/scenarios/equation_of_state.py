"""Equation of state of a cubic metal: lattice constant, bulk modulus and its derivative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.scenarios.study_folder import StudyFailed
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.elasticity.batch import EV_PER_CUBIC_ANGSTROM_IN_GPA
from ray_matdesign.potentials.protocol import Failed, Potential

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EquationOfState:
    """Birch and Murnaghan's equation of third order (Birch, Phys. Rev. 71, 809 (1947)).

    Attributes:
        volumes_ang3: Per atom, as sampled.
        energies_ev: Per atom, likewise.
        volume_ang3: At rest, per atom.
        energy_ev: At rest, per atom.
        bulk_modulus_gpa: At rest.
        bulk_modulus_derivative: By pressure, no unit.
        errors: Standard errors of volume, energy, bulk modulus and derivative, in their units.
        residual_ev: Root mean square of what the fit leaves.
    """

    volumes_ang3: Floats
    energies_ev: Floats
    volume_ang3: float
    energy_ev: float
    bulk_modulus_gpa: float
    bulk_modulus_derivative: float
    errors: tuple[float, float, float, float]
    residual_ev: float

    @property
    def fcc_lattice_constant_ang(self) -> float:
        """Of a face-centred cubic crystal with one atom a site, Angstrom."""
        return float((4.0 * self.volume_ang3) ** (1.0 / 3.0))

    def energies(self, volumes_ang3: Floats) -> Floats:
        """The fitted curve, eV per atom."""
        bulk = self.bulk_modulus_gpa / EV_PER_CUBIC_ANGSTROM_IN_GPA
        return birch_murnaghan(
            volumes_ang3, self.volume_ang3, self.energy_ev, bulk, self.bulk_modulus_derivative
        )


def fit_equation_of_state(
    potential: Potential, crystal: Crystal, stretches: Sequence[float]
) -> EquationOfState:
    """Energies over volume, and the equation that fits them.

    The cell keeps its shape and the atoms their places, which symmetry demands of simple metals.

    Args:
        potential: Gives energies.
        crystal: Near rest.
        stretches: Factors on all lengths, six or more, around one.

    Raises:
        StudyFailed: The potential fails, or the energies have no minimum within the stretches.
        ValueError: Too few stretches.
    """
    from scipy.optimize import curve_fit

    if len(stretches) < 6:
        raise ValueError(f"{len(stretches)} stretches, expected at least 6 for 4 parameters")
    factors = np.asarray(stretches, dtype=np.float64)
    copies = [crystal.with_cell(f * crystal.lattice, crystal.frac_coords) for f in factors]
    energies = np.empty(len(copies))
    for place, point in enumerate(potential.evaluate(copies)):
        if isinstance(point, Failed):
            raise StudyFailed(f"{crystal.formula}: stretch {factors[place]:g}: {point.reason}")
        energies[place] = point.energy_ev_per_atom
    volumes = factors**3 * crystal.volume / len(crystal)
    lowest = int(energies.argmin())
    if lowest in {0, len(energies) - 1}:
        raise StudyFailed(f"{crystal.formula}: no minimum between the stretches tried")
    start = (volumes[lowest], energies[lowest], 0.5, 5.0)
    fitted, covariance = curve_fit(birch_murnaghan, volumes, energies, p0=start)
    volume, energy, bulk, derivative = map(float, fitted)
    volume_error, energy_error, bulk_error, derivative_error = np.sqrt(np.diag(covariance))
    residual = energies - birch_murnaghan(volumes, *fitted)
    return EquationOfState(
        volumes_ang3=volumes,
        energies_ev=energies,
        volume_ang3=volume,
        energy_ev=energy,
        bulk_modulus_gpa=bulk * EV_PER_CUBIC_ANGSTROM_IN_GPA,
        bulk_modulus_derivative=derivative,
        errors=(
            float(volume_error),
            float(energy_error),
            float(bulk_error) * EV_PER_CUBIC_ANGSTROM_IN_GPA,
            float(derivative_error),
        ),
        residual_ev=float(np.sqrt(np.mean(residual**2))),
    )


def birch_murnaghan(
    volumes: Floats, volume: float, energy: float, bulk: float, derivative: float
) -> Floats:
    """Energy at volumes, in the units of ``energy``; ``bulk`` in energy per volume."""
    squeeze = (volume / volumes) ** (2.0 / 3.0)
    cubic = (squeeze - 1.0) ** 3 * derivative
    square = (squeeze - 1.0) ** 2 * (6.0 - 4.0 * squeeze)
    return np.asarray(energy + 9.0 * volume * bulk / 16.0 * (cubic + square))
