"""The elastic tensor of a crystal and the moduli of its polycrystal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.potentials.mandel import SCALE


@dataclass(frozen=True, eq=False)
class ElasticTensor:
    """Stress per strain at rest.

    The moduli are those of a polycrystal of grains oriented at random: Voigt's average (uniform
    strain) is an upper bound, Reuss's (uniform stress) a lower one, and Hill's (Proc. Phys. Soc. A
    65, 349 (1952)) their mean. Without further words a modulus is Hill's.

    Attributes:
        stiffness_gpa: Voigt's notation, shape ``(6, 6)``, symmetric, GPa: stresses xx, yy, zz, yz,
            xz, xy by strains xx, yy, zz, 2yz, 2xz, 2xy, along the axes of the crystal's lattice
            vectors.
    """

    stiffness_gpa: NDArray[np.float64]

    @classmethod
    def from_mandel(cls, matrix_gpa: NDArray[np.float64]) -> ElasticTensor:
        """From the 6x6 matrix between strains and stresses in Mandel's notation, GPa."""
        return cls(matrix_gpa / np.outer(SCALE, SCALE))

    @cached_property
    def eigenvalues_gpa(self) -> NDArray[np.float64]:
        """Kelvin's six principal stiffnesses, ascending, GPa; no choice of axes changes them."""
        return np.asarray(np.linalg.eigvalsh(self.stiffness_gpa * np.outer(SCALE, SCALE)))

    @property
    def is_stable(self) -> bool:
        """Whether every strain costs energy: Born's criterion.

        All eigenvalues are positive; necessary and sufficient in any crystal system (Mouhat and
        Coudert, Phys. Rev. B 90, 224104 (2014)).
        """
        return bool(self.eigenvalues_gpa[0] > 0.0)

    @cached_property
    def compliance_per_gpa(self) -> NDArray[np.float64]:
        """Inverse of the stiffness, Voigt's notation, shape ``(6, 6)``, 1/GPa."""
        return np.asarray(np.linalg.inv(self.stiffness_gpa))

    @property
    def voigt_bulk_modulus_gpa(self) -> float:
        """Upper bound, GPa."""
        return float(self.stiffness_gpa[:3, :3].sum()) / 9.0

    @property
    def reuss_bulk_modulus_gpa(self) -> float:
        """Lower bound, and the single crystal's own answer to pressure, GPa."""
        return 1.0 / float(self.compliance_per_gpa[:3, :3].sum())

    @property
    def bulk_modulus_gpa(self) -> float:
        """K, GPa."""
        return 0.5 * (self.voigt_bulk_modulus_gpa + self.reuss_bulk_modulus_gpa)

    @property
    def voigt_shear_modulus_gpa(self) -> float:
        """Upper bound, GPa."""
        axial, cross, shear = _sums(self.stiffness_gpa)
        return (axial - cross + 3.0 * shear) / 15.0

    @property
    def reuss_shear_modulus_gpa(self) -> float:
        """Lower bound, GPa."""
        axial, cross, shear = _sums(self.compliance_per_gpa)
        return 15.0 / (4.0 * (axial - cross) + 3.0 * shear)

    @property
    def shear_modulus_gpa(self) -> float:
        """G, GPa."""
        return 0.5 * (self.voigt_shear_modulus_gpa + self.reuss_shear_modulus_gpa)

    @property
    def youngs_modulus_gpa(self) -> float:
        """E = 9KG / (3K + G), GPa."""
        bulk, shear = self.bulk_modulus_gpa, self.shear_modulus_gpa
        return 9.0 * bulk * shear / (3.0 * bulk + shear)

    @property
    def pugh_ratio(self) -> float:
        """K / G (Pugh, Phil. Mag. 45, 823 (1954)): above about 1.75 metals tend to be ductile."""
        return self.bulk_modulus_gpa / self.shear_modulus_gpa


def _sums(matrix: NDArray[np.float64]) -> tuple[float, float, float]:
    """Of the entries 11, 22, 33; of 12, 13, 23; of 44, 55, 66."""
    diagonal = np.diag(matrix)
    cross = matrix[0, 1] + matrix[0, 2] + matrix[1, 2]
    return float(diagonal[:3].sum()), float(cross), float(diagonal[3:].sum())
