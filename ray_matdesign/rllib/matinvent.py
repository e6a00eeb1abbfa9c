"""MatInvent's loop as an RLlib algorithm: a thin adapter over :mod:`ray_matdesign.rl.loop`.

RLlib trains modules on episodes of environments. This loop has neither: it keeps RLlib's
life cycle (configuration, ``train``, checkpoints, Tune) and leaves out environment runners, modules
and learners altogether.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.utils import force_list
from ray.rllib.utils.typing import StateDict
from ray.tune import PlacementGroupFactory

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.generators.protocol import Weights
from ray_matdesign.rl import records
from ray_matdesign.rl.executor import Executor
from ray_matdesign.rl.ledger import Ledger
from ray_matdesign.rl.loop import Campaign, publish, run_loop
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.replay import ReplayBuffer
from ray_matdesign.rl.run import changed_settings, snapshot
from ray_matdesign.rl.scoring import REWARD
from ray_matdesign.rl.stages import RunFailed, Tools
from ray_matdesign.rl.workers import LEARNER, roles_of
from ray_matdesign.rllib import saving
from ray_matdesign.rllib.campaign import CampaignConfig, ask, bundles_of, open_executor
from ray_matdesign.stability.reference import ReferenceSet


class MatInventConfig(CampaignConfig, AlgorithmConfig):
    """Configuration of :class:`MatInvent`.

    ::

        config = MatInventConfig().campaign("density-demo", {"rl.lr": tune.loguniform(1e-4, 1e-2)})
        tune.Tuner(MatInvent, param_space=config).fit()
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or MatInvent)

    def validate(self) -> None:
        """Checks RLlib's settings, then the campaign's.

        Raises:
            ConfigError: The campaign's settings are wrong, or there is none.
            ValueError: A setting of RLlib's that has no meaning here.
        """
        super().validate()
        if self.env is not None:
            self._value_error("MatInvent generates crystals itself and takes no environment")
        if self.evaluation_interval:
            self._value_error("MatInvent has no separate evaluation; unset evaluation_interval")
        if self.run_config().rl.staleness:
            self._value_error("RLlib asks for one loop at a time; set rl.staleness to 0")


class MatInvent(Algorithm):
    """One loop of the campaign for each call of ``train()``.

    Results have RLlib's layout: ``env_runners/episode_return_mean`` is the mean reward of the
    loop's evaluated crystals, ``learners/default_policy`` holds losses, ``timers`` seconds by
    stage, and ``campaign`` every metric of the loop as in ``metrics.jsonl``. What the loop has no
    figure for is NaN. The result of loop ``rl.loops`` says ``done``, which ends a trial of Tune's.

    Candidates, metrics and paid results are in a run directory that ``ray-matdesign report`` reads.
    """

    config: MatInventConfig
    _recorded: int | None = None  # loop up to which the record agrees with the campaign

    @classmethod
    def get_default_config(cls) -> MatInventConfig:
        """An empty configuration; it still needs a campaign."""
        return MatInventConfig()

    @classmethod
    def default_resource_request(cls, config: Any) -> PlacementGroupFactory:
        """A bundle for this process and one for each worker of the campaign."""
        given = cls.get_default_config().update_from_dict(config)
        run = given.run_config()
        return PlacementGroupFactory(
            bundles_of(roles_of(run), run), strategy=given.placement_strategy
        )

    def setup(self, config: Any) -> None:
        """Starts the workers and a campaign from the prior.

        Raises:
            RunFailed: A worker cannot start, or the directory holds a run with other settings.
            NotEnoughResources, ClusterUnreachable: With ``execution.backend: ray``.
        """
        self.callbacks = [make() for make in force_list(self.config.callbacks_class)]
        self.env_runner_group = None
        self._set_up_metrics()  # of RLlib's own timers, in which checkpoints are measured
        run = self.config.run_config()
        self._executor: Executor = open_executor(roles_of(run), run)
        self._records: records.Records | None = None
        try:
            self._begin(run)
        except BaseException:
            self.cleanup()
            raise

    def step(self) -> dict[str, Any]:
        """Runs the next loop.

        Raises:
            RunFailed: The loop cannot be finished; one line says why.
        """
        assert self._records is not None
        if self._recorded != self._campaign.loop:
            self._records.rewind(self._campaign.loop)
        record = run_loop(self._campaign, self._tools)
        self._records.append(record)
        self._recorded = self._campaign.loop
        return as_result(record.metrics, self._tools.config.rl.loops)

    def cleanup(self) -> None:
        """Stops the workers and closes the record; idempotent."""
        self._executor.close()
        if self._records is not None:
            self._records.close()
            self._records = None

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> StateDict:
        """The campaign as plain values and arrays; it has no components to choose from."""
        return {
            "training_iteration": self.training_iteration,
            "prior_digest": self._prior_digest,
            "campaign": snapshot(self._campaign),
        }

    def set_state(self, state: StateDict) -> None:
        """Goes on from a saved state.

        Raises:
            RunFailed: It belongs to another prior.
        """
        if state["prior_digest"] != self._prior_digest:
            checkpoint = self._tools.config.generator.checkpoint
            raise RunFailed(
                f"generator.checkpoint {checkpoint!r} is not the one that the saved campaign "
                f"started from"
            )
        held, campaign = state["campaign"], self._campaign
        campaign.loop, campaign.version = held.loop, held.version
        campaign.weights, campaign.optimizer = held.weights, held.optimizer
        campaign.replay.load_state_dict(held.replay)
        campaign.memory.load_state_dict(held.memory)
        self._iteration = state["training_iteration"]
        self._recorded = None
        publish(campaign, self._tools)

    def save_to_path(
        self,
        path: str | Path | None = None,
        *,
        state: StateDict | None = None,
        filesystem: Any = None,
        use_msgpack: bool = False,
    ) -> str:
        """Writes a checkpoint: settings as YAML, arrays as safetensors, the rest as JSON.

        Args:
            path: Folder or URI; by default a new folder for temporary files.
            state: Instead of the present one.
            filesystem: PyArrow's, where ``path`` is within it.
            use_msgpack: Makes no difference.

        Returns:
            The path.

        Raises:
            CheckpointError: It cannot be written.
        """
        held = self.get_state() if state is None else state
        return saving.save(path, filesystem, self, self._tools.config, held)

    def restore_from_path(
        self,
        path: str | Path,
        *,
        component: str | None = None,
        filesystem: Any = None,
        **kwargs: Any,
    ) -> None:
        """Goes on from a checkpoint, under this algorithm's own settings.

        Raises:
            CheckpointError: It cannot be read.
            RunFailed: It belongs to another prior.
        """
        self.set_state(saving.load_state(path, filesystem))

    @classmethod
    def from_checkpoint(cls, path: Any, filesystem: Any = None, **kwargs: Any) -> Self:
        """A new algorithm with a checkpoint's settings and state; nothing is unpickled.

        Args:
            path: Folder or URI, or a checkpoint object of Tune's.
            filesystem: PyArrow's, where ``path`` is within it.
            **kwargs: ``directory``: another run directory than the saved one's.

        Raises:
            CheckpointError: It cannot be read.
        """
        place = getattr(path, "path", path)
        where = getattr(path, "filesystem", filesystem)
        config = MatInventConfig(algo_class=cls)
        config.campaign(saving.load_config(place, where), directory=kwargs.get("directory"))
        algorithm = cls(config=config)
        try:
            algorithm.restore_from_path(place, filesystem=where)
        except BaseException:
            algorithm.stop()  # type: ignore[no-untyped-call]
            raise
        return algorithm

    def _begin(self, run: RunConfig) -> None:
        chosen = self.config.env_config["directory"]
        directory = Path(self.logdir) / "run" if chosen is None else Path(chosen)
        if chosen is not None:
            _check_owner(directory, run)
        directory.mkdir(parents=True, exist_ok=True)
        description = ask(self._executor, REWARD, "describe")
        prior = ask(self._executor, LEARNER, "initial")["weights"]
        self._prior_digest = digest(prior)
        self._campaign = Campaign(prior, ReplayBuffer(run.rl.replay))
        scorers = (*description["terms"], *description["filters"])
        self._tools = Tools(
            run,
            self._executor,
            ReferenceSet.load(run.stability.reference, run.stability),
            Ledger(directory / "ledger"),
            Silent(),
            tuple(scorer["name"] for scorer in scorers),
        )
        records.write_versions(directory, run.seed)
        records.write_json(directory / "objective.json", dict(description))
        records.write_config(directory, run)
        self._records = records.Records(directory, self._tools.properties)
        # Whether this trial begins, or is about to be restored, shows in the first step.
        self._recorded = None
        publish(self._campaign, self._tools)


def _check_owner(directory: Path, run: RunConfig) -> None:
    """Refuses a folder that was given to a run with other settings."""
    if (directory / "config.yaml").exists():
        changed = changed_settings(records.read_config(directory), run)
        if changed:
            raise RunFailed(
                f"{directory} holds a run with another {', '.join(changed)}; choose another folder"
            )


def as_result(metrics: Mapping[str, Any], loops: int) -> dict[str, Any]:
    """A loop's metrics in RLlib's layout; see :class:`MatInvent`."""
    told = {name: _figure(value) for name, value in metrics.items()}
    return {
        "env_runners": {
            "episode_return_mean": told["reward_mean"],
            "episode_return_max": told["reward_max"],
            "num_episodes": metrics["evaluated"],
            "num_episodes_lifetime": metrics["evaluations_total"],
        },
        "learners": {
            "default_policy": {
                name: told[name] for name in ("loss", "denoise", "deviation", "adam_steps")
            }
        },
        "timers": dict(metrics["timings"]),
        "num_env_steps_sampled_lifetime": metrics["evaluations_total"],
        "campaign": {name: value for name, value in told.items() if name != "timings"},
        "done": metrics["loop"] >= loops,
    }


def digest(weights: Weights) -> str:
    """SHA-256 of named arrays, to tell one prior from another."""
    summary = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name]
        summary.update(f"{name} {array.dtype.str} {array.shape}".encode())
        summary.update(array.tobytes())
    return summary.hexdigest()


def _figure(value: Any) -> Any:
    """NaN for what is not known, in mappings too: RLlib's loggers know no ``None``."""
    if isinstance(value, Mapping):
        return {name: _figure(part) for name, part in value.items()}
    return math.nan if value is None else value
