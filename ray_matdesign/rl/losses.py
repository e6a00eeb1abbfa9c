"""MatInvent's objective: reward-weighted denoising held near the prior."""

from __future__ import annotations

import torch


def matinvent_loss(
    denoise: torch.Tensor,
    deviation: torch.Tensor,
    rewards: torch.Tensor,
    sigma: float,
    offset: float,
) -> torch.Tensor:
    """``mean_i[r_i l_i + sigma (offset - r_i) K_i]`` (arXiv:2511.03112, Eq. 11, as coded there).

    A rewarded crystal is learned, and the policy may leave the prior for it; an unrewarded one
    only ties the policy to the prior.

    Args:
        denoise: Denoising losses ``l``, shape ``(n_crystals,)``.
        deviation: Squared deviations ``K`` from the prior, same shape.
        rewards: ``r`` in [0, 1], same shape.
        sigma: Weight of the deviation.
        offset: The paper's lambda, above 1 so that no crystal is free of the prior.

    Returns:
        Scalar, differentiable in ``denoise`` and ``deviation``.
    """
    return (rewards * denoise + sigma * (offset - rewards) * deviation).mean()
