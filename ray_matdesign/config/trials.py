"""From a sweep to the settings of its trials; every key is checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_matdesign.config.loading import (
    COMMAND_LINE,
    ConfigError,
    Override,
    apply_overrides,
    dump,
    load_settings,
    path_of,
    read_source,
)
from ray_matdesign.config.objective import ObjectiveSettings
from ray_matdesign.config.problems import dotted
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.config.sweep import RECIPE, Choice, Dimension, Grid, SweepConfig
from ray_matdesign.config.yaml_text import YamlError, parse

Changes = Mapping[str, Any]
"""What a trial has otherwise than the base: values by dotted key."""


@dataclass(frozen=True)
class Sweep:
    """A sweep whose bases have been read.

    Attributes:
        config: Its settings.
        bases: Text of every base, by the name the settings give it.
        where: Its file, for errors.
        commanded: Keys of ``config.overrides`` that were set on the command line.
    """

    config: SweepConfig
    bases: Mapping[str, str]
    where: str
    commanded: frozenset[str] = frozenset()

    def run_config(self, changes: Changes, number: int) -> RunConfig:
        """Settings of a trial.

        Args:
            changes: Values of the space's keys.
            number: Of the trial, from 1.

        Raises:
            ConfigError: The values do not go together; every line names file and key.
        """
        base, overrides = self._overridden(changes)
        space = f"{self.where}: space"
        overrides += [
            Override(path_of(key), value, space) for key, value in changes.items() if key != RECIPE
        ]
        config = apply_overrides(RunConfig, self._data(base), base, overrides)
        told: dict[str, Any] = {"name": f"{self.config.name}-{number:05d}"}
        if "seed" not in {*changes, *self.config.overrides}:
            told["seed"] = self.config.seed + number
        if self.config.evaluations is not None:
            told["rl"] = config.rl.model_copy(update={"loops": self._loops(config)})
        return config.model_copy(update=told)

    def judge(self, changes: Changes) -> ObjectiveSettings:
        """The objective by which a trial is judged: that of its base, whatever the space changes.

        Trials that choose their own weights and bounds would otherwise each be judged by their own.
        """
        base, overrides = self._overridden(changes)
        return apply_overrides(RunConfig, self._data(base), base, overrides).objective

    def files(self) -> dict[str, str]:
        """Text of the files, by name, from which :func:`read_sweep` has it back."""
        return {"sweep.yaml": dump(self.config), "bases.json": json.dumps(self.bases, indent=2)}

    def _overridden(self, changes: Changes) -> tuple[str, list[Override]]:
        """The base of a trial and what is set on top of it."""
        base = changes.get(RECIPE, self.config.recipe)
        overrides = [
            Override(
                path_of(key),
                value,
                COMMAND_LINE if key in self.commanded else f"{self.where}: overrides",
            )
            for key, value in self.config.overrides.items()
        ]
        return base, overrides

    def _data(self, base: str) -> dict[str, Any]:
        try:
            data = parse(self.bases[base])
        except YamlError as error:
            raise ConfigError(f"{base}: {error}") from error
        if not isinstance(data, dict):
            raise ConfigError(f"{base}: must be a mapping of keys to values")
        return data

    def _loops(self, config: RunConfig) -> int:
        """Loops within which the trial's evaluations are paid for."""
        assert self.config.evaluations is not None
        rest = self.config.evaluations - config.rl.budget(1)
        return 1 + max(0, -(-rest // config.rl.evaluations))


def load_sweep(source: str | Path, overrides: Sequence[str] = ()) -> Sweep:
    """Reads a sweep and checks every point at the ends of its space.

    Args:
        source: A YAML file.
        overrides: Each ``key=value``: of the sweep (``trials=8``), or else of all its runs
            (``rl.loops=2``).

    Raises:
        ConfigError: One line for each thing that is wrong, naming file and key.
    """
    where, text = read_source(source)
    of_sweep = [o for o in overrides if o.partition("=")[0].split(".")[0] in _SWEEP_KEYS]
    of_runs = [Override.parse(o) for o in overrides if o not in of_sweep]
    config = load_settings(SweepConfig, text, where, of_sweep)
    commanded = {dotted(override.path): override.value for override in of_runs}
    config = config.model_copy(update={"overrides": {**config.overrides, **commanded}})
    bases = {name: _read_base(name, where) for name in _base_names(config, where)}
    sweep = Sweep(config, bases, where, frozenset(commanded))
    check(sweep)
    return sweep


def read_sweep(folder: Path) -> Sweep:
    """Reads the sweep that a folder belongs to.

    Raises:
        ConfigError: The folder holds none, or a damaged one.
    """
    path = folder / "sweep.yaml"
    if not path.is_file():
        raise ConfigError(f"{folder} is no folder of a sweep: it holds no {path.name}")
    config = load_settings(SweepConfig, path.read_text(encoding="utf-8"), str(path))
    try:
        bases = json.loads((folder / "bases.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder / 'bases.json'}: cannot be read: {error}") from error
    return Sweep(config, bases, str(path))


def check(sweep: Sweep) -> None:
    """Checks the space against the settings of a run, and the metrics against its objective.

    Every key is tried with its first and its last value, all together, and every further value of
    a choice beside the first ones of the others.

    Raises:
        ConfigError: One line for each thing that is wrong.
    """
    lines: dict[str, str] = {}  # by what is wrong: a key wrong at both its ends is told once
    for changes in corners(sweep.config.space):
        try:
            config = sweep.run_config(changes, 1)
            judge = sweep.judge(changes)
        except ConfigError as error:
            for line in str(error).splitlines():
                lines.setdefault(line.rpartition(", got ")[0] or line, line)
            continue
        lines |= {line: line for line in _misfits(sweep, config, judge)}
    if lines:
        raise ConfigError("\n".join(lines.values()))


def corners(space: Mapping[str, Dimension]) -> Iterator[dict[str, Any]]:
    """Points that between them have every end and every choice of a space."""
    first = {key: _ends(dimension)[0] for key, dimension in space.items()}
    yield first
    yield {key: _ends(dimension)[1] for key, dimension in space.items()}
    for key, dimension in space.items():
        if isinstance(dimension, Choice | Grid):
            yield from ({**first, key: value} for value in dimension.values[1:-1])


def _ends(dimension: Dimension) -> tuple[Any, Any]:
    if isinstance(dimension, Choice | Grid):
        return dimension.values[0], dimension.values[-1]
    return dimension.low, dimension.high


def _misfits(sweep: Sweep, config: RunConfig, judge: ObjectiveSettings) -> Iterator[str]:
    """What is wrong with a trial beyond its settings as such."""
    scorers = [term.scorer for term in judge.terms]
    if [term.scorer for term in config.objective.terms] != scorers:
        yield (
            f"{sweep.where}: space: objective.terms: trials are judged by {', '.join(scorers)}; "
            f"a space may change weights and bounds, not what is scored (choose a recipe instead)"
        )
    if config.objective.filters != judge.filters:
        yield f"{sweep.where}: space: objective.filters: must be the same in all trials"
    for place, metric in enumerate(sweep.config.metrics):
        key = f"{sweep.where}: metrics.{place}.name"
        _, dot, scorer = metric.name.partition(".")
        if dot and scorer not in scorers:
            yield f"{key}: {metric.name}: the objective scores {', '.join(scorers)}"
        if metric.name == "hypervolume" and len(scorers) < 2:
            yield f"{key}: hypervolume needs two properties, and there is but {scorers[0]}"
    if sweep.config.evaluations is not None and "rl.loops" in {
        *sweep.config.space,
        *sweep.config.overrides,
    }:
        yield f"{sweep.where}: evaluations: sets rl.loops, which is given as well; remove one"


def _read_base(name: str, where: str) -> str:
    try:
        return read_source(name)[1]
    except ConfigError as error:
        raise ConfigError(f"{where}: {RECIPE}: {error}") from error


def _base_names(config: SweepConfig, where: str) -> list[str]:
    """Every base that a trial may have."""
    chosen = config.space.get(RECIPE)
    if chosen is None:
        return [config.recipe]
    if not isinstance(chosen, Choice | Grid) or not all(isinstance(v, str) for v in chosen.values):
        raise ConfigError(f"{where}: space.{RECIPE}: must be a choice or grid of recipes")
    return list(dict.fromkeys([config.recipe, *chosen.values]))


_SWEEP_KEYS = frozenset(SweepConfig.model_fields)
