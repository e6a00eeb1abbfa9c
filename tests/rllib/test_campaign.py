"""What an RLlib configuration says of a campaign."""

from __future__ import annotations

import pytest

from ray_matdesign.config.loading import ConfigError, load_run_config
from ray_matdesign.rl.workers import roles_of
from ray_matdesign.rllib.campaign import bundles_of
from ray_matdesign.rllib.matinvent import MatInvent, MatInventConfig
from ray_matdesign.rllib.ppo import CrystalPPO, CrystalPPOConfig


def test_a_recipe_and_overrides_are_those_of_the_command_line() -> None:
    config = MatInventConfig().campaign("density", {"rl.lr": 1e-4, "rl.algorithm": "guided"})
    assert config.run_config() == load_run_config("density", ["rl.lr=1e-4", "rl.algorithm=guided"])


def test_settings_at_hand_will_do() -> None:
    run = load_run_config("band-gap", ["rl.loops=3"])
    assert MatInventConfig().campaign(run).run_config() == run


def test_rllibs_seed_is_the_campaigns() -> None:
    config = MatInventConfig().campaign("density", {"seed": 1})
    assert config.run_config().seed == 1
    assert config.debugging(seed=7).run_config().seed == 7


@pytest.mark.parametrize("make", [MatInventConfig, CrystalPPOConfig])
def test_a_configuration_survives_the_way_tune_sends_it(make) -> None:
    config = make().campaign("density", {"rl.lr": 1e-4})
    again = make().update_from_dict(config.to_dict())
    again.validate()
    assert again.run_config() == config.run_config()


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match=r"set one with \.campaign"):
        MatInventConfig().validate()
    with pytest.raises(ConfigError, match=r"rl\.lr"):
        MatInventConfig().campaign("density", {"rl.lr": -1.0}).validate()
    with pytest.raises(ConfigError, match=r"rl\.lr.*Tune has not resolved it"):
        MatInventConfig().campaign("density", {"rl.lr": object()}).validate()
    with pytest.raises(ConfigError, match="densty"):
        MatInventConfig().campaign("densty")


def test_what_has_no_meaning_for_the_loop_is_refused() -> None:
    config = MatInventConfig().campaign("density")
    with pytest.raises(ValueError, match="no separate evaluation"):
        config.copy().evaluation(evaluation_interval=1).validate()
    with pytest.raises(ValueError, match="takes no environment"):
        config.copy().environment("CartPole-v1").validate()


def test_several_environments_are_refused() -> None:
    config = CrystalPPOConfig().campaign("density").env_runners(num_env_runners=2)
    with pytest.raises(ValueError, match=r"execution\.reward_workers"):
        config.validate()


ON_RAY = {
    "execution.backend": "ray",
    "execution.generators": 2,
    "execution.reward_workers": 3,
    "execution.gpus_per_reward_worker": 0.25,
    "execution.gpus_per_learner": 1.0,
}


def test_every_ray_worker_of_the_loop_has_a_bundle() -> None:
    config = MatInventConfig().campaign("density", ON_RAY)
    bundles = MatInvent.default_resource_request(config.to_dict()).bundles
    generator, reward, learner = {"CPU": 1.0}, {"CPU": 1.0, "GPU": 0.25}, {"CPU": 1.0, "GPU": 1.0}
    assert bundles == [{"CPU": 1.0}, generator, generator, reward, reward, reward, learner]


def test_one_process_needs_the_gpus_of_all_its_roles() -> None:
    settings = {**ON_RAY, "execution.backend": "local", "execution.cpus_per_worker": 2.0}
    run = MatInventConfig().campaign("density", settings).run_config()
    # A quarter and a whole GPU: Ray gives out parts of one, or whole ones.
    assert bundles_of(roles_of(run), run) == [{"CPU": 2.0, "GPU": 2}]


def test_ppo_asks_for_its_reward_workers() -> None:
    config = CrystalPPOConfig().campaign("density", ON_RAY)
    bundles = CrystalPPO.default_resource_request(config.to_dict()).bundles
    assert bundles.count({"CPU": 1.0, "GPU": 0.25}) == 3
    assert len(bundles) == 4
