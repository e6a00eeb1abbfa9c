"""Cells as six numbers without orientation.

A cell ``L`` (rows are vectors) equals ``S R`` with ``S`` symmetric positive definite and ``R`` a
rotation; ``log S = 0.5 log(L L^T)`` forgets the rotation and may take any value, so that every
point of R^6 is a cell of positive volume (DiffCSP++, arXiv:2402.03992, Sec. 4.1). The trace, which
is the logarithm of the volume, is taken per atom.
"""

from __future__ import annotations

import torch
from torch import Tensor

_OFF_DIAGONAL = ((0, 1), (0, 2), (1, 2))


def log_strain(lattice: Tensor, n_atoms: Tensor) -> Tensor:
    """Six coordinates of each cell.

    Args:
        lattice: Shape ``(batch, 3, 3)``, rows are cell vectors, Angstrom.
        n_atoms: Shape ``(batch,)``.

    Returns:
        Shape ``(batch, 6)``: a third of the log volume per atom, two differences of the diagonal
        and three off-diagonal entries of ``log S``; dimensionless.
    """
    eigenvalues, vectors = torch.linalg.eigh(lattice @ lattice.mT)
    log_s = (vectors * (0.5 * torch.log(eigenvalues)).unsqueeze(-2)) @ vectors.mT
    diagonal = torch.diagonal(log_s, dim1=-2, dim2=-1)
    mean = diagonal.mean(-1)
    per_atom = mean - torch.log(n_atoms.to(lattice.dtype)) / 3.0
    shape = torch.stack([diagonal[..., 0] - mean, diagonal[..., 2] - mean], dim=-1)
    off = torch.stack([log_s[..., i, j] for i, j in _OFF_DIAGONAL], dim=-1)
    return torch.cat([per_atom.unsqueeze(-1), shape, off], dim=-1)


def lattice_from_log_strain(strain: Tensor, n_atoms: Tensor) -> Tensor:
    """Inverse of :func:`log_strain`: symmetric cells, shape ``(batch, 3, 3)``, Angstrom."""
    mean = strain[..., 0] + torch.log(n_atoms.to(strain.dtype)) / 3.0
    first, third = strain[..., 1] + mean, strain[..., 2] + mean
    log_s = torch.diag_embed(torch.stack([first, 3.0 * mean - first - third, third], dim=-1))
    for k, (i, j) in enumerate(_OFF_DIAGONAL):
        log_s[..., i, j] = strain[..., 3 + k]
        log_s[..., j, i] = strain[..., 3 + k]
    # A sampled cell may be absurd; exp must not overflow before validity can say so.
    eigenvalues, vectors = torch.linalg.eigh(log_s)
    stretched = vectors * torch.exp(eigenvalues.clamp(-5.0, 6.0)).unsqueeze(-2)
    cells: Tensor = stretched @ vectors.mT
    return cells
