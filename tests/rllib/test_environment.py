"""Both environments with real reward workers: toy solid and EMT."""

from __future__ import annotations

import numpy as np
import pytest
import toy
from gymnasium.utils.env_checker import check_env

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.rllib.assembly import STEPS, Draft
from ray_matdesign.rllib.campaign import CampaignConfig
from ray_matdesign.rllib.environment import CrystalEnv, CrystalVectorEnv, random_batch


def told(config, **more):
    return CampaignConfig().campaign(config).env_config | more


@pytest.fixture
def environment(reference):
    env = CrystalEnv(told(toy.config(reference)))
    yield env
    env.close()


def action_of(env, what):
    assembly = env._workshop.assembly
    names = [prototype.name for prototype in assembly.types]
    if what == "pass":
        return assembly.n_actions - 1
    if what in names:
        return names.index(what)
    return len(names) + assembly.elements.index(ATOMIC_NUMBERS[what])


def build(env, *actions):
    """Builds one crystal; returns its reward and info."""
    env.reset()
    for what in (*actions, *["pass"] * (STEPS - len(actions))):
        _, reward, terminated, truncated, info = env.step(action_of(env, what))
        assert not truncated
    assert terminated
    return reward, info


def test_gymnasium_has_nothing_to_object_to(environment):
    check_env(environment, skip_render_check=True)


def test_the_reward_is_the_objectives(reference):
    environment = CrystalEnv(told(toy.config(reference, **{"relaxation.fmax_ev_per_ang": 0.005})))
    reward, info = build(environment, "gold_copper_3", "Cu", "Pt")
    environment.close()
    # Vegard: 11.8 + 3 x 15.1 cubic Angstrom; 63.55 + 3 x 195.08 amu; target 18 of width 10 g/cm3.
    density = (63.546 + 3 * 195.084) * 1.66054 / (11.8 + 3 * 15.1)
    assert info["outcome"] == "evaluated"
    assert info["crystal"] == "gold_copper_3 CuPt3"
    assert reward == pytest.approx(1 - abs(density - 18.0) / 10.0, abs=0.02)


def test_what_the_gate_turns_down_earns_nothing(environment):
    # In the toy solid aluminium mixes badly with the others: 0.1 eV/atom above the hull at 1 : 1.
    reward, info = build(environment, "copper_gold", "Al", "Cu")
    assert reward == 0.0
    assert info["outcome"] == "unstable"
    assert "above the hull" in info["reason"]


def test_the_diversity_filter_takes_the_reward_of_what_is_built_too_often(environment):
    rewards = [build(environment, "copper_gold", "Cu", "Pt")[0] for _ in range(7)]
    # Tolerance 3, buffer 6: MatInvent's defaults.
    factors = [1, 1, 1, 2 / 3, 1 / 3, 0, 0]
    assert rewards == pytest.approx([rewards[0] * factor for factor in factors])


def test_a_crystal_built_again_is_paid_for_once(reference, tmp_path):
    log = tmp_path / "paid"
    ramp = {"kind": "target", "target": 18.0, "max_distance": 10.0}
    term = {"scorer": "toy:counted_density", "options": {"log": str(log)}, "transform": ramp}
    env = CrystalEnv(told(toy.config(reference, **{"objective.terms": [term]})))
    for _ in range(3):
        build(env, "copper_gold", "Cu", "Pt")
    env.close()
    assert len(log.read_text().splitlines()) == 1


def test_an_action_outside_the_mask_earns_nothing_and_is_told(environment):
    environment.reset()
    observation, *_ = environment.step(action_of(environment, "copper_gold"))
    masked = int(np.flatnonzero(observation["action_mask"] == 0)[0])
    for action in (masked, *[action_of(environment, "pass")] * (STEPS - 2)):
        _, reward, _, _, info = environment.step(action)
    assert reward == 0.0
    assert info["outcome"] == "spoiled"


def vector(config, n):
    return CrystalVectorEnv(told(config, num_envs=n))


def test_crystals_built_side_by_side_earn_what_they_earn_alone(reference):
    # Without the filter's memory and the uniqueness within a batch, crystals are independent.
    config = toy.config(
        reference,
        **{
            "rl.diversity": {"tolerance": 900, "buffer": 1000},
            "stability": {"reference": str(reference), "require": ["stable"]},
        },
    )
    many, one = vector(config, 6), vector(config, 1)
    drafts = random_batch(many.workshop, 6, np.random.default_rng(1))
    together = [reward for reward, _ in many.workshop.finish(drafts)]
    alone = [one.workshop.finish([draft])[0][0] for draft in drafts]
    many.close()
    one.close()
    assert together == pytest.approx(alone)
    assert max(together) > 0.0


def test_all_episodes_of_a_batch_end_together_and_start_again(reference):
    env = vector(toy.config(reference), 3)
    rng = np.random.default_rng(0)
    observation, _ = env.reset(seed=1)
    for _ in range(2):
        first = observation
        for step in range(STEPS):
            masks = observation["action_mask"]
            assert (masks.sum(axis=1) > 0).all()
            actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
            observation, rewards, terminated, truncated, infos = env.step(actions)
            assert env.observation_space.contains(observation)
            assert terminated.tolist() == [step == STEPS - 1] * 3
            assert not truncated.any()
        assert (observation["action_mask"].sum(axis=1) == 1).all()
        assert len(infos["outcome"]) == 3
        observation, rewards, terminated, *_ = env.step(actions)
        assert not terminated.any()
        assert (rewards == 0.0).all()
        assert all(np.array_equal(observation[key], first[key]) for key in first)
    env.close()


def test_the_same_choices_make_the_same_batch(reference, tmp_path):
    rewards = []
    for _ in range(2):
        env = vector(toy.config(reference), 5)
        drafts = random_batch(env.workshop, 5, np.random.default_rng(7))
        rewards.append(env.workshop.finish(drafts))
        env.close()
    assert rewards[0] == rewards[1]


def test_emt_brings_a_built_crystal_to_the_density_of_its_equation_of_state(tmp_path):
    """The whole way, prototype to reward, against ASE's own EMT and a scan of volumes."""
    from ase import Atoms
    from ase.calculators.emt import EMT
    from ase.eos import EquationOfState

    from ray_matdesign.potentials.registry import load_potential

    toy.write_reference(tmp_path / "emt", load_potential("emt"))
    config = toy.config(
        tmp_path / "emt",
        potential={"name": "emt"},
        relaxation={"batch_size": 4, "fmax_ev_per_ang": 0.01},
        stability={"reference": str(tmp_path / "emt"), "require": []},
    )
    env = CrystalEnv(told(config))
    reward, info = build(env, "gold_copper_3", "Cu", "Au")
    env.close()
    volumes, energies = [], []
    for a in np.linspace(3.8, 4.1, 7):
        sites = [[0, 0, 0], [a / 2, a / 2, 0], [a / 2, 0, a / 2], [0, a / 2, a / 2]]
        atoms = Atoms("CuAu3", positions=sites, cell=[a] * 3, pbc=True, calculator=EMT())
        volumes.append(a**3)
        energies.append(atoms.get_potential_energy())
    equilibrium = EquationOfState(volumes, energies).fit()[0]
    density = (63.546 + 3 * 196.9666) * 1.66054 / equilibrium
    assert info["outcome"] == "evaluated"
    assert reward == pytest.approx(1 - abs(density - 18.0) / 10.0, abs=0.01)


def test_a_new_draft_offers_structure_types_only(environment):
    observation, info = environment.reset(seed=3)
    types = len(environment._workshop.assembly.types)
    assert observation["action_mask"][types:].sum() == 0
    assert info == {}
    assert Draft().finished is False
