"""MatterGen's predictor-corrector sampler, set up as its command line does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.mattergen.batch import MASK_TYPE, blank_batch, to_crystals
from ray_matdesign.generators.mattergen.compat import mattergen_modules

logger = logging.getLogger(__name__)

POS_SNR, CELL_SNR = 0.4, 0.2
"""Signal-to-noise ratios of the Langevin correctors (``sampling_conf/default.yaml``)."""
MAX_LANGEVIN_STEP = 1e6


def build_sampler(module: Any, *, guidance: float, corrector_steps: int) -> Any:
    """A ``GuidedPredictorCorrector``.

    At each of the noise levels the model was trained with, a Langevin corrector on coordinates and
    cell, then an ancestral step on coordinates, cell and types.

    Args:
        module: ``DiffusionModule``; it is sampled on its device.
        guidance: 0 ignores the condition, 1 follows it, more exaggerates it.
        corrector_steps: Langevin steps at each level.
    """
    m = mattergen_modules()
    langevin = {"max_step_size": MAX_LANGEVIN_STEP}
    levels = module.corruption.corruptions["atomic_numbers"].N
    return m.guidance.GuidedPredictorCorrector(
        diffusion_module=module,
        device=next(module.parameters()).device,
        N=levels,
        eps_t=1.0 / levels,
        n_steps_corrector=corrector_steps,
        guidance_scale=guidance,
        remove_conditioning_fn=m.embeddings.SetUnconditionalEmbeddingType(),
        keep_conditioning_fn=m.embeddings.SetConditionalEmbeddingType(),
        predictor_partials={
            "pos": m.wrapped_sampling.WrappedAncestralSamplingPredictor,
            "cell": m.lattice_sampling.LatticeAncestralSamplingPredictor,
            "atomic_numbers": partial(
                m.d3pm_sampling.D3PMAncestralSamplingPredictor, predict_x0=True
            ),
        },
        corrector_partials={
            "pos": partial(m.wrapped_sampling.WrappedLangevinCorrector, snr=POS_SNR, **langevin),
            "cell": partial(
                m.lattice_sampling.LatticeLangevinDiffCorrector, snr=CELL_SNR, **langevin
            ),
        },
    )


def denoise(
    sampler: Any, sizes: Sequence[int], condition: Mapping[str, float | str]
) -> list[Crystal | None]:
    """Draws one crystal of each size.

    A cell that has run away (an untrained network does that) can stop the network for its whole
    batch; so can a batch too large for the memory. Such a batch is halved and drawn again, down to
    single crystals.

    Args:
        sampler: From :func:`build_sampler`.
        sizes: Atoms of each.
        condition: Property values, by MatterGen's names.

    Returns:
        In the order of ``sizes``; ``None`` where no crystal came out.
    """
    try:
        _, clean = sampler.sample(blank_batch(sizes, condition), None)
    except (IndexError, RuntimeError, ValueError) as error:
        if len(sizes) == 1:
            logger.warning("a crystal of %d atoms was lost: %s", sizes[0], error)
            return [None]
        half = len(sizes) // 2
        first = denoise(sampler, sizes[:half], condition)
        return first + denoise(sampler, sizes[half:], condition)
    return to_crystals(clean)


def element_mask(elements: Collection[int]) -> Callable[..., Tensor]:
    """What to set as a denoiser's ``element_mask_func``: no other element is ever sampled.

    MatterGen's own mask (no noble gases, no radioactive elements, and within the chemical system
    conditioned on) is applied first.

    Args:
        elements: Atomic numbers.
    """
    # Column k of the logits is atomic number k + 1; the last is the undecided type.
    allowed = torch.zeros(1, MASK_TYPE)
    allowed[0, [number - 1 for number in elements]] = 1.0
    denoiser = mattergen_modules().denoiser

    def mask(logits: Tensor, x: Any = None, batch_idx: Tensor | None = None) -> Tensor:
        logits = denoiser.mask_disallowed_elements(logits=logits, x=x, batch_idx=batch_idx)
        masked: Tensor = denoiser.mask_logits(logits, allowed.to(logits.device))
        return masked

    return mask


def draw_sizes(wanted: int | Mapping[int, float] | None, n: int, rng: torch.Generator) -> list[int]:
    """Numbers of atoms of ``n`` cells.

    Args:
        wanted: One number, relative frequencies, or ``None`` for those of Alex-MP-20.
        n: How many.
        rng: Of the draw.
    """
    if isinstance(wanted, int):
        return [wanted] * n
    shares = wanted or mattergen_modules().sizes.NUM_ATOMS_DISTRIBUTIONS["ALEX_MP_20"]
    sizes = torch.tensor(list(shares))
    odds = torch.tensor(list(shares.values()), dtype=torch.float64)
    drawn: list[int] = sizes[torch.multinomial(odds, n, replacement=True, generator=rng)].tolist()
    return drawn
