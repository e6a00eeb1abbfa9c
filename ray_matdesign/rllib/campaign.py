"""How an RLlib configuration names a design campaign, and what its workers need."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ray_matdesign.config.loading import ConfigError, Override, apply_overrides, read_source
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.config.yaml_text import YamlError, parse
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.rl.executor import BatchFailed, Executor, Payload, Role
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.stages import RunFailed


class CampaignConfig:
    """What :class:`MatInventConfig` and :class:`CrystalPPOConfig` share: the campaign.

    It lives in RLlib's ``env_config``, as plain data: this is the place for what the environment is
    told, it reaches every process, and Tune finds search spaces inside it.
    """

    env_config: dict[str, Any]

    def campaign(
        self,
        source: str | Path | RunConfig,
        overrides: Mapping[str, Any] | None = None,
        *,
        directory: str | Path | None = None,
    ) -> Self:
        """Sets what is designed, and how.

        Args:
            source: Name of a recipe, path of a YAML file, or settings at hand.
            overrides: Values by dotted key, ``{"rl.lr": 1e-5}``; a value may be one of Tune's
                search spaces.
            directory: Run directory where candidates, metrics and paid results are kept; by
                default ``run`` in the algorithm's log directory with MatInvent, none with PPO.

        Returns:
            This configuration.

        Raises:
            ConfigError: There is no such recipe or file, or it is no YAML.
        """
        if isinstance(source, RunConfig):
            where, settings = "settings given", source.model_dump(mode="json")
        else:
            where, text = read_source(source)
            settings = _mapping(where, text)
        self.env_config = {
            "where": where,
            "settings": settings,
            "overrides": dict(overrides or {}),
            "directory": None if directory is None else str(Path(directory).absolute()),
        }
        return self

    def run_config(self) -> RunConfig:
        """The campaign's settings; ``debugging(seed=...)``, where given, is its seed.

        Raises:
            ConfigError: No campaign was set, or its settings are wrong: a line for each thing.
        """
        seed: int | None = vars(self)["seed"]  # as AlgorithmConfig has it
        return run_config_of(self.env_config, seed)


def run_config_of(env_config: Mapping[str, Any], seed: int | None = None) -> RunConfig:
    """Settings of the campaign in an ``env_config``; see :meth:`CampaignConfig.run_config`."""
    if "settings" not in env_config:
        raise ConfigError("no campaign to run; set one with .campaign('density')")
    changes = dict(env_config["overrides"])
    if seed is not None:
        changes["seed"] = seed
    overrides = [Override.parse(f"{key}={_yaml(key, value)}") for key, value in changes.items()]
    return apply_overrides(RunConfig, env_config["settings"], env_config["where"], overrides)


def open_executor(roles: Sequence[Role], config: RunConfig) -> Executor:
    """The executor of the configured backend, with these roles."""
    if config.execution.backend == "ray":
        return RayExecutor(roles, config.execution)
    return LocalExecutor(roles)


def ask(executor: Executor, role: str, verb: str) -> Payload:
    """The answer of one worker to a question without arguments.

    Raises:
        RunFailed: The worker cannot be built, or cannot answer.
    """
    ((_, answer),) = executor.map(role, verb, [{}])
    if isinstance(answer, BatchFailed):
        raise RunFailed(f"the {role} worker cannot start: {answer.reason}")
    return answer


def bundles_of(roles: Sequence[Role], config: RunConfig) -> list[dict[str, float]]:
    """Ray's resource bundles for the workers of a campaign, the algorithm's own process first.

    With ``execution.backend: ray`` every worker has a process and a bundle; the algorithm's process
    only hands out work. With ``local`` it does all the work itself, a role at a time, while the
    models of all roles stay in memory: GPU shares add up, CPU shares do not.
    """
    if config.execution.backend == "ray":
        workers = [_bundle(role.cpus, role.gpus) for role in roles for _ in range(role.workers)]
        return [{"CPU": 1.0}, *workers]
    gpus = sum(role.gpus for role in roles)
    cpus = max(1.0, *(role.cpus for role in roles))
    return [_bundle(cpus, gpus if gpus <= 1.0 else math.ceil(gpus))]


def _bundle(cpus: float, gpus: float) -> dict[str, float]:
    return {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}


def _mapping(where: str, text: str) -> dict[str, Any]:
    """YAML as plain data; settings are checked once overrides are known."""
    try:
        data = parse(text)
    except YamlError as error:
        raise ConfigError(f"{where}: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: must be a mapping of keys to values")
    return data


def _yaml(key: str, value: Any) -> str:
    """A plain value as YAML, of which JSON is a part."""
    try:
        return json.dumps(value)
    except TypeError as error:
        raise ConfigError(
            f"{key}: {value!r} is no plain value; Tune has not resolved it"
        ) from error
