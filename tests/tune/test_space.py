"""Points of a space: within bounds, reproducible, and never with settings that clash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ray_matdesign.config.sweep import Dimension
from ray_matdesign.config.trials import load_sweep
from ray_matdesign.tune.space import clip, draw, grid, plan


def dimension(**settings: object) -> Dimension:
    found: Dimension = TypeAdapter(Dimension).validate_python(settings)
    return found


seeds = st.integers(0, 2**32)
spans = st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)).map(lambda p: (p[0], p[0] + p[1]))


@settings(deadline=None)
@given(seeds, spans, st.sampled_from(["uniform", "loguniform"]))
def test_real_numbers_stay_within_their_bounds(seed: int, span: tuple, kind: str) -> None:
    low, high = span
    found = draw(dimension(kind=kind, low=low, high=high), np.random.default_rng(seed))
    assert low <= found <= high


@settings(deadline=None)
@given(seeds, spans, st.integers(1, 40), st.sampled_from(["quniform", "qloguniform"]))
def test_quantised_numbers_are_whole_steps(seed: int, span: tuple, parts: int, kind: str) -> None:
    low, high = span
    step = (high - low) / parts
    found = draw(dimension(kind=kind, low=low, high=high, step=step), np.random.default_rng(seed))
    steps = (found - low) / step
    assert steps == pytest.approx(round(steps), abs=1e-6)
    assert low - 1e-9 <= found <= high + 1e-9


@settings(deadline=None)
@given(seeds, st.integers(-50, 50), st.integers(1, 30), st.integers(1, 7))
def test_whole_numbers_include_both_ends(seed: int, low: int, width: int, step: int) -> None:
    rng = np.random.default_rng(seed)
    plain = dimension(kind="randint", low=low, high=low + width)
    assert low <= draw(plain, rng) <= low + width
    if step <= width:
        stepped = dimension(kind="qrandint", low=low, high=low + width, step=step)
        assert (draw(stepped, rng) - low) % step == 0


def test_the_ends_of_a_range_are_drawn() -> None:
    rng = np.random.default_rng(0)
    drawn = {draw(dimension(kind="randint", low=1, high=3), rng) for _ in range(200)}
    assert drawn == {1, 2, 3}


def test_logarithms_are_evenly_distributed() -> None:
    rng = np.random.default_rng(0)
    wide = dimension(kind="loguniform", low=1e-6, high=1.0)
    drawn = np.log10([draw(wide, rng) for _ in range(4000)])
    # Mean and standard deviation of a uniform distribution over [-6, 0].
    assert drawn.mean() == pytest.approx(-3.0, abs=0.1)
    assert drawn.std() == pytest.approx(6.0 / np.sqrt(12.0), abs=0.05)


@settings(deadline=None)
@given(spans, st.floats(-1e4, 1e4))
def test_what_left_the_range_is_brought_back(span: tuple, value: float) -> None:
    low, high = span
    found = clip(dimension(kind="uniform", low=low, high=high), value)
    assert found == min(max(value, low), high)


def test_steps_have_no_rounding_errors() -> None:
    eighths = dimension(kind="quniform", low=0.1, high=0.5, step=0.1)
    assert clip(eighths, 0.31) == 0.3
    assert clip(dimension(kind="qrandint", low=2, high=9, step=3), 9.4) == 8


def test_a_grid_has_every_combination_once() -> None:
    space = {
        "a": dimension(kind="grid", values=[1, 2]),
        "b": dimension(kind="grid", values=["x", {"y": 1}, None]),
    }
    points = grid(space)
    assert len(points) == 6
    assert points[1] == {"a": 1, "b": {"y": 1}}


def test_a_plan_is_the_same_each_time(sweep_file: Callable[..., Path]) -> None:
    sweep = load_sweep(sweep_file(trials=5))
    assert plan(sweep) == plan(load_sweep(sweep_file(trials=5)))
    assert plan(sweep) != plan(load_sweep(sweep_file(trials=5, seed=1)))
    # More trials do not change the first ones.
    assert plan(load_sweep(sweep_file(trials=8)))[:5] == plan(sweep)


def test_settings_that_clash_are_drawn_again(sweep_file: Callable[..., Path]) -> None:
    space = {
        "rl.diversity.tolerance": {"kind": "randint", "low": 1, "high": 8},
        "rl.diversity.buffer": {"kind": "randint", "low": 2, "high": 9},
    }
    sweep = load_sweep(sweep_file(space=space, trials=30))
    for changes in plan(sweep):
        assert changes["rl.diversity.tolerance"] < changes["rl.diversity.buffer"]


def test_the_first_generation_is_planned(sweep_file: Callable[..., Path]) -> None:
    sweep = load_sweep(sweep_file(algorithm={"kind": "nsga2", "population": 4}, trials=9))
    assert len(plan(sweep)) == 4
