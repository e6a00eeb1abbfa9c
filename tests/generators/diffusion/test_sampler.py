"""The sampler with a denoiser whose exact answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.diffusion.batch import CrystalBatch, collate
from ray_matdesign.generators.diffusion.denoiser import Denoised, Denoiser, DenoiserShape
from ray_matdesign.generators.diffusion.noise import (
    cell_signal_and_noise,
    coordinate_sigma,
    score_scale,
    wrapped_normal_score,
)
from ray_matdesign.generators.diffusion.sampler import (
    SamplerOptions,
    denoise,
    pure_noise,
    time_grid,
)


class KnowsOneCrystal(Denoiser):
    """Answers as the ideal network would if the data held a single crystal."""

    def __init__(self, target: CrystalBatch) -> None:
        super().__init__(DenoiserShape(width=4, layers=1), torch.zeros(6), torch.ones(6))
        self.target = target

    def forward(self, batch: CrystalBatch, time: torch.Tensor) -> Denoised:
        alpha, sigma = cell_signal_and_noise(time.unsqueeze(-1))
        noise = (batch.strain - alpha * self.target.strain) / sigma
        frac_sigma = coordinate_sigma(time, batch.n_atoms)[:, None, None]
        moved = batch.frac - self.target.frac
        # Of all translations of the crystal, the one that puts its first atom where it is now.
        moved = moved - moved[:, :1]
        score = wrapped_normal_score(moved, frac_sigma.expand_as(moved)) / score_scale(frac_sigma)
        logits = 50.0 * torch.nn.functional.one_hot(self.target.types, 119).float()
        return Denoised(alpha * noise - sigma * self.target.strain, score, logits)


@pytest.mark.parametrize("steps", [20, 100])
def test_an_ideal_denoiser_yields_its_crystal(perovskite: Crystal, steps: int) -> None:
    copies = collate([perovskite] * 4)
    rng = torch.Generator().manual_seed(5)
    noise = pure_noise(copies.n_atoms, rng)
    options = SamplerOptions(steps=steps)
    clean = denoise(KnowsOneCrystal(copies), noise, options, rng, elements=[8, 22, 56])
    assert torch.equal(clean.types, copies.types)
    assert torch.allclose(clean.strain, copies.strain, atol=1e-3)
    relative = clean.frac - clean.frac[:, :1] - (copies.frac - copies.frac[:, :1])
    assert (relative - relative.round()).abs().max() < 0.02


def test_only_elements_of_the_training_data_are_drawn() -> None:
    torch.manual_seed(0)
    network = Denoiser(DenoiserShape(width=8, layers=1), torch.zeros(6), torch.ones(6))
    rng = torch.Generator().manual_seed(0)
    noise = pure_noise(torch.tensor([5, 20, 1]), rng)
    clean = denoise(network, noise, SamplerOptions(steps=7), rng, elements=[3, 8])
    assert set(clean.types[clean.mask].tolist()) <= {3, 8}
    assert not bool(clean.types[~clean.mask].any())


def test_the_walk_starts_at_noise_and_stops_where_told() -> None:
    grid = time_grid(SamplerOptions(steps=4, final_time=0.2))
    assert grid == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    assert np.all(np.diff(grid) < 0)
