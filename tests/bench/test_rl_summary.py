"""What is said of a mode, from runs made up so that the answer is known."""

from __future__ import annotations

import argparse
import json
import math
import operator
from pathlib import Path

import pytest
import rl
import rl_readings
import rl_rival
from rl_curves import Point
from rl_plan import BASELINE, PRIOR, Hits, Job, load_plan
from rl_readings import Reading
from rl_summary import (
    Figure,
    Saving,
    arrival,
    farthest_mark,
    no_lower,
    over_seeds,
    saving,
    summarise,
)
from rl_table import figures, verdict_table

PLAN = load_plan()


def reading(mode: str, seed: int, means: list[float], **numbers: float) -> Reading:
    job = Job("density", mode, seed, len(means), 128, 64)
    curve = [Point(k + 1, 8 * k, mean, 20) for k, mean in enumerate(means)]
    defaults = {"S.U.N.": 0.7, "diversity ratio": 0.9, "final mean": 6.0}
    return Reading(job, {**defaults, **numbers}, curve, curve)


def slow(seed: int) -> Reading:
    """Half of the way from 6 to 18 from the fifth loop on, never three quarters."""
    return reading(BASELINE, seed, [6.0, 7.0, 8.0, 9.0, 12.0, 12.0, 12.0, 12.0])


def fast(seed: int, **numbers: float) -> Reading:
    """Half of the way from the second loop on."""
    return reading("guided", seed, [6.0, 12.0, 12.0, 14.0, 14.0, 14.0, 14.0, 14.0], **numbers)


def summary(*readings: Reading):
    (found,) = summarise(PLAN, [reading(PRIOR, 0, []), *readings])
    return found


def test_modes_are_compared_where_the_baseline_arrived() -> None:
    found = summary(slow(0), slow(1), fast(0), fast(1))
    assert (found.start, found.target, found.mark) == (6.0, 18.0, 0.5)
    # Medians of three loops: the baseline's is 12 from loop 6, after 40 evaluations; the other's
    # from loop 3, after 16.
    assert found.modes[BASELINE].arrivals["survivors"][0.5] == [40.0, 40.0]
    assert found.modes["guided"].arrivals["survivors"][0.5] == [16.0, 16.0]
    assert saving(found, "guided", "survivors") == Saving(2.5)
    assert verdict_table([found]).splitlines()[-1].endswith("| no lower | no lower | yes |")


def test_where_the_baseline_never_arrived_all_it_spent_is_counted() -> None:
    far = [reading("guided", s, [6.0, 12.0, 16.0, 16.0, 16.0, 16.0, 16.0, 16.0]) for s in (0, 1)]
    found = summary(slow(0), slow(1), *far)
    assert farthest_mark(found, "guided") == 0.75
    # Three quarters, 15, is the median from loop 4 on, after 24; the baseline's last loop began
    # after 56.
    assert saving(found, "guided", "survivors") == Saving(56.0 / 24.0, ">")
    line = verdict_table([found]).splitlines()[-1]
    assert "| 75% | not reached (–, –) | 24 (24, 24) | > 2.33 |" in line
    assert line.endswith("| yes |")


def test_one_lucky_seed_does_not_move_the_mark() -> None:
    far = reading("guided", 0, [6.0, 12.0, 16.0, 16.0, 16.0, 16.0, 16.0, 16.0])
    found = summary(slow(0), slow(1), far, fast(1))
    assert farthest_mark(found, "guided") == 0.5


def test_speed_does_not_count_where_quality_is_lost() -> None:
    found = summary(slow(0), slow(1), *(fast(s, **{"S.U.N.": 0.3}) for s in (0, 1)))
    assert verdict_table([found]).splitlines()[-1].endswith("| lower | no lower | no |")


def test_of_a_mode_that_does_not_arrive_a_bound_is_told() -> None:
    found = summary(slow(0), reading("guided", 0, [6.0] * 8))
    (arrived,) = found.modes["matinvent"].arrivals["survivors"][0.5]
    (curve,) = found.modes["guided"].curves
    assert saving(found, "guided", "survivors") == Saving(arrived / curve[-1].paid, "<")
    assert verdict_table([found]).splitlines()[-1].endswith("| no |")
    told = {figure["name"]: figure for figure in figures(PLAN, [found])}
    title = "density; guided; evaluations to 50%, mean of survivors"
    assert title not in told
    assert told[f"{title}; runs that reached it"]["value"] == 0.0
    json.dumps(list(told.values()), allow_nan=False)


def test_without_a_prior_nothing_is_said_of_the_way() -> None:
    (found,) = summarise(PLAN, [slow(0), fast(0)])
    assert found.start is None
    assert found.mark is None
    assert saving(found, "guided", "survivors") is None


def test_the_median_run_decides_and_half_is_not_enough() -> None:
    assert arrival([16.0, 24.0, math.inf]) == 24.0
    assert arrival([16.0, math.inf]) == math.inf
    assert arrival([16.0, math.inf, math.inf]) == math.inf


def test_errors_are_of_the_mean() -> None:
    found = over_seeds([1.0, 2.0, 3.0])
    assert (found.value, found.error) == pytest.approx((2.0, 1.0 / math.sqrt(3.0)))
    assert math.isnan(over_seeds([2.0]).error)


def test_no_lower_allows_for_chance_and_for_nothing_else() -> None:
    assert no_lower(Figure(0.66, 0.02), Figure(0.70, 0.02))
    assert not no_lower(Figure(0.60, 0.02), Figure(0.70, 0.02))
    assert not no_lower(Figure(0.69, math.nan), Figure(0.70, math.nan))


def test_a_job_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    marks = [tmp_path / "before", tmp_path / "after"]
    calls = [
        ("before", Path.touch, (marks[0],)),
        ("broken", operator.truediv, (1, 0)),
        ("after", Path.touch, (marks[1],)),
    ]
    failures = rl.run_all(calls, workers=1)
    assert failures == ["broken: ZeroDivisionError: division by zero"]
    assert all(mark.exists() for mark in marks)


def rival_options(root: Path) -> argparse.Namespace:
    return argparse.Namespace(
        only=["band_gap", "density"], modes=[BASELINE], seeds=[0, 1], final=16, root=root, set=[]
    )


def test_budgets_are_loops_of_so_many_evaluations(tmp_path: Path) -> None:
    entries = rl_rival.entries_of(PLAN, rival_options(tmp_path))
    assert {entry.job.task for entry in entries} == {"band_gap"}
    runs = [(e.job.seed, e.budget, e.job.loops) for e in entries if e.job.mode == BASELINE]
    assert runs == [(0, 200, 25), (0, 1600, 50), (1, 200, 25), (1, 1600, 50)]
    models = [(e.budget, e.guidance) for e in entries if e.job.mode == "conditional"]
    assert models == [(200, 1.0), (200, 2.0), (1600, 1.0), (1600, 2.0)] * 2
    assert len({entry.table for entry in entries}) == len(entries)
    # One process for each run or series of models, which share crystals and labels.
    assert len(rl_rival.calls_of(PLAN, rival_options(tmp_path))) == 7


@pytest.mark.parametrize(
    ("value", "sun", "hit"),
    [(2.9, True, True), (3.1, True, True), (3.11, True, False), (3.0, False, False)],
)
def test_hits_are_on_target_and_new(value: float, sun: bool, hit: bool) -> None:
    row = {"sun": sun, "value_band_gap": value}
    assert rl_rival.is_hit(row, "value_band_gap", Hits(ask=3.0, min=2.9, max=3.1)) is hit


def test_one_sided_hits() -> None:
    wanted = Hits(ask=0.25, min=0.2)
    assert rl_rival.is_hit({"sun": True, "value_m": 7.0}, "value_m", wanted)
    assert not rl_rival.is_hit({"sun": True, "value_m": None}, "value_m", wanted)


def test_no_hit_is_no_certainty() -> None:
    found = rl_rival.share(0, 98)
    assert found["value"] == 0.0
    assert found["error"] == pytest.approx(math.sqrt(0.01 * 0.99 / 98))


def test_what_relaxations_were_spent_on_is_counted_over_the_relaxed_alone() -> None:
    def row(above: float | None, sun: bool | None) -> dict[str, object]:
        relaxed = None if above is None else b""
        return {"relaxed": relaxed, "sun": sun, "e_above_hull_ev_per_atom": above}

    rows = [row(None, None), row(-0.1, True), row(0.05, True), row(-0.2, False), row(0.3, False)]
    assert rl_readings.relaxed_numbers(rows) == {
        "S.U.N. of the relaxed": 0.5,
        "S.U.N. on the hull, of the relaxed": 0.25,
    }
    assert rl_readings.relaxed_numbers([row(None, None)]) == {}
