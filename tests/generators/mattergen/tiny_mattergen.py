"""Networks of some thousand weights, built from MatterGen's own classes.

Modules of tests import this first: it skips them where MatterGen is not installed.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
import yaml

pytest.importorskip("mattergen", reason="MatterGen is not installed: see docs/mattergen.md")

from ray_matdesign.config.schema import GeneratorSettings
from ray_matdesign.generators.mattergen.batch import blank_batch, to_crystals
from ray_matdesign.generators.mattergen.checkpoint import build_module, save_checkpoint
from ray_matdesign.generators.mattergen.compat import mattergen_modules
from ray_matdesign.generators.mattergen.losses import seeded
from ray_matdesign.generators.mattergen.policy import load
from ray_matdesign.generators.mattergen.shape import MatterGenShape, shape_config

mattergen_modules()  # takes seconds, which no test's deadline should count

TINY = {
    "hidden_dim": 16,
    "num_blocks": 1,
    "max_neighbors": 5,
    "num_radial": 8,
    "emb_size_trip": 8,
    "emb_size_bil_trip": 8,
    "emb_size_rbf": 4,
    "emb_size_cbf": 4,
    "noise_levels": 12,
}


def tiny_config(**changes) -> dict:
    """Configuration of a tiny network whose cells stay bounded although it knows nothing."""
    config = shape_config(MatterGenShape(**{**TINY, **changes}))
    # MatterGen's cell noise grows 150-fold when run backwards, which a trained network undoes.
    sdes = config["lightning_module"]["diffusion_module"]["corruption"]["sdes"]
    sdes["cell"]["vpsde_config"]["beta_max"] = 0.5
    return config


def write_checkpoint(folder, config, change=lambda module: None):
    """Saves an untrained network; ``change`` may touch its weights first.

    Its outputs are made as large as a trained network's: Langevin steps are the longer, the smaller
    the score, and would tear the cells apart.
    """
    torch.manual_seed(0)
    module = build_module(config, "test")
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "out_forces" in name:
                weight.mul_(30.0)
        change(module)
    save_checkpoint(folder, module, config)
    return folder


def policy_of(folder, *, constraints=None, condition=None, **options):
    settings = {
        "name": "mattergen",
        "checkpoint": str(folder),
        "options": options,
        "constraints": constraints or {},
        "condition": condition or {},
    }
    return load(GeneratorSettings.model_validate(settings))


def conditional_config() -> dict:
    """A configuration with adapters for two numbers and the chemical system."""
    config = tiny_config(conditions=("dft_band_gap", "dft_mag_density"))
    model = config["lightning_module"]["diffusion_module"]["model"]
    adapters = model["property_embeddings_adapt"]
    embedding = "mattergen.property_embeddings.ChemicalSystemMultiHotEmbedding"
    adapters["chemical_system"] = {
        **adapters["dft_band_gap"],
        "name": "chemical_system",
        "conditional_embedding_module": {"_target_": embedding, "hidden_dim": 16},
        "scaler": {"_target_": "torch.nn.Identity"},
    }
    model["gemnet"]["condition_on_adapt"] = list(adapters)
    return config


SAMPLING = """
_target_: mattergen.diffusion.sampling.classifier_free_guidance.GuidedPredictorCorrector
N: {levels}
eps_t: {last}
n_steps_corrector: 1
guidance_scale: {guidance}
remove_conditioning_fn:
  _target_: mattergen.property_embeddings.SetUnconditionalEmbeddingType
keep_conditioning_fn:
  _target_: mattergen.property_embeddings.SetConditionalEmbeddingType
predictor_partials:
  pos:
    _target_: {wrapped}.WrappedAncestralSamplingPredictor
    _partial_: true
  cell:
    _target_: mattergen.common.diffusion.predictors_correctors.LatticeAncestralSamplingPredictor
    _partial_: true
  atomic_numbers:
    _target_: mattergen.diffusion.d3pm.d3pm_predictors_correctors.D3PMAncestralSamplingPredictor
    predict_x0: True
    _partial_: true
corrector_partials:
  pos:
    _target_: {wrapped}.WrappedLangevinCorrector
    _partial_: true
    max_step_size: 1000000.0
    snr: 0.4
  cell:
    _target_: mattergen.common.diffusion.predictors_correctors.LatticeLangevinDiffCorrector
    _partial_: true
    max_step_size: 1000000.0
    snr: 0.2
_partial_: true
"""
"""What ``mattergen-generate`` samples with."""


def same(first, second):
    return len(first) == len(second) and all(
        np.array_equal(a.lattice, b.lattice)
        and np.array_equal(a.frac_coords, b.frac_coords)
        and np.array_equal(a.numbers, b.numbers)
        for a, b in zip(first, second, strict=True)
    )


def mattergens_own(folder, sizes, condition, guidance, seed):
    """Crystals from MatterGen's own loader and sampler, with its command line's element mask."""
    import hydra
    from mattergen.common.utils.data_classes import MatterGenCheckpointInfo

    before = logging.getLogger().handlers[:]
    from mattergen.common.utils.eval_utils import load_model_diffusion

    logging.getLogger().handlers[:] = before  # it configures logging when imported
    target = "mattergen.denoiser.mask_disallowed_elements"
    override = "++lightning_module.diffusion_module.model.element_mask_func="
    info = MatterGenCheckpointInfo(
        model_path=folder, config_overrides=[f"{override}{{_target_:'{target}',_partial_:True}}"]
    )
    model = load_model_diffusion(info)
    levels = model.diffusion_module.corruption.corruptions["atomic_numbers"].N
    wrapped = "mattergen.diffusion.wrapped.wrapped_predictors_correctors"
    text = SAMPLING.format(levels=levels, last=1 / levels, guidance=guidance, wrapped=wrapped)
    make = hydra.utils.instantiate(yaml.safe_load(text))
    sampler = make(diffusion_module=model.diffusion_module, device=torch.device("cpu"))
    with seeded(seed, torch.device("cpu")):
        _, clean = sampler.sample(blank_batch(sizes, condition), None)
    return to_crystals(clean)
