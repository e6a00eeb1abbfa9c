"""PPO on crystals built step by step: a baseline without a diffusion model.

Steps of the environment cost microseconds and finished crystals seconds, so there is one
environment, in the algorithm's own process, and what runs in parallel are the reward workers. One
environment also means one long-term memory for the diversity filter and one record of what was
paid.
"""

from __future__ import annotations

from typing import Any, Self

from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule
from ray.tune import PlacementGroupFactory

from ray_matdesign.rl.scoring import REWARD
from ray_matdesign.rl.workers import roles_of
from ray_matdesign.rllib.assembly import STEPS
from ray_matdesign.rllib.campaign import CampaignConfig, bundles_of
from ray_matdesign.rllib.environment import CrystalVectorEnv

CRYSTALS = 32
"""Crystals of a batch, by default."""


class CrystalPPOConfig(CampaignConfig, PPOConfig):
    """PPO's configuration for :class:`CrystalVectorEnv`.

    ::

        config = CrystalPPOConfig().campaign("density", {"relaxation.batch_size": 16})
        algorithm = config.build_algo()
        algorithm.train()["env_runners"]["episode_return_mean"]
    """

    def __init__(self, algo_class: type[PPO] | None = None) -> None:
        super().__init__(algo_class=algo_class or CrystalPPO)  # type: ignore[no-untyped-call]
        self.environment(CrystalVectorEnv)
        self.env_runners(
            num_env_runners=0,
            gym_env_vectorize_mode="vector_entry_point",
            batch_mode="complete_episodes",
        )
        self.rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=ActionMaskingTorchRLModule,
                model_config={"fcnet_hiddens": [128, 128], "fcnet_activation": "tanh"},
            )
        )
        # The one reward of an episode comes at its end: nothing to discount or to bootstrap.
        self.training(gamma=1.0, lambda_=1.0, lr=1e-3, entropy_coeff=0.01, num_epochs=8)
        self.crystals(CRYSTALS)

    def crystals(self, count: int) -> Self:
        """Sets how many crystals are built and judged together, and trained on together.

        Args:
            count: Crystals of a batch; of an iteration, too.
        """
        self.env_runners(num_envs_per_env_runner=count)
        self.reporting(metrics_num_episodes_for_smoothing=count)  # means are of the last batch
        steps = count * STEPS
        self.training(train_batch_size_per_learner=steps, minibatch_size=steps)
        return self

    def validate(self) -> None:
        """Checks PPO's settings, then the campaign's.

        Raises:
            ConfigError: The campaign's settings are wrong.
            ValueError: A setting of RLlib's does not fit.
        """
        super().validate()
        if self.num_env_runners:
            self._value_error(
                "num_env_runners must be 0: crystals are judged in parallel by "
                "execution.reward_workers, not by several environments"
            )
        self.run_config()


class CrystalPPO(PPO):
    """PPO that asks Ray for its reward workers as well."""

    @classmethod
    def get_default_config(cls) -> CrystalPPOConfig:
        """An empty configuration; it still needs a campaign."""
        return CrystalPPOConfig()

    @classmethod
    def default_resource_request(cls, config: Any) -> PlacementGroupFactory:
        """PPO's own bundles; its process also gets what local workers need."""
        request = super().default_resource_request(config)
        run = cls.get_default_config().update_from_dict(config).run_config()
        assert isinstance(request, PlacementGroupFactory)
        own, *workers = bundles_of([r for r in roles_of(run) if r.name == REWARD], run)
        main, *others = request.bundles
        shares = {name: max(main.get(name, 0.0), own.get(name, 0.0)) for name in {**main, **own}}
        return PlacementGroupFactory([shares, *others, *workers], strategy=request.strategy)
