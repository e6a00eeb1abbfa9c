"""Swept preferences: the weights of the loops, and what they change and leave alone."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from test_front import two_properties

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.rewards.transforms import aggregate
from ray_matdesign.rl import checkpoint
from ray_matdesign.rl.front import non_dominated
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.preference import LEAST, loop_weights
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of

LOOPS = 6


def swept(reference: Path, **changes: object) -> RunConfig:
    return toy.config(
        reference,
        **{
            "objective.terms": two_properties(),
            "objective.aggregation": "chebyshev",
            "objective.preferences": "swept",
            "rl.loops": LOOPS,
            **changes,
        },
    )


def run(config: RunConfig, folder: Path, **options: object) -> None:
    start_run(config, folder, LocalExecutor(roles_of(config)), **options)


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("swept") / "run"
    run(swept(reference), folder)
    return folder


def table(folder: Path) -> pd.DataFrame:
    paths = sorted((folder / "candidates").glob("*"))
    return pd.concat([pd.read_parquet(path) for path in paths]).set_index("key")


def under(row: pd.Series, weights: dict[str, float]) -> float:
    density = min(1.0, max(0.0, (row["value_density"] - 5.0) / 15.0))
    hhi = min(1.0, max(0.0, (9000.0 - row["value_hhi"]) / 8250.0))
    largest = max(weights.values())
    scaled = density * largest / weights["density"], hhi * largest / weights["hhi"]
    return min(1.0, *scaled)


@settings(deadline=None)
@given(st.integers(2, 5), st.integers(0, 1000), st.integers(1, 500))
def test_weights_are_positive_and_sum_to_one(n: int, seed: int, loop: int) -> None:
    found = loop_weights(n, seed, loop)
    assert len(found) == n
    assert sum(found) == pytest.approx(1.0)
    assert min(found) >= LEAST / (1.0 + n * LEAST)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 300), st.integers(5, 60))
def test_any_stretch_of_loops_covers_the_trade_offs(seed: int, first: int, length: int) -> None:
    shares = sorted(loop_weights(2, seed, first + k)[0] for k in range(length))
    gaps = np.diff([shares[-1] - 1.0, *shares])  # round the circle
    assert gaps.max() <= 2.0 / length + 2 * LEAST


def test_the_mean_weight_of_three_terms_is_a_third() -> None:
    found = np.array([loop_weights(3, 0, loop) for loop in range(1, 301)])
    assert found.mean(axis=0) == pytest.approx([1 / 3] * 3, abs=0.02)


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3), min_size=1, max_size=12))
def test_every_trade_off_is_the_best_for_some_weights(points: list[list[float]]) -> None:
    """What no weighted mean can promise where the front is not convex."""
    for index in np.flatnonzero(non_dominated(points)):
        found = [aggregate(p, points[index], "chebyshev") for p in points]
        assert found[index] == pytest.approx(max(found))


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=4), st.floats(0.1, 10.0))
def test_equal_weights_make_it_the_minimum(scores: list[float], weight: float) -> None:
    assert aggregate(scores, [weight] * len(scores), "chebyshev") == pytest.approx(min(scores))


def test_each_loop_learns_with_its_weights_and_reports_without(finished: Path) -> None:
    told = {row["loop"]: row["preference"] for row in rows(finished)}
    assert len({round(weights["density"], 6) for weights in told.values()}) == LOOPS
    evaluated = table(finished)
    evaluated = evaluated[evaluated["reward"].notna()]
    seen: Counter[str] = Counter()
    for loop, of_loop in evaluated.groupby("loop"):
        seen.update(of_loop["formula"])
        for _, row in of_loop.iterrows():
            factor = min(1.0, max(0.0, (6 - seen[row["formula"]]) / 3))
            learnt = under(row, told[loop]) * factor
            assert row["penalised_reward"] == pytest.approx(learnt)
            assert row["reward"] == pytest.approx(under(row, {"density": 1.0, "hhi": 1.0}))


def test_the_replay_buffer_is_held_under_the_weights_of_the_last_loop(finished: Path) -> None:
    snapshot, _ = checkpoint.load_latest(finished / "checkpoints")
    weights = rows(finished)[-1]["preference"]
    found = table(finished)
    assert snapshot.replay["entries"]
    for entry in snapshot.replay["entries"]:
        row = found.loc[entry["key"]]
        earlier = found[found["reward"].notna() & (found["loop"] <= row["loop"])]
        occurrences = (earlier["formula"] == row["formula"]).sum()
        factor = min(1.0, max(0.0, (6 - occurrences) / 3))
        assert entry["reward"] == pytest.approx(under(row, weights) * factor)


def test_a_resumed_run_goes_on_as_if_never_interrupted(
    reference: Path, finished: Path, tmp_path: Path
) -> None:
    run(swept(reference, **{"rl.loops": 3}), tmp_path / "run")
    run(swept(reference), tmp_path / "run", resume=True)

    def untimed(folder: Path) -> list[dict]:
        clocks = ("wall_s", "timings")
        return [{k: v for k, v in row.items() if k not in clocks} for row in rows(folder)]

    assert untimed(tmp_path / "run") == untimed(finished)


def test_fixed_preferences_change_nothing(reference: Path, tmp_path: Path) -> None:
    config = swept(reference, **{"objective.preferences": "fixed", "rl.loops": 2})
    run(config, tmp_path / "run")
    assert [row["preference"] for row in rows(tmp_path / "run")] == [None, None]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective.aggregation": "min"}, "knows no weights to sweep"),
        ({"objective.terms": two_properties()[:1]}, "there is but one"),
        (
            {"objective.terms": [{**two_properties()[0], "weight": 2.0}, two_properties()[1]]},
            "remove it",
        ),
    ],
)
def test_preferences_that_make_no_sense_are_refused(
    reference: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        swept(reference, **changes)
