"""Symmetries of the network, and the losses built on it."""

from __future__ import annotations

import pytest
import torch

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.diffusion.batch import CrystalBatch, collate
from ray_matdesign.generators.diffusion.denoiser import Denoiser, DenoiserShape
from ray_matdesign.generators.diffusion.losses import (
    LossWeights,
    add_noise,
    answer_deviation,
    crystal_losses,
)

SMALL = DenoiserShape(width=16, layers=2, pair_width=8)


@pytest.fixture
def denoiser() -> Denoiser:
    torch.manual_seed(3)
    return Denoiser(SMALL, torch.zeros(6), torch.ones(6)).double()


@pytest.fixture
def batch(rocksalt: Crystal, perovskite: Crystal) -> CrystalBatch:
    both = collate([rocksalt, perovskite])
    return CrystalBatch(both.strain.double(), both.frac.double(), both.types, both.mask)


def single(batch: CrystalBatch, row: int) -> CrystalBatch:
    size = int(batch.n_atoms[row])
    part = slice(row, row + 1)
    return CrystalBatch(
        batch.strain[part],
        batch.frac[part, :size],
        batch.types[part, :size],
        batch.mask[part, :size],
    )


TIMES = torch.tensor([0.3, 0.8], dtype=torch.float64)


def test_translation_changes_nothing(denoiser: Denoiser, batch: CrystalBatch) -> None:
    shift = torch.tensor([0.21, 0.47, 0.83], dtype=torch.float64)
    moved = CrystalBatch(batch.strain, (batch.frac + shift) % 1.0, batch.types, batch.mask)
    before, after = denoiser(batch, TIMES), denoiser(moved, TIMES)
    assert torch.allclose(before.strain, after.strain, atol=1e-9)
    assert torch.allclose(before.frac, after.frac, atol=1e-9)
    assert torch.allclose(before.logits, after.logits, atol=1e-9)


def test_answers_follow_a_permutation_of_the_atoms(denoiser: Denoiser, batch: CrystalBatch) -> None:
    order = torch.tensor([4, 2, 0, 1, 3])
    crystal = single(batch, 1)
    permuted = CrystalBatch(
        crystal.strain, crystal.frac[:, order], crystal.types[:, order], crystal.mask
    )
    before, after = denoiser(crystal, TIMES[:1]), denoiser(permuted, TIMES[:1])
    assert torch.allclose(before.strain, after.strain)
    assert torch.allclose(before.frac[:, order], after.frac)
    assert torch.allclose(before.logits[:, order], after.logits)


def test_padding_and_neighbours_in_the_batch_do_not_matter(
    denoiser: Denoiser, batch: CrystalBatch
) -> None:
    together = denoiser(batch, TIMES)
    for row in range(2):
        alone = denoiser(single(batch, row), TIMES[row : row + 1])
        size = int(batch.n_atoms[row])
        assert torch.allclose(alone.strain[0], together.strain[row])
        assert torch.allclose(alone.frac[0], together.frac[row, :size])
        assert torch.allclose(alone.logits[0], together.logits[row, :size])


def test_coordinate_answer_has_no_common_translation(
    denoiser: Denoiser, batch: CrystalBatch
) -> None:
    answer = denoiser(batch, TIMES)
    assert torch.allclose(answer.frac.sum(1), torch.zeros(2, 3, dtype=torch.float64), atol=1e-12)


def test_noise_has_no_common_translation_and_hides_types_late(batch: CrystalBatch) -> None:
    denoiser = Denoiser(SMALL, torch.zeros(6), torch.ones(6)).double()
    rng = torch.Generator().manual_seed(0)
    noisy = add_noise(batch, torch.tensor([0.05, 1.0], dtype=torch.float64), denoiser, rng)
    moved = noisy.crystals.frac - batch.frac
    moved = (moved - torch.round(moved)) * batch.mask.unsqueeze(-1)
    # At t = 0.05 nothing wraps, so the mean displacement can be read off directly.
    assert torch.allclose(moved[0].sum(0), torch.zeros(3, dtype=torch.float64), atol=1e-12)
    assert noisy.hidden.sum(-1).tolist() == [0, 5]


def test_a_perfect_answer_costs_nothing_and_the_prior_deviates_not_from_itself(
    denoiser: Denoiser, batch: CrystalBatch
) -> None:
    noisy = add_noise(batch, TIMES, denoiser, torch.Generator().manual_seed(1))
    answer = denoiser(noisy.crystals, noisy.time)
    certain = torch.nn.functional.one_hot(noisy.types, 119).double() * 100.0
    perfect = type(answer)(noisy.strain_velocity, noisy.frac_score, certain)
    losses = crystal_losses(noisy, perfect, LossWeights())
    assert torch.allclose(losses["total"], torch.zeros(2, dtype=torch.float64), atol=1e-9)
    assert answer_deviation(noisy, answer, answer).tolist() == [0.0, 0.0]


def test_deviation_is_the_stated_sum_of_means(denoiser: Denoiser, batch: CrystalBatch) -> None:
    noisy = add_noise(batch, TIMES, denoiser, torch.Generator().manual_seed(1))
    answer = denoiser(noisy.crystals, noisy.time)
    mask = batch.mask.unsqueeze(-1)
    shifted = type(answer)(
        answer.strain + 1.0, answer.frac + 2.0 * mask, answer.logits + 3.0 * mask
    )
    assert answer_deviation(noisy, answer, shifted).tolist() == pytest.approx([14.0, 14.0])
