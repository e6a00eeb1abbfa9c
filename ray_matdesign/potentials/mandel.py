"""Symmetric 3x3 tensors as vectors of six numbers whose scalar product is the tensors' own.

The components are xx, yy, zz, yz, xz, xy, the last three times the square root of two (Mandel's
notation). A rotation of the tensor is an orthogonal matrix on the vector, and a fourth-rank
elastic tensor is a 6x6 matrix with the tensor's own eigenvalues.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROWS = np.array([0, 1, 2, 1, 0, 0])
COLUMNS = np.array([0, 1, 2, 2, 2, 1])
SCALE = np.array([1.0, 1.0, 1.0, np.sqrt(2.0), np.sqrt(2.0), np.sqrt(2.0)])


def to_mandel(tensors: Floats) -> Floats:
    """Vectors of symmetric tensors.

    Args:
        tensors: Shape ``(..., 3, 3)``.

    Returns:
        Shape ``(..., 6)``.
    """
    return np.asarray(tensors[..., ROWS, COLUMNS] * SCALE)


def from_mandel(vectors: Floats) -> Floats:
    """The inverse of :func:`to_mandel`."""
    tensors = np.zeros((*vectors.shape[:-1], 3, 3))
    tensors[..., ROWS, COLUMNS] = vectors / SCALE
    tensors[..., COLUMNS, ROWS] = vectors / SCALE
    return tensors


def rotation_of_mandel(rotations: Floats) -> Floats:
    """What rotations of space do to the vectors.

    Args:
        rotations: Orthogonal matrices ``R``, shape ``(..., 3, 3)``.

    Returns:
        Orthogonal matrices ``Q``, shape ``(..., 6, 6)``, with
        ``Q to_mandel(t) = to_mandel(R t R^T)``.
    """
    basis = from_mandel(np.eye(6))
    rotated = np.einsum("...ij,bjk,...lk->...bil", rotations, basis, rotations)
    return np.asarray(np.swapaxes(to_mandel(rotated), -1, -2))
