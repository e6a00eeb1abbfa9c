"""Moduli against closed forms and pymatgen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.elasticity import ElasticTensor as PymatgenTensor
from scipy.spatial.transform import Rotation

from ray_matdesign.potentials.elasticity.tensor import ElasticTensor
from ray_matdesign.potentials.mandel import SCALE, rotation_of_mandel


def cubic(c11: float, c12: float, c44: float) -> ElasticTensor:
    stiffness = np.diag([c11 - c12] * 3 + [c44] * 3)
    stiffness[:3, :3] += c12
    return ElasticTensor(stiffness)


def random_tensor(seed: int) -> ElasticTensor:
    root = np.random.default_rng(seed).standard_normal((6, 6))
    return ElasticTensor.from_mandel(20.0 * (root @ root.T) + 50.0 * np.eye(6))


def test_an_isotropic_solid_has_the_moduli_it_was_made_of() -> None:
    bulk, shear = 160.0, 80.0
    tensor = cubic(bulk + 4 / 3 * shear, bulk - 2 / 3 * shear, shear)
    for modulus in (
        tensor.bulk_modulus_gpa,
        tensor.voigt_bulk_modulus_gpa,
        tensor.reuss_bulk_modulus_gpa,
    ):
        assert modulus == pytest.approx(bulk)
    for modulus in (
        tensor.shear_modulus_gpa,
        tensor.voigt_shear_modulus_gpa,
        tensor.reuss_shear_modulus_gpa,
    ):
        assert modulus == pytest.approx(shear)
    assert tensor.pugh_ratio == pytest.approx(2.0)
    assert tensor.youngs_modulus_gpa == pytest.approx(9 * bulk * shear / (3 * bulk + shear))
    np.testing.assert_allclose(tensor.eigenvalues_gpa, [2 * shear] * 5 + [3 * bulk])


def test_copper_from_its_measured_constants() -> None:
    # Hill's closed forms for cubic crystals.
    c11, c12, c44 = 168.4, 121.4, 75.4
    tensor = cubic(c11, c12, c44)
    voigt = (c11 - c12 + 3 * c44) / 5
    reuss = 5 * (c11 - c12) * c44 / (4 * c44 + 3 * (c11 - c12))
    assert tensor.bulk_modulus_gpa == pytest.approx((c11 + 2 * c12) / 3)
    assert tensor.shear_modulus_gpa == pytest.approx((voigt + reuss) / 2)
    # Handbooks: 48 GPa for polycrystalline copper, and Young's modulus of 128 GPa.
    assert tensor.shear_modulus_gpa == pytest.approx(48.0, abs=1.0)
    assert tensor.youngs_modulus_gpa == pytest.approx(128.0, abs=2.0)


@pytest.mark.parametrize("seed", range(3))
def test_moduli_are_pymatgens(seed: int) -> None:
    tensor = random_tensor(seed)
    theirs = PymatgenTensor.from_voigt(tensor.stiffness_gpa)
    assert tensor.voigt_bulk_modulus_gpa == pytest.approx(theirs.k_voigt)
    assert tensor.reuss_bulk_modulus_gpa == pytest.approx(theirs.k_reuss)
    assert tensor.bulk_modulus_gpa == pytest.approx(theirs.k_vrh)
    assert tensor.voigt_shear_modulus_gpa == pytest.approx(theirs.g_voigt)
    assert tensor.reuss_shear_modulus_gpa == pytest.approx(theirs.g_reuss)
    assert tensor.shear_modulus_gpa == pytest.approx(theirs.g_vrh)
    assert tensor.youngs_modulus_gpa == pytest.approx(theirs.y_mod / 1e9)


@given(st.integers(0, 2**32 - 1))
def test_moduli_do_not_depend_on_the_axes(seed: int) -> None:
    tensor = random_tensor(seed)
    turn = rotation_of_mandel(Rotation.random(random_state=seed).as_matrix())
    matrix = tensor.stiffness_gpa * np.outer(SCALE, SCALE)
    turned = ElasticTensor.from_mandel(turn @ matrix @ turn.T)
    assert turned.bulk_modulus_gpa == pytest.approx(tensor.bulk_modulus_gpa)
    assert turned.shear_modulus_gpa == pytest.approx(tensor.shear_modulus_gpa)
    np.testing.assert_allclose(turned.eigenvalues_gpa, tensor.eigenvalues_gpa)


@pytest.mark.parametrize(
    ("constants", "stable"),
    [
        ((168.4, 121.4, 75.4), True),
        ((121.4, 168.4, 75.4), False),  # C11 < C12
        ((168.4, 121.4, -1.0), False),  # C44 < 0
        ((100.0, -60.0, 75.4), False),  # C11 + 2 C12 < 0
    ],
)
def test_borns_criteria_of_cubic_crystals(
    constants: tuple[float, float, float], stable: bool
) -> None:
    assert cubic(*constants).is_stable is stable
