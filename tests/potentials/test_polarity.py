"""The ions' response against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.potentials.polarity import (
    ELEMENTARY_CHARGE_OVER_EPSILON0,
    ROOT_EV_PER_SQUARE_ANG_AMU_IN_THZ,
    ionic_susceptibility,
    optical_frequencies,
)

VOLUME = 18.7


def random_solid(seed: int, atoms: int) -> np.ndarray:
    """Positive definite force constants that a rigid shift does not stretch."""
    rng = np.random.default_rng(seed)
    free = rng.standard_normal((3 * atoms, 3 * atoms))
    shifts = np.tile(np.eye(3), (atoms, 1)) / np.sqrt(atoms)
    relative = np.eye(3 * atoms) - shifts @ shifts.T
    return relative @ (free @ free.T + np.eye(3 * atoms)) @ relative


def test_two_ions_on_springs():
    stiffness, charge = 8.0, 2.0
    pair = np.kron([[stiffness, -stiffness], [-stiffness, stiffness]], np.eye(3))
    found = ionic_susceptibility(pair, np.array([charge, -charge]), VOLUME)
    expected = ELEMENTARY_CHARGE_OVER_EPSILON0 * charge**2 / (stiffness * VOLUME)
    assert found == pytest.approx(expected * np.eye(3), abs=1e-9)


def test_magnesia_by_lyddane_sachs_and_teller():
    # Measured TO frequency, effective charge and high-frequency constant of MgO give its static
    # constant, 9.65, within a few per cent.
    reduced = 24.305 * 15.9994 / (24.305 + 15.9994)
    stiffness = reduced * (12.0 / ROOT_EV_PER_SQUARE_ANG_AMU_IN_THZ) ** 2
    pair = np.kron([[stiffness, -stiffness], [-stiffness, stiffness]], np.eye(3))
    ionic = ionic_susceptibility(pair, np.array([1.96, -1.96]), 18.68)[0, 0]
    assert 2.95 + ionic == pytest.approx(9.65, rel=0.03)
    longitudinal = np.sqrt(12.0**2 * (2.95 + ionic) / 2.95)
    assert longitudinal == pytest.approx(21.5, rel=0.03)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_the_inverse_is_the_sum_over_modes_whatever_the_masses(seed, atoms):
    constants = random_solid(seed, atoms)
    rng = np.random.default_rng(seed)
    masses, charges = rng.uniform(1, 200, atoms), rng.uniform(-4, 4, atoms)
    charges -= charges.mean()
    root = np.sqrt(np.repeat(masses, 3))
    squares, vectors = np.linalg.eigh(constants / np.outer(root, root))
    moved = vectors[:, 3:] / root[:, None]
    dipoles = np.einsum("i,iam->am", charges, moved.reshape(atoms, 3, -1))
    summed = (dipoles / squares[3:]) @ dipoles.T * ELEMENTARY_CHARGE_OVER_EPSILON0 / VOLUME
    found = ionic_susceptibility(constants, charges, VOLUME)
    assert found == pytest.approx(summed, rel=1e-6, abs=1e-9)
    frequencies = optical_frequencies(constants, masses)
    assert frequencies == pytest.approx(
        np.sqrt(squares[3:]) * ROOT_EV_PER_SQUARE_ANG_AMU_IN_THZ, rel=1e-6
    )


def test_a_shift_of_all_charges_changes_nothing():
    constants, charges = random_solid(3, 4), np.array([2.0, -1.0, -1.0, 0.0])
    shifted = ionic_susceptibility(constants, charges + 0.7, VOLUME)
    assert shifted == pytest.approx(ionic_susceptibility(constants, charges, VOLUME))


def test_a_downhill_direction_is_an_imaginary_frequency():
    pair = np.kron([[-1.0, 1.0], [1.0, -1.0]], np.eye(3))
    found = optical_frequencies(pair, np.array([2.0, 2.0]))
    assert found == pytest.approx([-ROOT_EV_PER_SQUARE_ANG_AMU_IN_THZ] * 3)
