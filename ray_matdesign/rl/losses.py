"""MatInvent's objective: weighted denoising held near the prior; and the weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ray_matdesign.config.schema import RLSettings

HEAVIEST = 20.0
"""Bound on a weight before they are scaled to a mean of 1 (Peng et al., arXiv:1910.00177)."""


def matinvent_loss(
    denoise: torch.Tensor,
    deviation: torch.Tensor,
    weights: torch.Tensor,
    rewards: torch.Tensor,
    sigma: float,
    offset: float,
) -> torch.Tensor:
    """``mean_i[w_i l_i + sigma (offset - r_i) K_i]`` (arXiv:2511.03112, Eq. 11, as coded there).

    With MatInvent's ``w = r`` a rewarded crystal is learned, and the policy may leave the prior for
    it; an unrewarded one only ties the policy to the prior.

    Args:
        denoise: Denoising losses ``l``, shape ``(n_crystals,)``.
        deviation: Squared deviations ``K`` from the prior, same shape.
        weights: ``w``, same shape; see :func:`lesson_weights`.
        rewards: ``r`` in [0, 1], same shape.
        sigma: Weight of the deviation.
        offset: The paper's lambda, above 1 so that no crystal is free of the prior.

    Returns:
        Scalar, differentiable in ``denoise`` and ``deviation``.
    """
    return (weights * denoise + sigma * (offset - rewards) * deviation).mean()


def lesson_weights(
    rewards: Sequence[float], settings: RLSettings, baseline: float | None
) -> torch.Tensor:
    """How much each crystal's denoising loss counts.

    By reward as in MatInvent, or by advantage (Peng et al., arXiv:1910.00177, Eq. 11):
    ``exp((r - baseline) / temperature)``, bounded, then scaled to the rewards' mean, so that the
    deviation from the prior has the same say either way.

    Args:
        rewards: Penalised, in [0, 1].
        settings: ``weighting`` and ``temperature``.
        baseline: Mean reward of late; ``None`` stands for that of these crystals.

    Returns:
        Shape ``(n_crystals,)``, ``float32``.
    """
    weights = torch.tensor(list(rewards), dtype=torch.float32)
    if settings.weighting == "reward":
        return weights
    level = weights.mean() if baseline is None else baseline
    share = torch.exp((weights - level) / settings.temperature).clamp(max=HEAVIEST)
    return share * (weights.mean() / share.mean())
