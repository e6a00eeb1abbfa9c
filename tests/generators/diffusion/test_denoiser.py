"""Symmetries of the network, and the losses built on it."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.diffusion.batch import CrystalBatch, ScaffoldBatch, collate
from ray_matdesign.generators.diffusion.denoiser import Denoised, Denoiser, DenoiserShape
from ray_matdesign.generators.diffusion.losses import (
    LossWeights,
    add_noise,
    answer_deviation,
    crystal_losses,
)
from ray_matdesign.generators.diffusion.noise import coordinate_sigma
from ray_matdesign.generators.diffusion.symmetry import symmetrise, without_symmetry

SMALL = DenoiserShape(width=16, layers=2, pair_width=8)
TIMES = torch.tensor([0.3, 0.8], dtype=torch.float64)


def doubled(batch: CrystalBatch) -> CrystalBatch:
    """In double precision."""
    parts = {f.name: getattr(batch.scaffold, f.name) for f in fields(ScaffoldBatch)}
    scaffold = ScaffoldBatch(
        **{k: v.double() if v.is_floating_point() else v for k, v in parts.items()}
    )
    return CrystalBatch(scaffold, batch.strain.double(), batch.free.double(), batch.types)


@pytest.fixture
def denoiser() -> Denoiser:
    torch.manual_seed(3)
    return Denoiser(SMALL, torch.zeros(6), torch.ones(6)).double()


@pytest.fixture
def batch(rutile: Crystal, perovskite: Crystal) -> CrystalBatch:
    """Rutile on its scaffold, and a perovskite as if it had no symmetry."""
    return doubled(collate([symmetrise(rutile), without_symmetry(perovskite)]))


def test_translation_along_free_directions_changes_nothing(
    denoiser: Denoiser, batch: CrystalBatch
) -> None:
    shift = torch.tensor([0.0, 0.21, 0.47], dtype=torch.float64)
    along = torch.einsum("bmik,k->bmi", batch.scaffold.drift, shift)
    assert along[0].abs().max() == 0.0  # rutile's inversion centres pin it
    assert along[1].abs().max() > 0.05
    before = denoiser(batch, TIMES)
    after = denoiser(replace(batch, free=(batch.free + along) % 1.0), TIMES)
    assert torch.allclose(before.strain, after.strain, atol=1e-9)
    assert torch.allclose(before.free, after.free, atol=1e-9)
    assert torch.allclose(before.logits, after.logits, atol=1e-9)


def test_answers_follow_a_permutation_of_the_atoms(denoiser: Denoiser, perovskite: Crystal) -> None:
    order = [4, 2, 0, 1, 3]
    permuted = Crystal(perovskite.lattice, perovskite.frac_coords[order], perovskite.numbers[order])
    one, other = (doubled(collate([without_symmetry(c)])) for c in (perovskite, permuted))
    before, after = denoiser(one, TIMES[:1]), denoiser(other, TIMES[:1])
    assert torch.allclose(before.strain, after.strain)
    assert torch.allclose(before.free[:, order], after.free)
    assert torch.allclose(before.logits[:, order], after.logits)


def test_orientation_never_reaches_the_network(rutile: Crystal) -> None:
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turned = Crystal(rutile.lattice @ turn, rutile.frac_coords, rutile.numbers)
    one, other = collate([symmetrise(rutile)]), collate([symmetrise(turned)])
    assert torch.allclose(one.strain, other.strain, atol=1e-5)
    assert torch.equal(one.types, other.types)
    assert torch.equal(one.scaffold.multiplicity, other.scaffold.multiplicity)


def test_equivalent_atoms_may_speak_for_their_orbit(
    denoiser: Denoiser, batch: CrystalBatch
) -> None:
    """Which oxygen of rutile represents the four changes no invariant answer of ideal geometry."""
    scaffold = batch.scaffold
    distances = []
    for atom in torch.nonzero(scaffold.orbit[0][scaffold.atoms[0]] == 1).flatten().tolist():
        first = scaffold.first.clone()
        first[0, 1] = atom
        frac = scaffold.place(batch.free)
        cells = denoiser.cells(batch)
        pairs, _ = denoiser.geometry(frac, first, cells)
        assert pairs.shape[:3] == (2, 5, 6)
        apart = frac[0, atom] - frac[0, :6]
        apart = (apart - apart.round()) @ cells[0]
        distances.append(apart.norm(dim=-1).sort().values)
    assert all(torch.allclose(distances[0], d, atol=1e-6) for d in distances)


def test_padding_and_neighbours_in_the_batch_do_not_matter(
    denoiser: Denoiser, batch: CrystalBatch
) -> None:
    together = denoiser(batch, TIMES)
    for row in range(2):
        single = batch.rows(torch.tensor([row]))
        alone = denoiser(single, TIMES[row : row + 1])
        orbits = single.types.shape[1]
        assert torch.allclose(alone.strain[0], together.strain[row])
        assert torch.allclose(alone.free[0], together.free[row, :orbits])
        assert torch.allclose(alone.logits[0], together.logits[row, :orbits])
        assert not together.free[row, orbits:].any()


def test_answers_lie_where_symmetry_leaves_freedom(denoiser: Denoiser, batch: CrystalBatch) -> None:
    answer = denoiser(batch, TIMES)
    assert not answer.free[~batch.scaffold.movable].any()
    assert not answer.strain[~batch.scaffold.strain_free].any()
    along = torch.einsum("bmik,bmi->bk", batch.scaffold.drift, answer.free)
    assert torch.allclose(along, torch.zeros_like(along), atol=1e-6)


def test_noise_keeps_the_symmetry_and_hides_types_late(batch: CrystalBatch) -> None:
    denoiser = Denoiser(SMALL, torch.zeros(6), torch.ones(6)).double()
    rng = torch.Generator().manual_seed(0)
    times = torch.tensor([1.0, 0.05], dtype=torch.float64)
    noisy = add_noise(batch, times, denoiser, rng)
    moved = noisy.crystals.free - batch.free
    moved = moved - moved.round()
    assert not moved[~batch.scaffold.movable].any()
    # At t = 0.05 nothing wraps, so the mean displacement can be read off directly.
    assert torch.allclose(moved[1].sum(0), torch.zeros(3, dtype=torch.float64), atol=1e-6)
    assert not noisy.crystals.strain[~batch.scaffold.strain_free].any()
    assert noisy.hidden.sum(-1).tolist() == [2, 0]


def test_noise_has_the_stated_width(rutile: Crystal) -> None:
    copies = collate([symmetrise(rutile)] * 4000)
    denoiser = Denoiser(SMALL, torch.zeros(6), torch.ones(6))
    time = torch.full((4000,), 0.3)
    noisy = add_noise(copies, time, denoiser, torch.Generator().manual_seed(0))
    moved = noisy.crystals.free - copies.free
    moved = (moved - moved.round())[copies.scaffold.movable]
    expected = float(coordinate_sigma(torch.tensor(0.3), torch.tensor(6)))
    assert moved.mean().item() == pytest.approx(0.0, abs=4 * expected / 4000**0.5)
    assert moved.std().item() == pytest.approx(expected, rel=0.05)
    share = noisy.hidden.float().mean().item()
    assert share == 0.0


def test_a_perfect_answer_costs_nothing_and_the_prior_deviates_not_from_itself(
    denoiser: Denoiser, batch: CrystalBatch
) -> None:
    noisy = add_noise(batch, TIMES, denoiser, torch.Generator().manual_seed(1))
    answer = denoiser(noisy.crystals, noisy.time)
    certain = torch.nn.functional.one_hot(noisy.types, 119).double() * 100.0
    perfect = Denoised(noisy.strain_velocity, noisy.free_score, certain)
    losses = crystal_losses(noisy, perfect, LossWeights())
    assert torch.allclose(losses["total"], torch.zeros(2, dtype=torch.float64), atol=1e-9)
    assert answer_deviation(noisy, answer, answer).tolist() == [0.0, 0.0]


def test_deviation_is_the_stated_sum_of_means(denoiser: Denoiser, batch: CrystalBatch) -> None:
    noisy = add_noise(batch, TIMES, denoiser, torch.Generator().manual_seed(1))
    answer = denoiser(noisy.crystals, noisy.time)
    scaffold = batch.scaffold
    shifted = Denoised(
        answer.strain + 1.0 * scaffold.strain_free,
        answer.free + 2.0 * scaffold.movable,
        answer.logits + 3.0 * scaffold.orbits.unsqueeze(-1),
    )
    # Rutile: one free coordinate. The perovskite in P1: 15 shifted, 12 of which count.
    expected = [1.0 + 4.0 + 9.0, 1.0 + 4.0 * 15 / 12 + 9.0]
    assert answer_deviation(noisy, answer, shifted).tolist() == pytest.approx(expected)


def test_conditions_start_without_effect_and_nan_asks_for_nothing(batch: CrystalBatch) -> None:
    torch.manual_seed(3)
    shape = replace(SMALL, conditions=("band_gap", "density"))
    network = Denoiser(shape, torch.zeros(6), torch.ones(6)).double()
    asked = torch.tensor([[1.0, torch.nan], [torch.nan, 4.0]], dtype=torch.float64)
    nothing = torch.full_like(asked, torch.nan)
    plain = network(batch, TIMES)
    assert torch.equal(network(batch, TIMES, asked).logits, plain.logits)
    torch.nn.init.normal_(network.condition[-1].weight)
    torch.nn.init.normal_(network.condition[-1].bias)
    assert torch.equal(network(batch, TIMES, nothing).logits, plain.logits)
    told = network(batch, TIMES, asked).logits
    assert not torch.allclose(told, plain.logits)
    other = network(batch, TIMES, asked.flip(1)).logits
    assert not torch.allclose(told, other)
