"""Drawing crystals: ancestral steps from pure noise to t = 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from ray_matdesign.config.schema import Settings
from ray_matdesign.generators.diffusion.batch import CrystalBatch, ScaffoldBatch
from ray_matdesign.generators.diffusion.denoiser import Denoised, Denoiser
from ray_matdesign.generators.diffusion.noise import (
    TYPES_DECIDED_AT,
    cell_signal_and_noise,
    coordinate_sigma,
    mask_probability,
    score_scale,
)


class SamplerOptions(Settings):
    """How to walk back from noise."""

    steps: PositiveInt = 50
    """Network calls for each crystal (twice as many under guidance)."""
    type_temperature: PositiveFloat = 0.7
    """Divides the types' logits; below 1 the likelier elements are favoured."""
    late_noise: NonNegativeFloat = 0.3
    """Scale of the noise put back into cell and coordinates once all types are known; 1 is the
    ancestral sampler, 0 the deterministic limit of its drift."""
    guidance: NonNegativeFloat = 1.0
    """Weight of the conditional answer; 1 follows it, more exaggerates it, 0 ignores it."""
    avoid_known: bool = True
    """Whether a crystal that the training data held, by space group, orbits and elements, is given
    up once its types are decided, and another drawn."""
    min_contact: NonNegativeFloat = 0.8
    """A crystal is given up, and another drawn, where an atom is closer to its nearest neighbour
    than this share of the sum of their covalent radii. One real crystal in 27 has such an atom."""
    max_contact: PositiveFloat = 1.2
    """The same where an atom is further than that from all others, as in one real crystal in 60."""
    final_time: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.02
    """Where to stop; the network has nothing left to remove below it."""


def time_grid(options: SamplerOptions) -> list[float]:
    """Times visited, from 1 down to ``final_time``: ``steps + 1`` of them."""
    span = 1.0 - options.final_time
    return [1.0 - span * k / options.steps for k in range(options.steps + 1)]


def halves(options: SamplerOptions) -> tuple[list[float], list[float]]:
    """The time grid up to where all types are decided, and from there on."""
    grid = time_grid(options)
    decided = next(k for k, time in enumerate(grid) if time <= TYPES_DECIDED_AT)
    return grid[: decided + 1], grid[decided:]


def pure_noise(scaffold: ScaffoldBatch, rng: torch.Generator) -> CrystalBatch:
    """The state at ``t = 1``: standard-normal cells, uniform coordinates, hidden types."""
    strain = torch.randn(len(scaffold), 6, generator=rng)
    free = torch.rand(scaffold.movable.shape, generator=rng)
    return CrystalBatch(
        scaffold=scaffold,
        strain=strain * scaffold.strain_free,
        free=free * scaffold.movable,
        types=torch.zeros_like(scaffold.first),
    )


Reveal = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``(logits (batch, orbits, 119), types now, where to reveal)`` to types."""


@torch.no_grad()
def denoise(
    denoiser: Denoiser,
    state: CrystalBatch,
    times: Sequence[float],
    options: SamplerOptions,
    rng: torch.Generator,
    *,
    reveal: Reveal,
    condition: Tensor | None = None,
) -> CrystalBatch:
    """Walks a batch from noise towards crystals.

    Args:
        denoiser: The network, on any device.
        state: The batch at the first of the times, on the CPU.
        times: Where to go, descending; :func:`time_grid` or a part of it.
        options: How to go there.
        rng: Source of noise, on the CPU.
        reveal: Draws the types of orbits whose turn has come.
        condition: Property values to aim for, shape ``(conditions,)``, NaN where none.

    Returns:
        The batch at the last of the times, on the CPU, cell coordinates standardised; clean if
        that is the end of the grid.
    """
    device = denoiser.strain_mean.device
    end = time_grid(options)[-1]
    told = None if condition is None else condition.expand(len(state), -1).to(device)
    for now, then in pairwise(times):
        time = torch.full((len(state),), now).to(device)
        answer = _guided(denoiser, state.to(device), time, told, options.guidance)
        last = then == end
        state = replace(
            state,
            strain=_step_strain(state, answer.strain.cpu(), now, then, options, rng, last),
            free=_step_free(state, answer.free.cpu(), now, then, options, rng, last),
            types=_step_types(state, answer.logits.cpu(), now, then, options, rng, reveal),
        )
    return state


def _guided(
    denoiser: Denoiser, state: CrystalBatch, time: Tensor, told: Tensor | None, guidance: float
) -> Denoised:
    """Classifier-free guidance (arXiv:2207.12598): away from the unconditional answer."""
    if told is None or guidance == 0.0:
        unconditional: Denoised = denoiser(state, time)
        return unconditional
    towards: Denoised = denoiser(state, time, told)
    if guidance == 1.0:
        return towards
    plain: Denoised = denoiser(state, time)
    return Denoised(
        *(
            torch.lerp(getattr(plain, name), getattr(towards, name), guidance)
            for name in ("strain", "free", "logits")
        )
    )


def _noise_scale(now: float, options: SamplerOptions) -> float:
    # Types are drawn for geometries as noisy as in training; afterwards less noise means fewer
    # atoms that end between two places.
    return options.late_noise if now < TYPES_DECIDED_AT else 1.0


def _step_strain(
    state: CrystalBatch,
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
    clean = alpha * state.strain - sigma * velocity
    noise = alpha * velocity + sigma * state.strain
    if last:
        return clean
    fresh = (
        _noise_scale(now, options)
        * (sigma_next / sigma)
        * torch.sqrt((1.0 - (alpha / alpha_next).square()).clamp(min=0.0))
    )
    kept = torch.sqrt((sigma_next.square() - fresh.square()).clamp(min=0.0))
    drawn = torch.randn(clean.shape, generator=rng) * state.scaffold.strain_free
    return alpha_next * clean + kept * noise + fresh * drawn


def _step_free(
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
    free = state.free + removed * score
    if not last:
        spread = sigma_next * torch.sqrt(removed) / sigma
        noise = torch.randn(free.shape, generator=rng) * state.scaffold.movable
        free = free + _noise_scale(now, options) * spread * state.scaffold.without_drift(noise)
    return torch.remainder(free, 1.0) * state.scaffold.movable


def _step_types(
    state: CrystalBatch,
    logits: Tensor,
    now: float,
    then: float,
    options: SamplerOptions,
    rng: torch.Generator,
    reveal: Reveal,
) -> Tensor:
    """Reveals each hidden orbit with the probability the masking schedule asks for."""
    hidden_now = float(mask_probability(torch.tensor(now)))
    hidden_then = float(mask_probability(torch.tensor(then)))
    hidden = (state.types == 0) & state.scaffold.orbits
    if hidden_now == 0.0 or not bool(hidden.any()):
        return state.types
    draw = torch.rand(state.types.shape, generator=rng)
    chosen = hidden & (draw < 1.0 - hidden_then / hidden_now)
    return reveal(logits / options.type_temperature, state.types, chosen)
