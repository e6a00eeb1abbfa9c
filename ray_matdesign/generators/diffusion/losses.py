"""Forward noising and the denoising losses, one value for each crystal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ray_matdesign.generators.diffusion.batch import CrystalBatch
from ray_matdesign.generators.diffusion.denoiser import Denoised, Denoiser
from ray_matdesign.generators.diffusion.noise import (
    cell_signal_and_noise,
    coordinate_sigma,
    mask_probability,
    score_scale,
    wrapped_normal_score,
)
from ray_matdesign.generators.protocol import EVERY

_USUAL_FREEDOM = 5.0


@dataclass(frozen=True)
class NoisyBatch:
    """A noised batch and what the network ought to answer.

    Attributes:
        crystals: Noisy; the cell coordinates are standardised, 0 where pinned.
        time: Shape ``(batch,)``.
        strain_velocity: ``alpha * noise - sigma * clean``, shape ``(batch, 6)``.
        free_score: Score of the free coordinates over its root mean square, shape
            ``(batch, orbits, 3)``.
        types: Clean atomic numbers, shape ``(batch, orbits)``.
        hidden: True where the type was masked, shape ``(batch, orbits)``.
    """

    crystals: CrystalBatch
    time: Tensor
    strain_velocity: Tensor
    free_score: Tensor
    types: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class LossWeights:
    """Relative weight of the three losses, each of which is near 1 for an untrained network."""

    strain: float = 1.0
    free: float = 1.0
    types: float = 0.3


@dataclass(frozen=True)
class Noise:
    """Random numbers that noise a batch, apart from the crystals they will act on.

    Attributes:
        strain: Standard normal, shape ``(batch, 6)``.
        free: Standard normal, shape ``(batch, orbits, 3)``.
        hide: Uniform in [0, 1), shape ``(batch, orbits)``.
    """

    strain: Tensor
    free: Tensor
    hide: Tensor

    def rows(self, index: Tensor, orbits: int) -> Noise:
        """Of some crystals, with no more orbits than they have."""
        return Noise(self.strain[index], self.free[index, :orbits], self.hide[index, :orbits])

    def to(self, device: torch.device) -> Noise:
        """The same numbers on another device."""
        return Noise(self.strain.to(device), self.free.to(device), self.hide.to(device))


def draw_noise(batch: int, orbits: int, rng: torch.Generator) -> Noise:
    """Draws for a batch, on the CPU, so that every device sees the same."""
    return Noise(
        strain=torch.randn(batch, 6, generator=rng),
        free=torch.randn(batch, orbits, 3, generator=rng),
        hide=torch.rand(batch, orbits, generator=rng),
    )


def add_noise(
    clean: CrystalBatch,
    time: Tensor,
    denoiser: Denoiser,
    rng: torch.Generator,
    rows: slice = EVERY,
) -> NoisyBatch:
    """Noises each crystal to its own time with numbers just drawn, for all whatever the rows.

    See :func:`apply_noise`.
    """
    noise = draw_noise(len(clean), clean.types.shape[1], rng)
    if rows != EVERY:
        index = torch.arange(len(clean))[rows]
        clean, time = clean.rows(index), time[index]
        noise = noise.rows(index, clean.types.shape[1])
    return apply_noise(clean, time, denoiser, noise.to(clean.strain.device))


def apply_noise(clean: CrystalBatch, time: Tensor, denoiser: Denoiser, noise: Noise) -> NoisyBatch:
    """Noises each crystal to its own time.

    Noise keeps the symmetry, and has no common translation, which no denoiser that is blind to
    translations could ever predict.

    Args:
        clean: Crystals, cell coordinates not standardised.
        time: Shape ``(batch,)``, in (0, 1].
        denoiser: Holds the standardisation.
        noise: On the device of the crystals.
    """
    scaffold = clean.scaffold
    alpha, sigma = cell_signal_and_noise(time.unsqueeze(-1))
    strain = (clean.strain - denoiser.strain_mean) / denoiser.strain_std * scaffold.strain_free
    strain_noise = noise.strain.to(strain.dtype) * scaffold.strain_free

    free_sigma = coordinate_sigma(time, clean.n_atoms)[:, None, None]
    displacement = (
        scaffold.without_drift(noise.free.to(clean.free.dtype) * scaffold.movable) * free_sigma
    )
    score = wrapped_normal_score(displacement, free_sigma.expand_as(displacement))
    score = score / score_scale(free_sigma) * scaffold.movable

    hidden = (noise.hide < mask_probability(time).unsqueeze(-1)) & scaffold.orbits
    noisy = CrystalBatch(
        scaffold=scaffold,
        strain=alpha * strain + sigma * strain_noise,
        free=torch.remainder(clean.free + displacement, 1.0),
        types=torch.where(hidden, 0, clean.types),
    )
    velocity = alpha * strain_noise - sigma * strain
    return NoisyBatch(noisy, time, velocity, score, clean.types, hidden)


def crystal_losses(noisy: NoisyBatch, answer: Denoised, weights: LossWeights) -> dict[str, Tensor]:
    """Loss of each part and their weighted sum ``total``, each of shape ``(batch,)``.

    The cell's is a mean over what symmetry leaves free. The coordinates' is one too, times the
    square root of how much that is (over its usual number): the sum, which the likelihood asks for,
    would drown the small crystals, and the mean the large ones.
    The type loss is the masked cross-entropy over the *expected* number of hidden orbits, which is
    the evidence bound's weighting for a linear masking schedule (arXiv:2406.04329, Eq. 10).
    """
    scaffold = noisy.crystals.scaffold
    strain = (answer.strain - noisy.strain_velocity).square().sum(-1)
    strain = strain / scaffold.strain_free.sum(-1)
    free = (answer.free - noisy.free_score).square().sum((1, 2))
    free = free / (scaffold.freedom.clamp(min=1.0) * _USUAL_FREEDOM).sqrt()
    entropy = functional.cross_entropy(
        answer.logits.flatten(0, 1), noisy.types.flatten(), reduction="none"
    ).view_as(noisy.types)
    expected = (mask_probability(noisy.time) * scaffold.orbits.sum(-1)).clamp(min=1.0)
    types = (entropy * noisy.hidden).sum(-1) / expected
    total = weights.strain * strain + weights.free * free + weights.types * types
    return {"total": total, "strain": strain, "free": free, "types": types}


def answer_deviation(noisy: NoisyBatch, answer: Denoised, prior: Denoised) -> Tensor:
    """Squared difference of two networks' answers to one noisy batch, shape ``(batch,)``.

    MatInvent's surrogate for the divergence from the prior: cell, coordinates and raw logits,
    unweighted, means over what is free and over orbits.
    """
    scaffold = noisy.crystals.scaffold
    strain = (answer.strain - prior.strain).square().sum(-1) / scaffold.strain_free.sum(-1)
    free = (answer.free - prior.free).square().sum((1, 2)) / scaffold.freedom.clamp(min=1.0)
    orbits = scaffold.orbits.to(strain.dtype)
    logits = (answer.logits - prior.logits).square().mean(-1) * orbits
    return strain + free + logits.sum(-1) / orbits.sum(-1)
