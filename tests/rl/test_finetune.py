from __future__ import annotations

import numpy as np
import pytest
import torch
import toy
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.config.schema import GeneratorSettings, RLSettings
from ray_matdesign.crystals.codec import encode_crystals
from ray_matdesign.generators.registry import load_policy
from ray_matdesign.rl.checkpoint import same_weights
from ray_matdesign.rl.finetune import Diverged, diffusion_times, finetune
from ray_matdesign.rl.workers import LearnerWorker, displacement

CRYSTALS = toy.ToyPolicy().sample(6, seed=0)
REWARDS = [0.9, 0.1, 0.5, 0.0, 1.0, 0.3]
SMALL = RLSettings(epochs=2, timesteps=10, accumulate=5, lr=0.05)


def test_each_epoch_walks_from_pure_noise_to_the_last_step():
    settings = RLSettings(epochs=2, timesteps=1000)
    micro_steps = torch.stack(list(diffusion_times(settings, 3, torch.Generator())))
    assert micro_steps.shape == (2000, 3)
    assert (micro_steps == micro_steps[:, :1]).all()  # one time for all crystals
    times = micro_steps[:, 0].double().numpy()
    assert times[0] == times[1000] == 1.0
    assert times[999] == pytest.approx(1 / 1000)
    assert np.allclose(np.diff(times[:1000]), -1 / 1000, atol=1e-6)


def test_times_may_be_held_to_a_band():
    settings = RLSettings(epochs=1, timesteps=4, highest_time=0.8, lowest_time=0.2)
    times = torch.cat(list(diffusion_times(settings, 1, torch.Generator())))
    assert times.tolist() == pytest.approx([0.8, 0.6, 0.4, 0.2])


@given(st.integers(1, 40), st.integers(0, 2**31), st.sampled_from([(0.001, 1.0), (0.2, 0.8)]))
def test_spread_times_have_one_crystal_at_each_level_of_noise(n, seed, band):
    low, high = band
    settings = RLSettings(epochs=2, timesteps=3, times="spread", highest_time=high, lowest_time=low)
    times = list(diffusion_times(settings, n, torch.Generator().manual_seed(seed)))
    assert len(times) == 6
    for drawn in times:
        parts = np.sort((drawn.double().numpy() - low) / (high - low) * n)
        assert (parts > np.arange(n) - 1e-4).all()
        assert (parts < np.arange(n) + 1 + 1e-4).all()


def test_a_handful_of_spread_times_stands_for_the_whole_range():
    def mean_time(times: str) -> float:
        settings = RLSettings(times=times, epochs=1, timesteps=5)
        drawn = diffusion_times(settings, 16, torch.Generator().manual_seed(0))
        return float(torch.cat(list(drawn)).mean())

    assert mean_time("spread") == pytest.approx(0.5, abs=0.01)
    assert mean_time("shared") == pytest.approx(0.6)  # 1, 0.8, 0.6, 0.4, 0.2


@pytest.mark.parametrize(
    ("epochs", "timesteps", "accumulate", "steps"), [(3, 100, 5, 60), (2, 10, 5, 4), (1, 7, 5, 2)]
)
def test_gradients_accumulate_between_steps_of_adam(epochs, timesteps, accumulate, steps):
    # 3 x 1000 micro-steps at 50 each are MatInvent's 60 updates; here at a tenth of the length.
    settings = RLSettings(epochs=epochs, timesteps=timesteps, accumulate=accumulate)
    policy, prior = toy.ToyPolicy(), toy.ToyPolicy()
    report = finetune(policy, prior, CRYSTALS, REWARDS, settings, seed=0)
    assert report.adam_steps == steps


def test_adams_first_step_moves_every_weight_by_the_learning_rate():
    settings = RLSettings(epochs=1, timesteps=5, accumulate=5, lr=0.01)
    policy, prior = toy.ToyPolicy(), toy.ToyPolicy()
    finetune(policy, prior, CRYSTALS, REWARDS, settings, seed=0)
    moved = (policy.logits - prior.logits).abs()
    assert torch.allclose(moved, torch.full_like(moved, 0.01), rtol=1e-3)


def test_what_is_rewarded_becomes_likelier_and_the_prior_holds_back():
    gold = CRYSTALS[0].with_cell(CRYSTALS[0].lattice, CRYSTALS[0].frac_coords)
    gold = type(gold)(gold.lattice, gold.frac_coords, [79] * 4)

    def logit_of_gold(sigma: float) -> float:
        policy, prior = toy.ToyPolicy(), toy.ToyPolicy()
        settings = RLSettings(epochs=4, timesteps=50, accumulate=5, lr=0.05, sigma=sigma)
        finetune(policy, prior, [gold], [1.0], settings, seed=0)
        return float(torch.softmax(policy.logits.detach(), 0)[toy.METALS.index(79)])

    free, held = logit_of_gold(0.0), logit_of_gold(100.0)
    assert free > 0.6
    assert 1 / 7 < held < free


def test_the_seed_decides_the_noise():
    def trained(seed: int) -> dict:
        policy = toy.ToyPolicy()
        finetune(policy, toy.ToyPolicy(), CRYSTALS, REWARDS, SMALL, seed)
        return policy.weights()

    assert same_weights(trained(1), trained(1))
    assert not same_weights(trained(1), trained(2))


def test_a_loss_that_is_not_finite_is_an_error_that_says_where():
    policy = toy.ToyPolicy()
    with pytest.raises(Diverged, match=r"not finite in micro-step 1, at times from 1\.000"):
        finetune(policy, toy.ToyPolicy(), CRYSTALS, [float("nan")] * 6, SMALL, seed=0)


def payload(optimizer=None) -> dict:
    return {
        "crystals": encode_crystals(CRYSTALS),
        "rewards": REWARDS,
        "seed": 7,
        "optimizer": optimizer,
    }


def test_repeating_a_fine_tuning_gives_the_same_weights():
    worker = LearnerWorker(toy.ToyPolicy(), toy.ToyPolicy(), SMALL)
    start = worker.finetune(payload())["weights"]
    worker.load(start, 1)
    once = worker.finetune(payload())
    again = worker.finetune(payload())
    assert same_weights(once["weights"], again["weights"])
    assert not same_weights(once["weights"], start)
    elsewhere = LearnerWorker(toy.ToyPolicy(), toy.ToyPolicy(), SMALL)
    elsewhere.load(start, 1)
    assert same_weights(elsewhere.finetune(payload())["weights"], once["weights"])


def test_adams_moments_are_carried_only_when_asked_for():
    fresh = LearnerWorker(toy.ToyPolicy(), toy.ToyPolicy(), SMALL)
    assert fresh.finetune(payload())["optimizer"] is None
    settings = SMALL.model_copy(update={"optimizer_state": "carried"})
    worker = LearnerWorker(toy.ToyPolicy(), toy.ToyPolicy(), settings)
    first = worker.finetune(payload())
    assert first["optimizer"]["0.step"] == first["adam_steps"] == 4
    second = worker.finetune(payload(first["optimizer"]))
    assert second["optimizer"]["0.step"] == 8


def test_displacement_ignores_images_and_drift():
    before = toy.ToyPolicy().sample(1, seed=0)[0]
    drifted = before.with_cell(before.lattice, before.frac_coords + np.array([0.4, 0.0, 1.0]))
    assert displacement(before, drifted) == pytest.approx(0.0, abs=1e-12)
    coords = before.frac_coords.copy()
    coords[0, 0] += 0.04
    moved = before.with_cell(before.lattice, coords)
    # One of four atoms moves by d; the mean is taken out: d * sqrt((9/16 + 3/16) / 4).
    edge = before.lengths[0]
    assert displacement(before, moved) == pytest.approx(0.04 * edge * np.sqrt(3 / 16))


@pytest.mark.parametrize("name", ["toy:load", "diffusion"])
@pytest.mark.parametrize("processes", [2, 4])
def test_a_crystals_noise_does_not_depend_on_who_answers_for_it(name, processes):
    settings = GeneratorSettings(name=name)
    policy, prior = load_policy(settings), load_policy(settings)
    batch, times = policy.encode(CRYSTALS), torch.linspace(0.1, 1.0, len(CRYSTALS))
    whole = policy.denoising_losses(batch, times, prior, torch.Generator().manual_seed(3))
    for rank in range(processes):
        own = slice(rank, None, processes)
        rng = torch.Generator().manual_seed(3)
        some = policy.denoising_losses(batch, times, prior, rng, rows=own)
        for ours, theirs in zip(some, whole, strict=True):
            torch.testing.assert_close(ours, theirs[own], rtol=1e-4, atol=1e-6)
