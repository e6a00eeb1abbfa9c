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


@dataclass(frozen=True)
class NoisyBatch:
    """A noised batch and what the network ought to answer.

    Attributes:
        crystals: Noisy; the cell coordinates are standardised.
        time: Shape ``(batch,)``.
        strain_velocity: ``alpha * noise - sigma * clean``, shape ``(batch, 6)``.
        frac_score: Coordinate score over its root mean square, shape ``(batch, atoms, 3)``.
        types: Clean atomic numbers, shape ``(batch, atoms)``.
        hidden: True where the type was masked, shape ``(batch, atoms)``.
    """

    crystals: CrystalBatch
    time: Tensor
    strain_velocity: Tensor
    frac_score: Tensor
    types: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class LossWeights:
    """Relative weight of the three losses, each of which is near 1 for an untrained network."""

    strain: float = 1.0
    frac: float = 1.0
    types: float = 0.3


def add_noise(
    clean: CrystalBatch, time: Tensor, denoiser: Denoiser, rng: torch.Generator
) -> NoisyBatch:
    """Noises each crystal to its own time.

    Coordinate noise has no common translation, which no denoiser that is blind to translations
    could ever predict.

    Args:
        clean: Crystals, cell coordinates not standardised.
        time: Shape ``(batch,)``, in (0, 1].
        denoiser: Holds the standardisation.
        rng: Source of the noise, on the CPU so that every device sees the same.
    """
    device = clean.strain.device

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=rng, dtype=like.dtype).to(device)

    n_atoms, atoms = clean.n_atoms, clean.mask.unsqueeze(-1)
    alpha, sigma = cell_signal_and_noise(time.unsqueeze(-1))
    strain = (clean.strain - denoiser.strain_mean) / denoiser.strain_std
    strain_noise = normal(strain)

    frac_sigma = coordinate_sigma(time, n_atoms)[:, None, None]
    displacement = normal(clean.frac) * atoms
    displacement = displacement - displacement.sum(1, keepdim=True) / n_atoms[:, None, None]
    displacement = displacement * frac_sigma * atoms
    score = wrapped_normal_score(displacement, frac_sigma.expand_as(displacement))
    score = score / score_scale(frac_sigma) * atoms

    draw = torch.rand(clean.types.shape, generator=rng).to(device)
    hidden = (draw < mask_probability(time).unsqueeze(-1)) & clean.mask
    noisy = CrystalBatch(
        strain=alpha * strain + sigma * strain_noise,
        frac=torch.remainder(clean.frac + displacement, 1.0),
        types=torch.where(hidden, 0, clean.types),
        mask=clean.mask,
    )
    velocity = alpha * strain_noise - sigma * strain
    return NoisyBatch(noisy, time, velocity, score, clean.types, hidden)


def crystal_losses(noisy: NoisyBatch, answer: Denoised, weights: LossWeights) -> dict[str, Tensor]:
    """Loss of each part and their weighted sum ``total``, each of shape ``(batch,)``.

    The type loss is the masked cross-entropy over the *expected* number of hidden atoms, which is
    the evidence bound's weighting for a linear masking schedule (arXiv:2406.04329, Eq. 10).
    """
    n_atoms = noisy.crystals.n_atoms.to(answer.strain.dtype)
    strain = (answer.strain - noisy.strain_velocity).square().mean(-1)
    # One-atom cells have no coordinates to learn, and cells of n have n - 1: both are scaled away.
    freedom = (n_atoms - 1.0).clamp(min=1.0)
    frac = (answer.frac - noisy.frac_score).square().mean(-1).sum(-1) / freedom
    entropy = functional.cross_entropy(
        answer.logits.flatten(0, 1), noisy.types.flatten(), reduction="none"
    ).view_as(noisy.types)
    expected = (mask_probability(noisy.time) * n_atoms).clamp(min=1.0)
    types = (entropy * noisy.hidden).sum(-1) / expected
    total = weights.strain * strain + weights.frac * frac + weights.types * types
    return {"total": total, "strain": strain, "frac": frac, "types": types}


def answer_deviation(noisy: NoisyBatch, answer: Denoised, prior: Denoised) -> Tensor:
    """Squared difference of two networks' answers to one noisy batch, shape ``(batch,)``.

    MatInvent's surrogate for the divergence from the prior: cell, coordinates and raw logits,
    unweighted, means over components and over atoms.
    """
    atoms = noisy.crystals.mask.to(answer.strain.dtype)
    share = atoms / atoms.sum(-1, keepdim=True)
    strain = (answer.strain - prior.strain).square().mean(-1)
    frac = ((answer.frac - prior.frac).square().mean(-1) * share).sum(-1)
    logits = ((answer.logits - prior.logits).square().mean(-1) * share).sum(-1)
    return strain + frac + logits
