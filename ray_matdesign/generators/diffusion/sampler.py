"""Drawing crystals: ancestral steps from pure noise to t = 0."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as validated
from torch import Tensor

from ray_matdesign.generators.diffusion.batch import CrystalBatch
from ray_matdesign.generators.diffusion.denoiser import N_TYPES, Denoised, Denoiser
from ray_matdesign.generators.diffusion.noise import (
    cell_signal_and_noise,
    coordinate_sigma,
    mask_probability,
    score_scale,
)


@validated(frozen=True, config=ConfigDict(extra="forbid"))
class SamplerOptions:
    """How to walk back from noise.

    Attributes:
        steps: Network calls for each crystal.
        type_temperature: Divides the types' logits; below 1 the likelier elements are favoured.
            0.8 gave more stable crystals than 1 did (39 against 33 of 96).
        frac_noise: Scale of the noise put back into coordinates; 1 is the ancestral sampler, 0 the
            deterministic limit of its drift.
        strain_noise: The same for the cell.
        final_time: Where to stop; the network has nothing left to remove below it.
    """

    steps: int = 150
    type_temperature: float = 0.8
    frac_noise: float = 1.0
    strain_noise: float = 1.0
    final_time: float = 0.02


def time_grid(options: SamplerOptions) -> list[float]:
    """Times visited, from 1 down to ``final_time``: ``steps + 1`` of them."""
    span = 1.0 - options.final_time
    return [1.0 - span * k / options.steps for k in range(options.steps + 1)]


def pure_noise(n_atoms: Tensor, rng: torch.Generator) -> CrystalBatch:
    """The state at ``t = 1``: standard-normal cells, uniform coordinates, hidden types."""
    largest = int(n_atoms.max())
    batch = len(n_atoms)
    return CrystalBatch(
        strain=torch.randn(batch, 6, generator=rng),
        frac=torch.rand(batch, largest, 3, generator=rng),
        types=torch.zeros(batch, largest, dtype=torch.long),
        mask=torch.arange(largest) < n_atoms.unsqueeze(-1),
    )


@torch.no_grad()
def denoise(
    denoiser: Denoiser,
    state: CrystalBatch,
    options: SamplerOptions,
    rng: torch.Generator,
    *,
    elements: Sequence[int],
) -> CrystalBatch:
    """Walks a batch from noise to crystals.

    Args:
        denoiser: The network, on any device.
        state: From :func:`pure_noise`, on the CPU.
        options: The walk.
        rng: Source of noise, on the CPU.
        elements: Atomic numbers that may be drawn.

    Returns:
        A clean batch on the CPU, cell coordinates standardised.
    """
    device = denoiser.strain_mean.device
    grid = time_grid(options)
    forbidden = torch.full((N_TYPES,), -torch.inf)
    forbidden[list(elements)] = 0.0
    for now, then in pairwise(grid):
        time = torch.full((len(state),), now)
        answer = denoiser(state.to(device), time.to(device))
        answer = Denoised(answer.strain.cpu(), answer.frac.cpu(), answer.logits.cpu())
        last = then == grid[-1]
        state = CrystalBatch(
            strain=_step_strain(state.strain, answer.strain, now, then, options, rng, last),
            frac=_step_frac(state, answer.frac, now, then, options, rng, last),
            types=_step_types(state, answer.logits + forbidden, now, then, options, rng),
            mask=state.mask,
        )
    return state


def _step_strain(
    strain: Tensor,
    velocity: Tensor,
    now: float,
    then: float,
    options: SamplerOptions,
    rng: torch.Generator,
    last: bool,
) -> Tensor:
    """DDPM ancestral step in the variance-preserving parametrisation (arXiv:2010.02502, Eq. 12)."""
    alpha, sigma = cell_signal_and_noise(torch.tensor(now))
    alpha_next, sigma_next = cell_signal_and_noise(torch.tensor(then))
    clean = alpha * strain - sigma * velocity
    noise = alpha * velocity + sigma * strain
    if last:
        return clean
    fresh = (
        options.strain_noise
        * (sigma_next / sigma)
        * torch.sqrt((1.0 - (alpha / alpha_next).square()).clamp(min=0.0))
    )
    kept = torch.sqrt((sigma_next.square() - fresh.square()).clamp(min=0.0))
    return alpha_next * clean + kept * noise + fresh * torch.randn(strain.shape, generator=rng)


def _step_frac(
    state: CrystalBatch,
    scaled_score: Tensor,
    now: float,
    then: float,
    options: SamplerOptions,
    rng: torch.Generator,
    last: bool,
) -> Tensor:
    """Ancestral step of the variance-exploding process (arXiv:2011.13456, Eq. 47)."""
    n_atoms = state.n_atoms
    sigma = coordinate_sigma(torch.full((len(state),), now), n_atoms)[:, None, None]
    sigma_next = coordinate_sigma(torch.full((len(state),), then), n_atoms)[:, None, None]
    score = scaled_score * score_scale(sigma)
    removed = sigma.square() - (0.0 if last else 1.0) * sigma_next.square()
    frac = state.frac + removed * score
    if not last:
        spread = sigma_next * torch.sqrt(removed) / sigma
        noise = torch.randn(frac.shape, generator=rng) * state.mask.unsqueeze(-1)
        noise = noise - noise.sum(1, keepdim=True) / n_atoms[:, None, None]
        frac = frac + options.frac_noise * spread * noise
    return torch.remainder(frac, 1.0) * state.mask.unsqueeze(-1)


def _step_types(
    state: CrystalBatch,
    logits: Tensor,
    now: float,
    then: float,
    options: SamplerOptions,
    rng: torch.Generator,
) -> Tensor:
    """Reveals each hidden atom with the probability the masking schedule asks for."""
    hidden_now = float(mask_probability(torch.tensor(now)))
    hidden_then = float(mask_probability(torch.tensor(then)))
    hidden = (state.types == 0) & state.mask
    if hidden_now == 0.0 or not bool(hidden.any()):
        return state.types
    draw = torch.rand(state.types.shape, generator=rng)
    reveal = hidden & (draw < 1.0 - hidden_then / hidden_now)
    probabilities = torch.softmax(logits / options.type_temperature, dim=-1).flatten(0, 1)
    drawn = torch.multinomial(probabilities, 1, generator=rng).view_as(state.types)
    return torch.where(reveal, drawn, state.types)
