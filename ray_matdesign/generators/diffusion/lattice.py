"""Cells as six numbers without orientation, of which a crystal family leaves some free.

A cell ``L`` (rows are vectors) equals ``S R`` with ``S`` symmetric positive definite and ``R`` a
rotation; ``log S = 0.5 log(L L^T)`` forgets the rotation and may take any value, so that every
point of R^6 is a cell of positive volume. In the basis used here each crystal family is a subset of
the six, free while the others are constant (DiffCSP++, arXiv:2402.03992, Sec. 4.1 and Table 1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_ALL = (True, True, True, True, True, True)
_FAMILIES: tuple[tuple[int, tuple[bool, ...]], ...] = (
    (2, _ALL),
    (15, (True, True, True, False, True, False)),
    (74, (True, True, True, False, False, False)),
    (194, (True, False, True, False, False, False)),
    (230, (True, False, False, False, False, False)),
)
"""Last space group of each family, and which coordinates it leaves free."""
_HEXAGONAL = range(143, 195)
_HEXAGONAL_XY = -0.25 * math.log(3.0)


def free_strains(group: int) -> tuple[bool, ...]:
    """Which of the six coordinates a space group leaves free."""
    return next(free for last, free in _FAMILIES if group <= last)


def pinned_strains(group: int) -> tuple[float, ...]:
    """Values of the six coordinates where the group pins them, 0 where it does not."""
    return (0.0, 0.0, 0.0, _HEXAGONAL_XY if group in _HEXAGONAL else 0.0, 0.0, 0.0)


def log_strain(lattice: Tensor, n_atoms: Tensor) -> Tensor:
    """Six coordinates of each cell.

    Args:
        lattice: Shape ``(batch, 3, 3)``, rows are cell vectors, Angstrom.
        n_atoms: Atoms in these cells, shape ``(batch,)``.

    Returns:
        Shape ``(batch, 6)``, dimensionless: a third of the log volume per atom; ``a`` against
        ``b``; both against ``c``; and the off-diagonal entries xy, xz, yz of ``log S``.
    """
    eigenvalues, vectors = torch.linalg.eigh(lattice @ lattice.mT)
    log_s = (vectors * (0.5 * torch.log(eigenvalues)).unsqueeze(-2)) @ vectors.mT
    a, b, c = torch.diagonal(log_s, dim1=-2, dim2=-1).unbind(-1)
    mean = (a + b + c) / 3.0
    per_atom = mean - torch.log(n_atoms.to(lattice.dtype)) / 3.0
    shape = [per_atom, 0.5 * (a - b), 0.5 * (mean - c)]
    return torch.stack([*shape, log_s[..., 0, 1], log_s[..., 0, 2], log_s[..., 1, 2]], dim=-1)


def lattice_from_log_strain(strain: Tensor, n_atoms: Tensor) -> Tensor:
    """Inverse of :func:`log_strain`: symmetric cells, shape ``(batch, 3, 3)``, Angstrom.

    Where a coordinate is not finite, all of that cell is NaN.
    """
    # One such row would have the eigenvalues of the whole batch refused.
    sound = strain.isfinite().all(dim=-1, keepdim=True)
    per_atom, a_to_b, ab_to_c, xy, xz, yz = torch.where(sound, strain, 0.0).unbind(-1)
    mean = per_atom + torch.log(n_atoms.to(strain.dtype)) / 3.0
    a, b, c = mean + ab_to_c + a_to_b, mean + ab_to_c - a_to_b, mean - 2.0 * ab_to_c
    entries = torch.stack([a, xy, xz, xy, b, yz, xz, yz, c], dim=-1)
    # A sampled cell may be absurd; exp must not overflow before validity can say so.
    eigenvalues, vectors = torch.linalg.eigh(entries.unflatten(-1, (3, 3)))
    stretched = vectors * torch.exp(eigenvalues.clamp(-5.0, 6.0)).unsqueeze(-2)
    cells: Tensor = stretched @ vectors.mT
    return torch.where(sound.unsqueeze(-1), cells, torch.nan)
