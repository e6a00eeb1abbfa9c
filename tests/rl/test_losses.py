from __future__ import annotations

import pytest
import torch

from ray_matdesign.rl.losses import matinvent_loss


def test_the_formula_by_hand():
    # mean of 1*2 + .025*(1.1-1)*4 and .5*3 + .025*(1.1-.5)*8
    loss = matinvent_loss(
        torch.tensor([2.0, 3.0]), torch.tensor([4.0, 8.0]), torch.tensor([1.0, 0.5]), 0.025, 1.1
    )
    assert loss.item() == pytest.approx((2.0 + 0.01 + 1.5 + 0.12) / 2, rel=1e-6)


def test_an_unrewarded_crystal_only_ties_the_policy_to_the_prior():
    denoise = torch.tensor([2.0], requires_grad=True)
    deviation = torch.tensor([3.0], requires_grad=True)
    matinvent_loss(denoise, deviation, torch.zeros(1), 0.025, 1.1).backward()
    assert denoise.grad == 0.0
    assert deviation.grad is not None
    assert deviation.grad.item() == pytest.approx(0.0275)


def test_sigma_zero_is_plain_reward_weighted_regression():
    loss = matinvent_loss(torch.tensor([2.0]), torch.tensor([9.0]), torch.tensor([0.5]), 0.0, 1.1)
    assert loss.item() == 1.0
