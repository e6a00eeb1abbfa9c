"""PPO from its first batch to its last, in a run directory that survives interruptions."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.distributed.session import RaySession
from ray_matdesign.rl.scoring import REWARD
from ray_matdesign.rl.stages import RunFailed
from ray_matdesign.rl.workers import roles_of
from ray_matdesign.rllib.environment import CrystalVectorEnv
from ray_matdesign.rllib.ppo import CRYSTALS, CrystalPPO, CrystalPPOConfig

KEEP = 2
"""Checkpoints of the agent kept."""


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        iteration: Updates of the agent, from 1.
        crystals: Built so far.
        evaluations: Billed so far.
        earned_mean: Mean reward of the iteration's crystals, what was turned down counting 0.
        entropy: Of the agent's choices, nats a step; near 0 it only repeats itself.
    """

    iteration: int
    crystals: int
    evaluations: int
    earned_mean: float
    entropy: float


def train_ppo(
    config: RunConfig,
    directory: Path,
    *,
    iterations: int,
    crystals: int = CRYSTALS,
    resume: bool = False,
    watch: Callable[[Progress], None] | None = None,
) -> CrystalPPOConfig:
    """Trains PPO to build crystals for a campaign's objective.

    The directory is a run directory, with a batch for a loop, and holds the agent's checkpoints in
    ``ppo/``: RLlib's own, which it reads with pickle, so take up no directory of unknown origin.

    Args:
        config: Of the campaign; ``seed`` seeds the agent.
        directory: New, or that of the training to go on with.
        iterations: Updates in all.
        crystals: Built and judged together in each.
        resume: Go on after the last checkpoint. No crystal is relaxed or evaluated twice.
        watch: Is told of each iteration.

    Returns:
        The agent's configuration.

    Raises:
        RunFailed: The directory holds a run already, or none to resume, or one with other
            settings; or no reward worker can start.
        NothingToBuild: The settings leave nothing to build.
        NotEnoughResources, ClusterUnreachable: With ``execution.backend: ray``.
    """
    begun = (directory / "config.yaml").exists()
    if begun and not resume:
        raise RunFailed(f"{directory} holds a run already; go on with --resume")
    if resume and not begun:
        raise RunFailed(f"{directory} holds no run to resume; start one without --resume")
    roles = [role for role in roles_of(config) if role.name == REWARD]
    setup = CrystalPPOConfig().campaign(config, directory=directory).crystals(crystals)
    setup.debugging(seed=config.seed)
    with RaySession(roles, config.execution), _built(setup) as algorithm:
        folder = directory / "ppo"
        held = checkpoints(folder)
        if held:
            algorithm.restore_from_path(str(held[-1]))
        while algorithm.training_iteration < iterations:
            result = algorithm.train()
            _save(algorithm, folder)
            if watch is not None:
                watch(_progress(algorithm, result["env_runners"], result["learners"], crystals))
    return setup


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints of an agent, oldest first."""
    return sorted(folder.glob("iteration-*"))


@contextmanager
def _built(setup: CrystalPPOConfig) -> Iterator[CrystalPPO]:
    algorithm = CrystalPPO(config=setup)
    try:
        yield algorithm
    finally:
        algorithm.stop()


def _save(algorithm: CrystalPPO, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"iteration-{algorithm.training_iteration:05d}"
    scratch = folder / f".{target.name}.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    algorithm.save_to_path(str(scratch))
    os.replace(scratch, target)
    for old in checkpoints(folder)[:-KEEP]:
        shutil.rmtree(old)


def _progress(
    algorithm: CrystalPPO, sampled: dict[str, float], learnt: dict[str, dict[str, float]], n: int
) -> Progress:
    environment = algorithm.env_runner.env.unwrapped
    assert isinstance(environment, CrystalVectorEnv)
    appraiser = environment.workshop.appraiser
    return Progress(
        iteration=algorithm.training_iteration,
        crystals=appraiser.batches * n,
        evaluations=appraiser.evaluations,
        earned_mean=float(sampled["episode_return_mean"]),
        entropy=float(learnt["default_policy"].get("entropy", math.nan)),
    )
