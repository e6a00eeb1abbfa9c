"""Optimisers of the denoiser, and how fast they learn when."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ray_matdesign.config.schema import TrainSettings
from ray_matdesign.generators.diffusion.denoiser import Denoiser


def optimizers(denoiser: Denoiser, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Muon for the message layers' matrices, AdamW for embeddings, heads, norms and biases."""
    matrices = [p for p in denoiser.layers.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in denoiser.parameters() if id(p) not in chosen]
    decay = settings.weight_decay
    return [
        torch.optim.Muon(
            matrices, lr=settings.lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=settings.lr, weight_decay=decay, betas=(0.9, 0.98)),
    ]


def set_rate(chosen: Sequence[torch.optim.Optimizer], step: int, settings: TrainSettings) -> None:
    """Sets the learning rate of one step: :func:`schedule` times ``lr``."""
    for optimizer in chosen:
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * schedule(step, settings)


def schedule(step: int, settings: TrainSettings) -> float:
    """Linear warm-up, plateau, linear decay to zero over the last ``decay_fraction``."""
    decay_steps = max(1, int(settings.steps * settings.decay_fraction))
    return min(
        1.0, (step + 1) / settings.warmup_steps, max(0.0, (settings.steps - step) / decay_steps)
    )
