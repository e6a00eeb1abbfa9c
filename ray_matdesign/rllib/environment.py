"""Crystals built step by step, as Gymnasium environments.

An episode chooses a structure type and an element for each of its sites. The finished crystal is
relaxed and judged by the run's own gate and objective (:mod:`ray_matdesign.rllib.appraisal`); its
penalised reward comes with the last step, 0 where the gate turned it down. Nothing is drawn at
random here: the same actions make the same crystals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from ray_matdesign.rl.candidate import Candidate
from ray_matdesign.rllib.appraisal import Appraiser
from ray_matdesign.rllib.assembly import STEPS, Assembly, Draft
from ray_matdesign.rllib.campaign import run_config_of

Observation = dict[str, NDArray[np.float32]]

SPOILED = "spoiled"
"""Outcome of an episode with an action outside its mask."""


class CrystalEnv(gym.Env[Observation, int]):
    """One crystal an episode.

    Observations hold the draft as numbers (``observations``) and the actions that may follow
    (``action_mask``: 1 for an action that leaves a completion possible, else 0). An action outside
    the mask spoils the crystal: the episode goes on to its end and earns nothing. The last step's
    info tells ``crystal``, ``outcome`` and ``reason``.

    Args:
        config: ``env_config`` of a campaign; see :class:`ray_matdesign.rllib.campaign
            .CampaignConfig`.

    Raises:
        ConfigError: The campaign's settings are wrong.
        NothingToBuild: They leave nothing to build.
        RunFailed: The directory belongs to another run, or no reward worker can start.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - as gymnasium declares it

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._workshop = Workshop(config)
        self.observation_space = self._workshop.observation_space
        self.action_space = self._workshop.action_space
        self._draft = Draft()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts another crystal."""
        super().reset(seed=seed, options=options)
        self._draft = Draft()
        return self._workshop.observe(self._draft), {}

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes an action; the last one of an episode has the crystal judged."""
        self._draft = self._workshop.assembly.after(self._draft, int(action))
        observation = self._workshop.observe(self._draft)
        if not self._draft.finished:
            return observation, 0.0, False, False, {}
        ((reward, info),) = self._workshop.finish([self._draft])
        return observation, reward, True, False, info

    def close(self) -> None:
        """Stops the reward workers."""
        self._workshop.close()


class CrystalVectorEnv(gym.vector.VectorEnv[Observation, NDArray[np.int64], NDArray[Any]]):
    """Crystals built side by side, of which a whole batch is judged at once.

    All episodes are of one length, so all end in the same step; the following one resets them. See
    :class:`CrystalEnv` for observations, actions and infos.

    Args:
        config: ``env_config`` of a campaign, and ``num_envs``: crystals in a batch.

    Raises:
        ConfigError, NothingToBuild, RunFailed: As for :class:`CrystalEnv`.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.num_envs = int(config.get("num_envs", 1))
        self._workshop = Workshop(config)
        self.single_observation_space = self._workshop.observation_space
        self.single_action_space = self._workshop.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._drafts = [Draft()] * self.num_envs

    @property
    def workshop(self) -> Workshop:
        """What the crystals are built and judged with."""
        return self._workshop

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts a batch; no seed makes a difference."""
        self._drafts = [Draft()] * self.num_envs
        return self._observation(), {}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Takes an action for each crystal; after the last step of the episodes, starts others."""
        rewards = np.zeros(self.num_envs)
        ended = np.zeros(self.num_envs, dtype=bool)
        infos: dict[str, Any] = {}
        if self._drafts[0].finished:
            observation, infos = self.reset()
            return observation, rewards, ended, ended.copy(), infos
        after = self._workshop.assembly.after
        self._drafts = [after(d, int(a)) for d, a in zip(self._drafts, actions, strict=True)]
        if self._drafts[0].finished:
            ended[:] = True
            for place, (reward, info) in enumerate(self._workshop.finish(self._drafts)):
                rewards[place] = reward
                infos = self._add_info(infos, info, place)
        return self._observation(), rewards, ended, np.zeros_like(ended), infos

    def close_extras(self, **kwargs: Any) -> None:
        """Stops the reward workers."""
        self._workshop.close()

    def _observation(self) -> Observation:
        seen = [self._workshop.observe(draft) for draft in self._drafts]
        return {key: np.stack([one[key] for one in seen]) for key in seen[0]}


class Workshop:
    """What both environments share: what may be built, and how it is judged.

    Attributes:
        assembly: What may be built.
        appraiser: How it is judged.
        observation_space: Of one crystal.
        action_space: Of one crystal.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        run = run_config_of(config)
        directory = config["directory"]
        self.appraiser = Appraiser(run, None if directory is None else Path(directory))
        try:
            self.assembly = Assembly.of(run, self.appraiser.reference.elements)
        except BaseException:
            self.appraiser.close()
            raise
        box = gym.spaces.Box
        actions, features = self.assembly.n_actions, self.assembly.n_features
        self.action_space: gym.Space[Any] = gym.spaces.Discrete(actions)
        self.observation_space = gym.spaces.Dict(
            {
                "action_mask": box(0.0, 1.0, (actions,), np.float32),
                "observations": box(0.0, 1.0, (features,), np.float32),
            }
        )

    def observe(self, draft: Draft) -> Observation:
        """What an agent sees of a draft."""
        return {
            "action_mask": self.assembly.mask(draft).astype(np.float32),
            "observations": self.assembly.features(draft),
        }

    def finish(self, drafts: Sequence[Draft]) -> list[tuple[float, dict[str, Any]]]:
        """Reward and info of each finished draft; whole crystals are judged in one batch."""
        built = [self.assembly.crystal(draft) for draft in drafts]
        judged = iter(self.appraiser.judge([crystal for crystal in built if crystal is not None]))
        return [
            (0.0, {"crystal": self.assembly.name(draft), "outcome": SPOILED, "reason": ""})
            if crystal is None
            else _verdict(self.assembly.name(draft), next(judged))
            for draft, crystal in zip(drafts, built, strict=True)
        ]

    def close(self) -> None:
        """Stops the reward workers."""
        self.appraiser.close()


def random_batch(workshop: Workshop, n: int, rng: np.random.Generator) -> list[Draft]:
    """Finished drafts by uniform choice among the actions of each mask: the prior of this game.

    Args:
        workshop: Where to build.
        n: How many.
        rng: Draws the actions.
    """
    assembly = workshop.assembly
    drafts = [Draft()] * n
    for _ in range(STEPS):
        drafts = [
            assembly.after(draft, int(rng.choice(np.flatnonzero(assembly.mask(draft)))))
            for draft in drafts
        ]
    return drafts


def _verdict(name: str, candidate: Candidate) -> tuple[float, dict[str, Any]]:
    reward = candidate.penalised_reward
    told = {"crystal": name, "outcome": candidate.outcome.value, "reason": candidate.reason}
    return (0.0 if reward is None else float(reward)), told
