"""Noise: how crystals are destroyed, and the exact quantities needed to undo it.

Three processes share one time ``t`` in (0, 1]; 1 is pure noise.

* Fractional coordinates: wrapped-normal, variance-exploding (DiffCSP, arXiv:2309.04475, Eq. 6 on),
  with the standard deviation scaled by ``n_atoms ** (-1/3)`` so that it means the same length in
  crystals of every size (MatterGen, arXiv:2312.03687).
* Cell: variance-preserving on six standardised logarithmic strains (see
  :mod:`~ray_matdesign.generators.diffusion.lattice`).
* Atom types: masking (absorbing-state discrete diffusion, D3PM, arXiv:2107.03006). Types are
  decided in the first half of the reverse process, while three quarters of the geometric noise
  are still there: what is where is settled before how far apart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SIGMA_MIN = 0.005
"""Coordinate noise of a one-atom cell at ``t = 0``, fractional units."""
SIGMA_MAX = 1.25
"""The same at ``t = 1``; 0.46 in a 20-atom cell, where a wrapped normal is uniform to 3 %."""
TYPES_DECIDED_AT = 0.5
"""Time below which no atom is masked."""
NOISE_LEFT_THEN = 0.75
"""How far along the schedules of cell and coordinates are at that time."""
_BROAD_SIGMA = 0.55
_IMAGES = 12


def geometric_progress(time: Tensor) -> Tensor:
    """How far cell and coordinates are on the way to pure noise, 0 to 1; linear in two pieces."""
    early = time * (NOISE_LEFT_THEN / TYPES_DECIDED_AT)
    slope = (1.0 - NOISE_LEFT_THEN) / (1.0 - TYPES_DECIDED_AT)
    late = NOISE_LEFT_THEN + (time - TYPES_DECIDED_AT) * slope
    return torch.where(time < TYPES_DECIDED_AT, early, late)


def coordinate_sigma(time: Tensor, n_atoms: Tensor) -> Tensor:
    """Standard deviation of coordinate noise, fractional units; shapes broadcast."""
    progress = geometric_progress(time)
    per_cell = SIGMA_MIN ** (1.0 - progress) * SIGMA_MAX**progress
    return per_cell * n_atoms.to(time.dtype) ** (-1.0 / 3.0)


def cell_signal_and_noise(time: Tensor) -> tuple[Tensor, Tensor]:
    """``(alpha, sigma)`` of the cell's cosine schedule, ``alpha^2 + sigma^2 = 1``."""
    angle = 0.5 * math.pi * geometric_progress(time).clamp(max=0.999)
    return torch.cos(angle), torch.sin(angle)


def mask_probability(time: Tensor) -> Tensor:
    """Probability that an atom's type is hidden."""
    return ((time - TYPES_DECIDED_AT) / (1.0 - TYPES_DECIDED_AT)).clamp(0.0, 1.0)


def wrap(displacement: Tensor) -> Tensor:
    """Nearest periodic image, in [-0.5, 0.5)."""
    return displacement - torch.floor(displacement + 0.5)


def wrapped_normal_score(displacement: Tensor, sigma: Tensor) -> Tensor:
    """Gradient of the log density of a wrapped normal, per coordinate.

    Args:
        displacement: Noisy minus clean coordinate, any shape.
        sigma: Standard deviation, broadcastable to ``displacement``.
    """
    wrapped = wrap(displacement)
    variance = sigma * sigma
    shifts = torch.arange(-3, 4, dtype=wrapped.dtype, device=wrapped.device)
    distances = wrapped.unsqueeze(-1) + shifts
    weights = torch.softmax(-0.5 * distances.square() / variance.unsqueeze(-1), dim=-1)
    narrow = -(weights * distances).sum(-1) / variance
    # A sum over images converges for narrow noise, a Fourier series for broad noise; where they
    # meet, each is exact to 1e-4 of the score's own size.
    damping = torch.exp(-2.0 * math.pi**2 * variance)
    angle = 2.0 * math.pi * wrapped
    broad = -4.0 * math.pi * damping * angle.sin() / (1.0 + 2.0 * damping * angle.cos())
    return torch.where(sigma < _BROAD_SIGMA, narrow, broad)


def score_scale(sigma: Tensor) -> Tensor:
    """Root mean square of :func:`wrapped_normal_score` at each ``sigma``.

    Dividing by it gives every noise level a target of unit variance (DiffCSP, Eq. 8).
    Interpolated from a table computed by quadrature at first use.
    """
    log_sigma, log_scale = _score_table(sigma.device, sigma.dtype)
    position = (torch.log(sigma) - log_sigma[0]) / (log_sigma[1] - log_sigma[0])
    position = position.clamp(0.0, len(log_sigma) - 1.001)
    low = position.floor().long()
    fraction = position - low
    return torch.exp(log_scale[low] * (1.0 - fraction) + log_scale[low + 1] * fraction)


_tables: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}


def _score_table(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    key = (device, dtype)
    if key not in _tables:
        log_sigma = torch.linspace(math.log(1e-4), math.log(2.0), 400, dtype=torch.float64)
        sigma = log_sigma.exp().unsqueeze(-1)
        # Where sigma is small the density fills only the middle: integrate over 8 sigma.
        half_width = (8.0 * sigma).clamp(max=0.5)
        grid = torch.linspace(-1.0, 1.0, 2001, dtype=torch.float64) * half_width
        shifts = torch.arange(-_IMAGES, _IMAGES + 1, dtype=torch.float64)
        distance = grid.unsqueeze(-1) + shifts
        density = torch.exp(-0.5 * (distance / sigma.unsqueeze(-1)).square())
        slope = -(density * distance).sum(-1) / sigma.square()
        density = density.sum(-1)
        mean_square = (slope.square() / density).sum(-1) / density.sum(-1)
        log_scale = 0.5 * torch.log(mean_square.clamp(min=1e-300))
        # Beyond the largest sigma in use the score is numerically zero; a floor keeps the target
        # finite without changing any level that carries signal.
        log_scale = log_scale.clamp(min=math.log(1e-3))
        _tables[key] = (log_sigma.to(device, dtype), log_scale.to(device, dtype))
    return _tables[key]
