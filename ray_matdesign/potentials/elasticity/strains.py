"""Which strains to try on a crystal, and the elastic tensor from the stresses they cause.

Strains and stresses are vectors in Mandel's notation (:mod:`ray_matdesign.potentials.mandel`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.symmetry import attempt, spglib_cell
from ray_matdesign.potentials.mandel import from_mandel, rotation_of_mandel, to_mandel

Floats = NDArray[np.float64]

SAME_DIRECTION = 0.05
"""Unit strains nearer than this are one: rotations of a nearly symmetric cell are not exact."""


@dataclass(frozen=True)
class PointGroup:
    """The rotations, proper and improper, that leave a crystal's stiffness as it is.

    Attributes:
        rotations: Orthogonal matrices acting on Cartesian columns, shape ``(n, 3, 3)``; the
            identity first.
        axes: Rotation from the crystal's Cartesian axes to those of its standard setting, shape
            ``(3, 3)``.
    """

    rotations: Floats
    axes: Floats


def point_group(crystal: Crystal, symprec_ang: float) -> PointGroup:
    """The point group as spglib finds it; the identity alone where it finds none.

    Args:
        crystal: Any cell of it.
        symprec_ang: How far atoms may be from their symmetric places.
    """
    import spglib

    dataset = attempt(spglib.get_symmetry_dataset, spglib_cell(crystal), symprec=symprec_ang)
    if dataset is None:
        return PointGroup(np.eye(3)[None], np.eye(3))
    vectors = crystal.lattice.T
    turned = vectors @ np.unique(dataset.rotations, axis=0) @ np.linalg.inv(vectors)
    rotations = np.array([_nearest_orthogonal(matrix) for matrix in turned])
    order = np.argsort([np.abs(rotation - np.eye(3)).max() for rotation in rotations])
    return PointGroup(rotations[order], _nearest_orthogonal(dataset.std_rotation_matrix))


def independent_strains(group: PointGroup) -> Floats:
    """Unit strains from which symmetry gives the answer to every other.

    Of the three stretches and three shears along the standard axes, those are kept whose images
    under the point group add something to the images of the others: 2 in a cubic crystal, 3 in a
    hexagonal or trigonal one, 4 in a tetragonal one, 6 below. A strain comes with its opposite,
    unless a rotation turns one into the other.

    Returns:
        Shape ``(n, 6)``, between 3 and 12 of them.
    """
    operations = rotation_of_mandel(group.rotations)
    directions = to_mandel(group.axes.T @ from_mandel(np.eye(6)) @ group.axes)
    span = np.empty((6, 0))
    strains = []
    for direction in directions:
        if np.linalg.norm(direction - span @ (span.T @ direction)) < SAME_DIRECTION:
            continue
        images = operations @ direction
        left, singular, _ = np.linalg.svd(np.column_stack([span, images.T]), full_matrices=False)
        span = left[:, singular > SAME_DIRECTION]
        strains.append(direction)
        if np.linalg.norm(images + direction, axis=1).min() > SAME_DIRECTION:
            strains.append(-direction)
    return np.array(strains)


def fit_stiffness(strains: Floats, stresses: Floats, group: PointGroup) -> Floats:
    """Stiffness by least squares over the measured stresses and their images under symmetry.

    The stress without strain is fitted along, so one left by an unfinished relaxation does no
    harm; as strains come with their opposites, nor does what is quadratic in them.

    Args:
        strains: Shape ``(n, 6)``.
        stresses: Same shape; any unit.
        group: Of the crystal without strain.

    Returns:
        Symmetric matrix of shape ``(6, 6)`` in the stresses' unit.
    """
    operations = rotation_of_mandel(group.rotations)
    inputs = (strains @ np.swapaxes(operations, 1, 2)).reshape(-1, 6)
    outputs = (stresses @ np.swapaxes(operations, 1, 2)).reshape(-1, 6)
    design = np.column_stack([np.ones(len(inputs)), inputs])
    solution = np.linalg.lstsq(design, outputs, rcond=None)[0]
    slope = solution[1:]
    return np.asarray(0.5 * (slope + slope.T))


def _nearest_orthogonal(matrix: Floats) -> Floats:
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ right)
