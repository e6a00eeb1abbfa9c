"""PPO learns to build what is rewarded, and goes on where it stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest
import toy

from ray_matdesign.cli.app import main
from ray_matdesign.rl.stages import RunFailed
from ray_matdesign.rllib.environment import CrystalVectorEnv, random_batch
from ray_matdesign.rllib.ppo import CrystalPPOConfig
from ray_matdesign.rllib.training import checkpoints, train_ppo

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]


def free(reference):
    """A toy campaign that rewards a good crystal however often it is built."""
    return toy.config(
        reference,
        **{
            "rl.diversity": {"tolerance": 9000, "buffer": 10000},
            "stability": {"reference": str(reference), "require": ["stable"]},
        },
    )


def lines(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_it_builds_better_crystals_than_chance(reference, local_ray):
    config = CrystalPPOConfig().campaign(free(reference)).debugging(seed=3)
    env = CrystalVectorEnv(config.env_config | {"num_envs": 200})
    drafts = random_batch(env.workshop, 200, np.random.default_rng(0))
    chance = np.mean([reward for reward, _ in env.workshop.finish(drafts)])
    env.close()
    algorithm = config.build_algo()
    returns = [algorithm.train()["env_runners"]["episode_return_mean"] for _ in range(12)]
    algorithm.stop()
    assert returns[0] == pytest.approx(chance, abs=0.15)  # one batch of 32
    assert np.mean(returns[-3:]) > chance + 0.2


def test_a_training_goes_on_where_it_stopped(reference, tmp_path, local_ray):
    config, run = free(reference), tmp_path / "run"
    seen = []
    train_ppo(config, run, iterations=1, crystals=6, watch=seen.append)
    with pytest.raises(RunFailed, match="go on with --resume"):
        train_ppo(config, run, iterations=2, crystals=6)
    train_ppo(config, run, iterations=3, crystals=6, resume=True, watch=seen.append)
    assert [progress.iteration for progress in seen] == [1, 2, 3]
    assert [progress.crystals for progress in seen] == [6, 12, 18]
    earned = [row["earned_mean"] for row in lines(run)]
    assert earned == pytest.approx([progress.earned_mean for progress in seen])
    assert [path.name for path in checkpoints(run / "ppo")] == [
        "iteration-00002",
        "iteration-00003",
    ]


def test_errors_of_the_command_are_one_line(reference, tmp_path, capsys):
    assert main(["ppo", "density", "--resume", "--out", str(tmp_path / "none")]) == 2
    told = capsys.readouterr().err.strip()
    assert told.endswith("holds no run to resume; start one without --resume")
    assert "\n" not in told
