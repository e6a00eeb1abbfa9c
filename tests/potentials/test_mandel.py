"""Symmetric tensors as six numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ray_matdesign.potentials.mandel import from_mandel, rotation_of_mandel, to_mandel

RNG = np.random.default_rng(0)


def symmetric(*shape: int) -> np.ndarray:
    tensor = RNG.standard_normal((*shape, 3, 3))
    return tensor + np.swapaxes(tensor, -1, -2)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_there_and_back(shape: tuple[int, ...]) -> None:
    tensors = symmetric(*shape)
    assert to_mandel(tensors).shape == (*shape, 6)
    np.testing.assert_allclose(from_mandel(to_mandel(tensors)), tensors)


def test_scalar_products_are_the_tensors() -> None:
    one, other = symmetric(2)
    assert to_mandel(one) @ to_mandel(other) == pytest.approx(np.vdot(one, other))


def test_rotations_are_orthogonal_and_rotate() -> None:
    rotations = Rotation.random(5, random_state=0).as_matrix()
    tensor = symmetric()
    matrices = rotation_of_mandel(rotations)
    np.testing.assert_allclose(
        matrices @ np.swapaxes(matrices, 1, 2), np.broadcast_to(np.eye(6), (5, 6, 6)), atol=1e-12
    )
    rotated = rotations @ tensor @ np.swapaxes(rotations, 1, 2)
    np.testing.assert_allclose(matrices @ to_mandel(tensor), to_mandel(rotated))
