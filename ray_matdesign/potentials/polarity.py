"""Static response of a crystal's ions to an electric field, from force constants at Gamma."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ELEMENTARY_CHARGE_OVER_EPSILON0 = 180.95128
"""e^2/epsilon_0 in eV Angstrom (CODATA 2018)."""
ROOT_EV_PER_SQUARE_ANG_AMU_IN_THZ = 15.633302
"""sqrt(eV/(Angstrom^2 amu))/(2 pi) in THz (CODATA 2018)."""


def optical_frequencies(
    force_constants: NDArray[np.float64], masses_amu: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Frequencies at Gamma of all modes but the three rigid translations, ascending.

    Without the long-range field these are the transverse optical modes.

    Args:
        force_constants: Shape ``(3 n, 3 n)``, eV/Angstrom^2, symmetric.
        masses_amu: Shape ``(n,)``.

    Returns:
        Shape ``(3 n - 3,)``, THz, imaginary ones negative.
    """
    root = np.sqrt(np.repeat(masses_amu, 3))
    relative = _without_translations(np.sqrt(masses_amu))
    dynamical = force_constants / np.outer(root, root)
    squares = np.linalg.eigvalsh(relative.T @ dynamical @ relative)
    return np.asarray(
        np.sign(squares) * np.sqrt(np.abs(squares)) * ROOT_EV_PER_SQUARE_ANG_AMU_IN_THZ
    )


def ionic_susceptibility(
    force_constants: NDArray[np.float64], charges_e: NDArray[np.float64], volume_ang3: float
) -> NDArray[np.float64]:
    """What ions that move with the field add to the relative permittivity at zero frequency.

    ``chi_ab = (e^2 / (epsilon_0 V)) sum_m (sum_i Z_i u_mia) (sum_j Z_j u_mjb) / omega_m^2`` over
    the optical modes ``m`` with displacements ``u`` (Gonze and Lee, Phys. Rev. B 55, 10355
    (1997)). Masses cancel in the sum: what remains is the inverse of the force constants.

    Args:
        force_constants: Shape ``(3 n, 3 n)``, eV/Angstrom^2, positive definite but for the
            translations.
        charges_e: What each ion carries with it, elementary charges, shape ``(n,)``; their mean is
            taken off, as a neutral cell has none.
        volume_ang3: Of the cell, cubic Angstrom.

    Returns:
        Shape ``(3, 3)``, symmetric.
    """
    charges = charges_e - charges_e.mean()
    polar = np.kron(charges[:, None], np.eye(3))
    relative = _without_translations(np.ones(len(charges)))
    compliance = relative.T @ force_constants @ relative
    along = relative.T @ polar
    response = along.T @ np.linalg.solve(compliance, along)
    return np.asarray(ELEMENTARY_CHARGE_OVER_EPSILON0 / volume_ang3 * response)


def _without_translations(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal columns, shape ``(3 n, 3 n - 3)``, orthogonal to shifts with these weights."""
    shifts = np.kron(weights[:, None], np.eye(3))
    basis, _ = np.linalg.qr(shifts, mode="complete")
    return np.asarray(basis[:, 3:])
