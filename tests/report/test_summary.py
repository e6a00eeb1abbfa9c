"""The report's numbers, against those the run itself recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ray_matdesign.report.run_data import RunData, read_run
from ray_matdesign.report.summary import (
    best_crystals,
    curve,
    element_shares,
    evaluations_by_loop,
    funnel,
    moving_average,
    rejections,
    sun_hits,
    windows,
)

RunMaker = Callable[..., Path]


@pytest.fixture
def run(finished_run: Path) -> RunData:
    return read_run(finished_run)


def test_the_curve_agrees_with_the_recorded_means(run: RunData) -> None:
    found = curve(run, "value_density")
    recorded = [r["mean_density"] for r in run.metrics if r["mean_density"] is not None]
    np.testing.assert_allclose(found.mean, recorded, rtol=1e-12)
    np.testing.assert_array_equal(found.spent, [r["evaluations_total"] for r in run.metrics])
    assert (found.low <= found.mean).all()
    assert (found.mean <= found.high).all()
    assert (found.high <= found.best).all()


def test_the_funnel_only_narrows_and_agrees_with_the_records(run: RunData) -> None:
    counts = {stage.name: stage.count for stage in funnel(run)}
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    for stage, key in (
        ("Sampled", "sampled"), ("Valid", "valid"), ("Relaxed", "relaxed"), ("Stable", "stable"),
        ("Novel", "sun"), ("Evaluated", "evaluated"),
    ):  # fmt: skip
        assert counts[stage] == sum(record[key] for record in run.metrics), stage
    assert len(sun_hits(run)) == counts["Novel"]


def test_a_test_that_is_not_required_is_no_stage(make_run: RunMaker) -> None:
    directory = make_run(loops=1, stability={"require": ["stable"]})
    stages = [stage.name for stage in funnel(read_run(directory))]
    assert stages == ["Sampled", "Valid", "Relaxed", "Stable", "Evaluated"]


def test_every_rejected_candidate_has_one_reason(run: RunData) -> None:
    total = sum(count for _, _, count in rejections(run))
    assert total == int((run.candidates["reason"] != "").sum())


def test_evaluations_are_counted_from_candidates_where_no_record_tells(make_run: RunMaker) -> None:
    directory = make_run(loops=3)
    told = evaluations_by_loop(read_run(directory))
    (directory / "metrics.jsonl").unlink()
    assert evaluations_by_loop(read_run(directory)) == told


@pytest.mark.parametrize(("loops", "first", "last"), [(2, (1,), (2,)), (8, (1, 2), (7, 8))])
def test_windows_are_a_quarter_of_the_loops(
    make_run: RunMaker, loops: int, first: tuple[int, ...], last: tuple[int, ...]
) -> None:
    pair = windows(read_run(make_run(loops=loops)))
    assert pair is not None
    assert (pair[0].loops, pair[1].loops) == (first, last)


def test_windows_are_five_loops_at_most(make_run: RunMaker) -> None:
    pair = windows(read_run(make_run(loops=24)))
    assert pair is not None
    assert [len(window.loops) for window in pair] == [5, 5]


def test_one_loop_has_no_first_and_last(make_run: RunMaker) -> None:
    assert windows(read_run(make_run(loops=1))) is None


def test_the_best_are_one_per_formula_in_order_of_reward(run: RunData) -> None:
    best = best_crystals(run, 10)
    assert best["formula"].is_unique
    assert best["reward"].is_monotonic_decreasing
    scored = run.candidates[run.candidates["evaluated"]]
    assert best["reward"].iloc[0] == scored["reward"].max()


def test_moving_average_keeps_constants_and_short_series() -> None:
    short = np.arange(14.0)
    assert moving_average(short) is short
    np.testing.assert_allclose(moving_average(np.full(30, 2.5)), 2.5)
    np.testing.assert_allclose(moving_average(np.arange(30.0))[2:-2], np.arange(2.0, 28.0))


def test_element_shares_count_crystals_not_atoms() -> None:
    import pandas as pd

    shares = element_shares(pd.DataFrame({"formula": ["BaTiO3", "O", "CO2", "Co"]}))
    assert shares == {6: 0.25, 8: 0.75, 22: 0.25, 27: 0.25, 56: 0.25}
