"""MatterGen's denoising loss and MatInvent's deviation from the prior, one value a crystal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ray_matdesign.generators.mattergen.compat import mattergen_modules


@contextmanager
def seeded(seed: int, device: torch.device) -> Any:
    """Makes torch's global random numbers, which MatterGen draws from, those of a seed.

    The state from before is put back afterwards.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def crystal_losses(module: Any, clean: Any, noisy: Any, answer: Any, time: Tensor) -> Tensor:
    """MatterGen's training loss before the mean over the batch, shape ``(n_crystals,)``.

    For the published models ``1.0 cell + 0.1 pos + 1.0 types``: squared errors of the scores (mean
    over the cell's nine entries; mean over three coordinates, sum over atoms), and for the types
    the evidence bound's Kullback-Leibler term plus 0.01 cross-entropy, summed over atoms
    (arXiv:2312.03687, supplementary information). The weights are the checkpoint's.

    Args:
        module: ``DiffusionModule``, whose corruption and loss are used.
        clean: Batch before noising.
        noisy: The same after it.
        answer: The denoiser's output on it.
        time: Shape ``(n_crystals,)``.

    Returns:
        NaN for all where the answer is not finite, over which MatterGen would stumble.
    """
    fields = module.loss_fn.loss_fns
    if not all(bool(answer[name].isfinite().all()) for name in fields):
        return torch.full_like(time, torch.nan)
    parts = mattergen_modules().multi_corruption.apply(
        fns=fields,
        corruption=module.corruption.corruptions,
        x=clean,
        noisy_x=noisy,
        score_model_output=answer,
        batch_idx={name: clean.get_batch_idx(name) for name in fields},
        node_is_unmasked=dict.fromkeys(fields),
        broadcast={"t": time, "batch_size": clean.get_batch_size(), "batch": clean},
    )
    weights = module.loss_fn.loss_weights
    total: Tensor = torch.stack([weights[name] * part for name, part in parts.items()]).sum(0)
    return total


def answer_deviation(answer: Any, prior: Any) -> Tensor:
    """Squared difference of two denoisers' outputs on one noisy batch, shape ``(n_crystals,)``.

    MatInvent's surrogate for the divergence from the prior: cell scores (mean of nine), coordinate
    scores (mean of three, then of atoms) and raw type logits (mean of 101, then of atoms),
    unweighted.
    """
    owner, count = answer.get_batch_idx("pos"), answer.get_batch_size()
    atoms = torch.bincount(owner, minlength=count)

    def over_atoms(name: str) -> Tensor:
        squares: Tensor = (answer[name] - prior[name]).square().mean(-1)
        return squares.new_zeros(count).index_add(0, owner, squares) / atoms

    cell: Tensor = (answer["cell"] - prior["cell"]).square().mean((-1, -2))
    return cell + over_atoms("pos") + over_atoms("atomic_numbers")
