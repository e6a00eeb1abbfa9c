"""The policy against MatterGen's own sampler, loss and loader."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import tiny_mattergen as tm
import torch
import yaml

from ray_matdesign.config.loading import ConfigError
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.generators.diffusion.constraints import ConstraintError
from ray_matdesign.generators.mattergen.compat import mattergen_modules
from ray_matdesign.generators.mattergen.losses import seeded


def test_samples_are_those_of_mattergens_own_sampler(tiny):
    policy = tm.policy_of(tiny, n_atoms=3)
    drawn = policy.sample(4, seed=5)
    assert tm.same(drawn, tm.mattergens_own(tiny, [3] * 4, {}, 0.0, seed=5))
    assert [len(crystal) for crystal in drawn] == [3] * 4
    assert tm.same(drawn, policy.sample(4, seed=5))
    assert not tm.same(drawn, policy.sample(4, seed=6))


def test_conditional_samples_are_those_of_mattergens_own_sampler(conditional):
    policy = tm.policy_of(conditional, n_atoms=2, guidance=1.5)
    assert set(policy.conditions) == {"chemical_system", "dft_band_gap", "dft_mag_density"}
    wanted = {"dft_band_gap": 3.0, "chemical_system": "Li-Fe-O"}
    drawn = policy.sample(3, seed=5, condition=wanted)
    assert tm.same(drawn, tm.mattergens_own(conditional, [2] * 3, wanted, 1.5, seed=5))
    assert all(crystal.elements <= {3, 8, 26} for crystal in drawn)
    # Other values, and none, give other crystals from the same noise.
    assert not tm.same(drawn, policy.sample(3, seed=5, condition={**wanted, "dft_band_gap": 0.0}))
    assert not tm.same(drawn, policy.sample(3, seed=5))


def test_sampling_leaves_the_global_random_numbers_alone(tiny):
    policy = tm.policy_of(tiny, n_atoms=1)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    policy.sample(1, seed=0)
    assert torch.rand(4).equal(expected)


def test_restricted_elements_and_smaller_batches(tiny):
    policy = tm.policy_of(
        tiny,
        n_atoms={1: 1, 2: 2},
        constraints={"allowed_elements": ("Cu", "Ag", "Au"), "excluded_elements": ("Ag",)},
        batch_size=3,
    )
    drawn = policy.sample(7, seed=1)
    assert len(drawn) == 7
    assert set().union(*(crystal.elements for crystal in drawn)) == {29, 79}
    free = tm.policy_of(tiny, n_atoms=2).sample(12, seed=1)
    never = {ATOMIC_NUMBERS[s] for s in ("He", "Ne", "Ar", "Kr", "Xe", "Tc", "Pm", "U")}
    assert not never & set().union(*(crystal.elements for crystal in free))


def test_a_batch_that_fails_is_halved_and_only_what_fails_alone_is_lost(tiny, caplog):
    policy = tm.policy_of(tiny, n_atoms={1: 1, 3: 1})
    denoise = policy.module.model.forward

    def fails_on_three_atoms(x, t):
        if (x["num_atoms"] == 3).any():
            raise RuntimeError("out of memory")
        return denoise(x, t)

    policy.module.model.forward = fails_on_three_atoms
    drawn = policy.sample(5, seed=0)
    assert 0 < len(drawn) < 5
    assert {len(crystal) for crystal in drawn} == {1}
    assert caplog.text.count("a crystal of 3 atoms was lost: out of memory") == 5 - len(drawn)


def test_the_loss_is_mattergens_own_before_the_mean(tiny, rocksalt, perovskite):
    policy, prior = tm.policy_of(tiny), tm.policy_of(tiny)
    crystals = [rocksalt, perovskite, rocksalt]
    batch = policy.encode(crystals)
    for times in (torch.ones(3), torch.tensor([0.4, 0.9, 0.1]), torch.full((3,), 1 / 1000)):
        losses, deviation = policy.denoising_losses(
            batch, times, prior, torch.Generator().manual_seed(2)
        )
        assert losses.shape == deviation.shape == (3,)
        assert losses.isfinite().all()
        assert deviation.tolist() == [0.0] * 3
        rng = torch.Generator().manual_seed(2)
        with seeded(int(torch.randint(2**62, (), generator=rng)), policy.device):
            noisy = policy.module.corruption.sample_marginal(batch, times)
        expected, _ = policy.module.loss_fn(
            multi_corruption=policy.module.corruption,
            batch=batch,
            noisy_batch=noisy,
            score_model_output=policy.module.model(noisy, times),
            t=times,
        )
        torch.testing.assert_close(losses.mean(), expected)
    again, _ = policy.denoising_losses(batch, times, prior, torch.Generator().manual_seed(2))
    other, _ = policy.denoising_losses(batch, times, prior, torch.Generator().manual_seed(3))
    assert again.equal(losses)
    assert not other.equal(losses)


def test_a_crystals_noise_does_not_depend_on_who_answers_for_it(tiny, rocksalt, perovskite):
    policy, prior = tm.policy_of(tiny), tm.policy_of(tiny)
    batch = policy.encode([rocksalt, perovskite, rocksalt])
    times = torch.tensor([0.4, 0.9, 0.1])
    whole, _ = policy.denoising_losses(batch, times, prior, torch.Generator().manual_seed(2))
    for rank in range(2):
        own = slice(rank, None, 2)
        rng = torch.Generator().manual_seed(2)
        some, _ = policy.denoising_losses(batch, times, prior, rng, rows=own)
        torch.testing.assert_close(some, whole[own], rtol=1e-4, atol=1e-5)


def test_a_perfect_denoiser_would_have_no_cell_and_coordinate_loss(tiny, rocksalt, perovskite):
    # The targets in closed form: minus the noise for the cell, and the wrapped normal's score
    # times its width for coordinates, which for narrow noise is minus the noise as well.
    from ray_matdesign.generators.mattergen.losses import crystal_losses

    policy = tm.policy_of(tiny)
    clean = policy.encode([rocksalt, perovskite])
    time = torch.tensor([0.05, 0.05])
    with seeded(0, policy.device):
        noisy = policy.module.corruption.sample_marginal(clean, time)
    sizes = clean["num_atoms"].double()
    keep = np.exp(-0.25 * 0.05**2 * (0.5 - 0.1) - 0.5 * 0.05 * 0.1)
    mean = (sizes / 0.05771451654022283) ** (1 / 3)
    width = ((1 - keep**2) * 0.25 * sizes ** (2 / 3)) ** 0.5
    centre = keep * clean["cell"] + (1 - keep) * mean[:, None, None] * torch.eye(3)
    cell = -(noisy["cell"] - centre) / width[:, None, None]
    spread = 0.01 * (5.0 / 0.01) ** 0.05 * sizes ** (-1 / 3)
    moved = noisy["pos"] - clean["pos"]
    pos = -(moved - moved.round()) / spread[clean.batch][:, None]
    answer = noisy.replace(
        cell=cell.float(), pos=pos.float(), atomic_numbers=torch.zeros(len(pos), 101)
    )
    silent = answer.replace(cell=torch.zeros(2, 3, 3), pos=torch.zeros(len(pos), 3))
    best = crystal_losses(policy.module, clean, noisy, answer, time)
    worse = crystal_losses(policy.module, clean, noisy, silent, time)
    per_atom = torch.zeros(2).index_add(0, clean.batch, pos.square().mean(-1).float())
    expected = cell.square().mean((1, 2)).float() + 0.1 * per_atom
    torch.testing.assert_close(worse - best, expected, rtol=1e-3, atol=1e-3)


def test_the_deviation_is_matinvents_sum_of_squares(tiny, rocksalt, perovskite):
    policy, prior = tm.policy_of(tiny), tm.policy_of(tiny)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    batch = policy.encode([rocksalt, perovskite])
    seen = {}

    def keep(name):
        return lambda module, inputs, output: seen.__setitem__(name, (inputs, output))

    policy.module.model.register_forward_hook(keep("policy"))
    prior.module.model.register_forward_hook(keep("prior"))
    rng = torch.Generator().manual_seed(0)
    losses, deviation = policy.denoising_losses(batch, torch.tensor([0.5, 0.5]), prior, rng)
    (inputs, mine), (other_inputs, theirs) = seen["policy"], seen["prior"]
    assert inputs[0] is other_inputs[0]  # the same noisy crystals
    for k, expected in enumerate(deviation):
        atoms = batch.batch == k
        total = ((mine["cell"][k] - theirs["cell"][k]) ** 2).mean()
        for name in ("pos", "atomic_numbers"):
            total = total + ((mine[name][atoms] - theirs[name][atoms]) ** 2).mean()
        torch.testing.assert_close(expected, total)
    assert mine["atomic_numbers"].abs().max() < 1e6  # logits are raw: no element is masked
    (losses + deviation).sum().backward()
    touched = [w for w in policy.parameters() if w.grad is not None and w.grad.abs().sum() > 0]
    assert len(touched) > 20
    assert all(weight.grad is None for weight in prior.parameters())


def test_a_foreign_prior_is_refused(tiny, rocksalt):
    policy = tm.policy_of(tiny)
    with pytest.raises(TypeError, match="must be a MatterGenPolicy"):
        policy.denoising_losses(
            policy.encode([rocksalt]), torch.tensor([0.5]), object(), torch.Generator()
        )


def test_weights_travel_as_read_only_arrays(tiny, rocksalt):
    source, target = tm.policy_of(tiny), tm.policy_of(tiny)
    with torch.no_grad():
        for weight in source.parameters():
            weight.mul_(1.1)
    weights = source.weights()
    for array in weights.values():
        array.setflags(write=False)
    target.load_weights(weights, 3)
    assert target.version == 3
    assert all((target.weights()[name] == weights[name]).all() for name in weights)
    with torch.no_grad():
        next(target.parameters()).zero_()  # the copies are the policy's own


def test_a_chemical_system_is_a_condition_and_every_element_is_there(conditional, tiny):
    system = {"chemical_system": ("Li", "O")}
    policy = tm.policy_of(conditional, constraints=system, n_atoms=3, guidance=1.0)
    drawn = policy.sample(6, seed=0)
    assert drawn
    drawn += policy.sample(6, seed=0, condition={"dft_band_gap": 3.0})
    assert {crystal.elements for crystal in drawn} == {frozenset({3, 8})}
    with pytest.raises(ConstraintError, match=r"chemical_system: this checkpoint has no such"):
        tm.policy_of(tiny, constraints=system)


def test_a_condition_of_the_settings_holds_unless_another_is_given(conditional):
    policy = tm.policy_of(conditional, condition={"dft_band_gap": 3.0}, n_atoms=2)
    plain = tm.policy_of(conditional, n_atoms=2)
    drawn = policy.sample(2, seed=1)
    assert tm.same(drawn, plain.sample(2, seed=1, condition={"dft_band_gap": 3.0}))
    other = {"dft_mag_density": 0.2}
    assert tm.same(
        policy.sample(2, seed=1, condition=other), plain.sample(2, seed=1, condition=other)
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"steps": 10}, r"generator\.options: steps: unknown key"),
        ({"guidance": -1}, "guidance: must be greater than or equal to 0"),
        ({"n_atoms": 0}, "n_atoms.*greater than"),
    ],
)
def test_options_that_are_wrong_are_named(tiny, options, complaint):
    with pytest.raises(ConfigError, match=complaint):
        tm.policy_of(tiny, **options)


def test_scale_factors_start_fitted_and_stay(tiny):
    policy = tm.policy_of(tiny)
    trained = {id(weight) for weight in policy.parameters()}
    factor = mattergen_modules().scaling.ScalingFactor
    factors = [m.scale_factor for m in policy.module.modules() if isinstance(m, factor)]
    assert factors
    assert not trained & {id(f) for f in factors}


def test_configurations_are_written_back_unchanged(tiny, tmp_path):
    config = yaml.safe_load((tiny / "config.yaml").read_text())
    before = copy.deepcopy(config)
    tm.policy_of(tiny).save(tmp_path)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == before
