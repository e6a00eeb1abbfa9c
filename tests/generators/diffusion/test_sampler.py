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
from ray_matdesign.generators.diffusion.symmetry import symmetrise, without_symmetry


class KnowsOneCrystal(Denoiser):
    """Answers as the ideal network would if the data held a single crystal."""

    def __init__(self, target: CrystalBatch) -> None:
        super().__init__(DenoiserShape(width=4, layers=1), torch.zeros(6), torch.ones(6))
        self.target = target

    def forward(
        self, batch: CrystalBatch, time: torch.Tensor, condition: torch.Tensor | None = None
    ) -> Denoised:
        alpha, sigma = cell_signal_and_noise(time.unsqueeze(-1))
        free = batch.scaffold.strain_free
        clean = self.target.strain * free
        noise = (batch.strain - alpha * clean) / sigma
        free_sigma = coordinate_sigma(time, batch.n_atoms)[:, None, None]
        moved = batch.free - self.target.free
        if batch.scaffold.group[0] == 1:
            # Of all translations of the crystal, the one that puts its first atom where it is now.
            moved = moved - moved[:, :1]
        score = wrapped_normal_score(moved, free_sigma.expand_as(moved)) / score_scale(free_sigma)
        logits = 50.0 * torch.nn.functional.one_hot(self.target.types, 119).float()
        return Denoised(alpha * noise - sigma * clean, score * batch.scaffold.movable, logits)


def first_guess(logits: torch.Tensor, types: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    return torch.where(chosen, logits.argmax(-1), types)


@pytest.mark.parametrize("steps", [20, 100])
@pytest.mark.parametrize("on_its_scaffold", [True, False])
def test_an_ideal_denoiser_yields_its_crystal(
    rutile: Crystal, perovskite: Crystal, steps: int, on_its_scaffold: bool
) -> None:
    target = symmetrise(rutile) if on_its_scaffold else without_symmetry(perovskite)
    copies = collate([target] * 4)
    rng = torch.Generator().manual_seed(5)
    noise = pure_noise(copies.scaffold, rng)
    options = SamplerOptions(steps=steps)
    clean = denoise(
        KnowsOneCrystal(copies), noise, time_grid(options), options, rng, reveal=first_guess
    )
    assert torch.equal(clean.types, copies.types)
    free = copies.scaffold.strain_free
    assert torch.allclose(clean.strain[free], copies.strain[free], atol=1e-3)
    relative = clean.free - copies.free
    if not on_its_scaffold:
        relative = relative - relative[:, :1]
    assert (relative - relative.round()).abs().max() < 0.02


def test_guidance_walks_away_from_the_unconditional_answer(rutile: Crystal) -> None:
    """At weight g the guided answer is (1 - g) times the plain plus g times the told one."""
    told = torch.tensor([1.0])
    copies = collate([symmetrise(rutile)])

    class Told(KnowsOneCrystal):
        def forward(
            self, batch: CrystalBatch, time: torch.Tensor, condition: torch.Tensor | None = None
        ) -> Denoised:
            answer = super().forward(batch, time)
            preferred = 22 if condition is None else 40
            logits = torch.zeros_like(answer.logits)
            logits[..., preferred] = 9.0
            logits[..., 50] = 8.0
            return Denoised(answer.strain, answer.free, logits)

    for guidance, expected in ((0.0, 22), (1.0, 40), (3.0, 40)):
        seen: list[torch.Tensor] = []

        def reveal(
            logits: torch.Tensor,
            types: torch.Tensor,
            chosen: torch.Tensor,
            seen: list[torch.Tensor] = seen,
        ) -> torch.Tensor:
            seen.append(logits)
            return first_guess(logits, types, chosen)

        rng = torch.Generator().manual_seed(0)
        options = SamplerOptions(steps=20, guidance=guidance, type_temperature=1.0)
        noise = pure_noise(copies.scaffold, rng)
        clean = denoise(
            Told(copies), noise, time_grid(options), options, rng, reveal=reveal, condition=told
        )
        assert set(clean.types[0].tolist()) == {expected}
        assert seen[0][0, 0, 22].item() == pytest.approx(9.0 * (1.0 - guidance), abs=1e-5)


def test_the_walk_starts_at_noise_and_stops_where_told() -> None:
    grid = time_grid(SamplerOptions(steps=4, final_time=0.2))
    assert grid == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    assert np.all(np.diff(grid) < 0)
