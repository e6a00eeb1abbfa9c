"""From a recipe or a YAML file, and overrides of single keys, to the settings of a run."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from ray_matdesign.config import problems
from ray_matdesign.config.schema import RunConfig, Settings
from ray_matdesign.config.yaml_text import YamlError, format_yaml, parse

COMMAND_LINE = "command line"

AnySettings = TypeVar("AnySettings", bound=Settings)


class ConfigError(ValueError):
    """Settings that cannot be used; every line of the message names the file and the key."""


@dataclass(frozen=True)
class Recipe:
    """A configuration shipped with the package.

    Attributes:
        name: As given to ``ray-matdesign run``.
        summary: The first line of its file.
        text: The whole file.
    """

    name: str
    summary: str
    text: str


@dataclass(frozen=True)
class Override:
    """One key set on top of a file.

    Attributes:
        path: The parts of the dotted key; numbers index lists.
        value: Plain data.
        origin: Who set it, for errors.
    """

    path: problems.Path
    value: Any
    origin: str = COMMAND_LINE

    @classmethod
    def parse(cls, text: str) -> Override:
        """Reads ``rl.lr=1e-5``; the value is YAML, and an empty one is null.

        Raises:
            ConfigError: There is no ``=``, or a part is empty, or the value is no YAML.
        """
        key, equals, value = text.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise ConfigError(f"{COMMAND_LINE}: {text!r} is not of the form key=value, rl.lr=1e-5")
        try:
            parsed = parse(value)
        except YamlError as error:
            raise ConfigError(f"{COMMAND_LINE}: {key.strip()}: {value!r}: {error}") from error
        return cls(path_of(key.strip()), parsed)


def path_of(key: str) -> problems.Path:
    """``objective.terms.0.weight`` as its parts; numbers index lists."""
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))


def list_recipes() -> list[Recipe]:
    """The shipped recipes, by name."""
    folder = resources.files("ray_matdesign.config").joinpath("recipes")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    texts = ((f.name.removesuffix(".yaml"), f.read_text(encoding="utf-8")) for f in files)
    return [Recipe(name, text.partition("\n")[0].lstrip("# "), text) for name, text in texts]


def load_run_config(
    source: str | Path, overrides: Sequence[str] = (), *, overlays: Sequence[Path] = ()
) -> RunConfig:
    """Reads the settings of a run.

    Args:
        source: Name of a recipe, or path of a YAML file (write ``./density`` for a file that is
            called like a recipe).
        overrides: Each ``dotted.key=value``, applied in turn; ``objective.terms.0.weight=2``
            reaches into a list.
        overlays: YAML files of some keys each, in the shape of the whole; they are applied before
            the overrides, in turn.

    Raises:
        ConfigError: One line for each thing that is wrong.
    """
    where, text = read_source(source)
    layers = [override for overlay in overlays for override in read_overlay(overlay)]
    return _load(RunConfig, text, where, [*layers, *map(Override.parse, overrides)])


def read_overlay(path: Path) -> list[Override]:
    """The keys that a file sets on top of another; a list replaces the other's list.

    Raises:
        ConfigError: The file cannot be read, or is no mapping of keys to values.
    """
    try:
        data = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    except YamlError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be a mapping of keys to values")
    return [Override(keys, value, str(path)) for keys, value in _leaves(data)]


def _leaves(data: dict[str, Any], above: problems.Path = ()) -> Iterator[tuple[problems.Path, Any]]:
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def load_settings(
    model: type[AnySettings], text: str, where: str, overrides: Sequence[str] = ()
) -> AnySettings:
    """Reads settings of any kind from YAML text.

    Numbers must be numbers and strings strings: nothing is converted except a whole number where
    a real one is asked for.

    Args:
        model: The kind of settings.
        text: YAML, a mapping.
        where: Name of the text, for errors.
        overrides: As for :func:`load_run_config`.

    Raises:
        ConfigError: One line for each thing that is wrong.
    """
    return _load(model, text, where, [Override.parse(text) for text in overrides])


def _load(
    model: type[AnySettings], text: str, where: str, overrides: Sequence[Override]
) -> AnySettings:
    try:
        data = parse(text)
    except YamlError as error:
        raise ConfigError(f"{where}: {error}") from error
    if data is None:
        raise ConfigError(f"{where}: the file is empty; it must hold at least the required keys")
    if not isinstance(data, dict):
        kind = type(data).__name__
        raise ConfigError(f"{where}: must be a mapping of keys to values, found a {kind}")
    return apply_overrides(model, data, where, overrides)


def apply_overrides(
    model: type[AnySettings], data: dict[str, Any], where: str, overrides: Sequence[Override]
) -> AnySettings:
    """Sets single keys of plain data and checks the whole; see :func:`load_settings`."""
    merged = copy.deepcopy(data)
    for override in overrides:
        _set(merged, override)
    try:
        # By way of JSON because only there does strict checking let a list stand for a tuple.
        plain = json.dumps(merged)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: only plain values are possible: {error}") from error
    try:
        return model.model_validate_json(plain, strict=True)
    except ValidationError as error:
        lines = (
            f"{_blame(path, where, overrides)}: {problems.dotted(path)}: {problem}"
            for path, problem in problems.describe(error, model, merged)
        )
        raise ConfigError("\n".join(lines)) from error


def dump(config: Settings) -> str:
    """The settings, defaults included, as YAML that loads back to the same settings."""
    return format_yaml(config.model_dump(mode="python"))


def read_source(source: str | Path) -> tuple[str, str]:
    """Name for errors, and text, of a recipe or file; see :func:`load_run_config`."""
    recipes = {recipe.name: recipe for recipe in list_recipes()}
    if isinstance(source, str) and source in recipes:
        return f"recipe {source}", recipes[source].text
    path = Path(source)
    try:
        return str(source), path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(_not_found(str(source), recipes)) from error
    except IsADirectoryError as error:
        raise ConfigError(f"{source}: is a folder; give a recipe or a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: not a text file") from error
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from error


def _not_found(source: str, recipes: Iterable[str]) -> str:
    if source.endswith((".yaml", ".yml")) or "/" in source:
        return f"{source}: no such file"
    near = difflib.get_close_matches(source, list(recipes), n=1)
    hint = f"did you mean {near[0]}?" if near else f"recipes are {', '.join(recipes)}"
    return f"{source}: neither a recipe nor a file; {hint}"


def _set(data: dict[str, Any], override: Override) -> None:
    node: Any = data
    for depth, part in enumerate(override.path, start=1):
        _check_step(node, part, override.path[:depth], override.origin)
        if depth == len(override.path):
            node[part] = override.value
            return
        if isinstance(node, dict) and node.get(part) is None:
            node[part] = {}
        node = node[part]


def _check_step(node: Any, part: str | int, path: problems.Path, origin: str) -> None:
    """Refuses to go from ``node`` to ``part`` where that cannot be."""
    key, holder = problems.dotted(path), problems.dotted(path[:-1])
    if isinstance(node, list):
        if not isinstance(part, int) or part >= len(node):
            held = f"{holder} is a list of {len(node)}, counted from 0"
            raise ConfigError(f"{origin}: {key}: there is no such item; {held}")
    elif not isinstance(node, dict):
        raise ConfigError(f"{origin}: {key}: {holder} is {node!r}, which has no keys")
    elif isinstance(part, int):
        raise ConfigError(
            f"{origin}: {key}: the file gives no list there; set all of it, {holder}=[...]"
        )


def _blame(path: problems.Path, where: str, overrides: Sequence[Override]) -> str:
    """Who set what is wrong at ``path``: an override of it, or of a part or the whole of it."""
    for override in reversed(overrides):
        shared = min(len(path), len(override.path))
        if shared and path[:shared] == override.path[:shared]:
            return override.origin
    return where
