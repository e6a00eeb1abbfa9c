from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis.strategies import floats, lists

from ray_matdesign.config.schema import RLSettings
from ray_matdesign.rl.losses import HEAVIEST, lesson_weights, matinvent_loss


def test_the_formula_by_hand():
    # mean of 1*2 + .025*(1.1-1)*4 and .5*3 + .025*(1.1-.5)*8
    rewards = torch.tensor([1.0, 0.5])
    loss = matinvent_loss(
        torch.tensor([2.0, 3.0]), torch.tensor([4.0, 8.0]), rewards, rewards, 0.025, 1.1
    )
    assert loss.item() == pytest.approx((2.0 + 0.01 + 1.5 + 0.12) / 2, rel=1e-6)


def test_an_unrewarded_crystal_only_ties_the_policy_to_the_prior():
    denoise = torch.tensor([2.0], requires_grad=True)
    deviation = torch.tensor([3.0], requires_grad=True)
    matinvent_loss(denoise, deviation, torch.zeros(1), torch.zeros(1), 0.025, 1.1).backward()
    assert denoise.grad == 0.0
    assert deviation.grad is not None
    assert deviation.grad.item() == pytest.approx(0.0275)


def test_sigma_zero_is_plain_reward_weighted_regression():
    half = torch.tensor([0.5])
    loss = matinvent_loss(torch.tensor([2.0]), torch.tensor([9.0]), half, half, 0.0, 1.1)
    assert loss.item() == 1.0


def test_matinvent_weighs_by_reward():
    assert lesson_weights([0.9, 0.2], RLSettings(), baseline=0.4).tolist() == pytest.approx(
        [0.9, 0.2]
    )


def test_advantages_weigh_exponentially_and_keep_the_mean():
    settings = RLSettings(weighting="advantage", temperature=0.1)
    best, middle, worst = lesson_weights([0.8, 0.7, 0.6], settings, baseline=0.7).tolist()
    assert best / middle == pytest.approx(math.e)
    assert middle / worst == pytest.approx(math.e)
    assert best + middle + worst == pytest.approx(2.1)


def test_no_crystal_outweighs_the_others_without_bound():
    settings = RLSettings(weighting="advantage", temperature=0.01)
    best, level = lesson_weights([1.0, 0.5], settings, baseline=0.5).tolist()
    assert best / level == pytest.approx(HEAVIEST)


def test_where_nothing_is_rewarded_nothing_is_learned():
    settings = RLSettings(weighting="advantage")
    assert lesson_weights([0.0, 0.0], settings, baseline=None).tolist() == [0.0, 0.0]


@given(rewards=lists(floats(0.0, 1.0), min_size=1, max_size=18), baseline=floats(0.0, 1.0))
def test_a_better_crystal_never_weighs_less(rewards, baseline):
    settings = RLSettings(weighting="advantage")
    weights = lesson_weights(sorted(rewards), settings, baseline)
    assert (weights[1:] >= weights[:-1]).all()
    assert weights.mean().item() == pytest.approx(sum(rewards) / len(rewards), rel=1e-4, abs=1e-6)
