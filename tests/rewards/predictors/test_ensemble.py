"""The ensemble of small networks: independence of its members, and that it learns."""

import pytest
import torch

from ray_matdesign.rewards.predictors.ensemble import Ensemble, fit


def squared_error(targets):
    return lambda outputs, rows: (outputs[..., 0] - targets[rows]).square().mean(dim=1)


def test_each_member_is_a_network_of_its_own():
    torch.manual_seed(0)
    ensemble = Ensemble(3, (4, 5, 2))
    inputs = torch.randn(7, 4)
    together = ensemble(inputs)
    assert together.shape == (3, 7, 2)
    for member in range(3):
        hidden = torch.nn.functional.silu(
            inputs @ ensemble.weights[0][member] + ensemble.biases[0][member]
        )
        alone = hidden @ ensemble.weights[1][member] + ensemble.biases[1][member]
        torch.testing.assert_close(together[member], alone)


def test_it_learns_a_product_and_its_members_differ():
    torch.manual_seed(0)
    inputs = torch.rand(2000, 2) * 4.0 + 10.0
    targets = (inputs[:, 0] - 12.0) * (inputs[:, 1] - 12.0)
    ensemble = Ensemble(2, (2, 32, 1))
    ensemble.standardise(inputs)
    rows = torch.arange(1800).repeat(2, 1)
    fit(
        ensemble,
        inputs,
        rows,
        squared_error(targets),
        epochs=40,
        batch_size=100,
        lr=1e-2,
        weight_decay=0.0,
        seed=0,
    )
    with torch.inference_mode():
        outputs = ensemble(inputs[1800:])[..., 0]
    assert not ensemble.training
    assert (outputs.mean(dim=0) - targets[1800:]).abs().mean() < 0.1 * targets.abs().mean()
    assert not torch.equal(outputs[0], outputs[1])


def test_training_repeats_exactly():
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        ensemble = Ensemble(2, (3, 8, 1), dropout=0.2)
        inputs = torch.linspace(0.0, 1.0, 60).reshape(20, 3)
        fit(
            ensemble,
            inputs,
            torch.arange(20).repeat(2, 1),
            squared_error(inputs.sum(dim=1)),
            epochs=2,
            batch_size=7,
            lr=1e-2,
            weight_decay=0.1,
            seed=5,
        )
        states.append(ensemble.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name])


def test_an_input_that_never_varied_changes_nothing():
    inputs = torch.cat([torch.randn(50, 1), torch.ones(50, 1)], dim=1)
    ensemble = Ensemble(1, (2, 4, 1))
    ensemble.standardise(inputs)
    surprising = inputs.clone()
    surprising[:, 1] = 1e6
    torch.testing.assert_close(ensemble(inputs), ensemble(surprising))


def test_it_comes_back_from_its_state():
    ensemble = Ensemble(2, (3, 6, 4, 1), dropout=0.5)
    inputs = torch.randn(5, 3)
    ensemble.standardise(inputs)
    back = Ensemble.from_state(ensemble.state_dict())
    assert back.widths == (3, 6, 4, 1)
    torch.testing.assert_close(back(inputs), ensemble.eval()(inputs))
    with pytest.raises(KeyError):
        Ensemble.from_state({"weights.1": torch.zeros(1, 2, 2)})
