"""Points of a search space: drawn, listed, and brought back into it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, assert_never

import numpy as np

from ray_matdesign.config.loading import ConfigError
from ray_matdesign.config.sweep import (
    Choice,
    Dimension,
    Grid,
    LogUniform,
    Nsga2,
    QLogUniform,
    QRandInt,
    QUniform,
    RandInt,
    Uniform,
)
from ray_matdesign.config.trials import Changes, Sweep

_MOST_DRAWS = 1000
"""Draws of one point before a space is held to have none whose settings go together."""

_DIGITS = 12
"""Decimals of quantised numbers: 0.1 + 2 x 0.1 is meant to be 0.3."""


def draw(dimension: Dimension, rng: np.random.Generator) -> Any:
    """Draws one value."""
    match dimension:
        case Choice() | Grid():
            return dimension.values[int(rng.integers(len(dimension.values)))]
        case QUniform() | QRandInt():
            return _at_step(dimension, int(rng.integers(_steps(dimension) + 1)))
        case LogUniform():
            low, high = math.log(dimension.low), math.log(dimension.high)
            return clip(dimension, math.exp(rng.uniform(low, high)))
        case Uniform():
            return float(rng.uniform(dimension.low, dimension.high))
        case RandInt():
            return int(rng.integers(dimension.low, dimension.high, endpoint=True))
        case _:
            assert_never(dimension)


def clip(dimension: Dimension, value: Any) -> Any:
    """The value of a dimension nearest to ``value``; of a list, the value as it is."""
    match dimension:
        case Choice() | Grid():
            return value
        case QUniform() | QLogUniform() | QRandInt():
            step = round((value - dimension.low) / dimension.step)
            return _at_step(dimension, min(max(step, 0), _steps(dimension)))
        case RandInt():
            return min(max(round(value), dimension.low), dimension.high)
        case Uniform() | LogUniform():
            return float(min(max(value, dimension.low), dimension.high))
        case _:
            assert_never(dimension)


def plan(sweep: Sweep) -> list[Changes]:
    """The trials known beforehand, in their order.

    All of them but for a genetic search, of which it is the first generation. The same sweep has
    the same plan wherever and whenever it is made.

    Raises:
        ConfigError: Hardly any point has settings that go together.
    """
    config = sweep.config
    if config.algorithm.kind == "grid":
        points = grid(config.space)
        for number, changes in enumerate(points, start=1):
            sweep.run_config(changes, number)
        return points
    assert config.trials is not None
    count = config.trials
    if isinstance(config.algorithm, Nsga2):
        count = config.algorithm.population
    return [_point(sweep, number) for number in range(1, count + 1)]


def grid(space: Mapping[str, Dimension]) -> list[Changes]:
    """Every combination of the values of grids, the last key changing fastest."""
    values = [d.values for d in space.values() if isinstance(d, Grid)]
    return [dict(zip(space, point, strict=True)) for point in itertools.product(*values)]


def _point(sweep: Sweep, number: int) -> Changes:
    """Draws a trial; again where the settings drawn do not go together."""
    rng = np.random.default_rng([sweep.config.seed, number])
    for _ in range(_MOST_DRAWS):
        changes = {key: draw(dimension, rng) for key, dimension in sweep.config.space.items()}
        try:
            sweep.run_config(changes, number)
        except ConfigError as error:
            problem = error
        else:
            return changes
    raise ConfigError(
        f"{sweep.where}: space: none of {_MOST_DRAWS} points has settings that go together; the "
        f"last: {problem}"
    )


def _steps(dimension: QUniform | QLogUniform | QRandInt) -> int:
    """Steps that fit between the ends."""
    return math.floor((dimension.high - dimension.low) / dimension.step + 1e-9)


def _at_step(dimension: QUniform | QLogUniform | QRandInt, step: int) -> float | int:
    value = dimension.low + step * dimension.step
    return value if isinstance(dimension, QRandInt) else round(float(value), _DIGITS)
