"""The front of the evaluated crystals: against brute force, and as a file of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.crystals.codec import decode_crystals
from ray_matdesign.rl.front import non_dominated
from ray_matdesign.rl.hypervolume import hypervolume
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of

# Few distinct values: ties and duplicates are where fronts go wrong.
coarse = st.sampled_from([0.0, 0.1, 0.2, 0.30000000000000004, 0.3, 0.5, 1.0])


def sets(objectives: int) -> st.SearchStrategy[list[list[float]]]:
    numbers = coarse | st.floats(0.0, 1.0)
    return st.lists(st.lists(numbers, min_size=objectives, max_size=objectives), max_size=25)


def by_definition(points: list[list[float]]) -> list[bool]:
    def dominates(a: list[float], b: list[float]) -> bool:
        pairs = list(zip(a, b, strict=True))
        return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)

    return [not any(dominates(other, point) for other in points) for point in points]


@settings(deadline=None)
@given(sets(1) | sets(2) | sets(3) | sets(4))
def test_brute_force_agrees(points: list[list[float]]) -> None:
    assert non_dominated(points).tolist() == by_definition(points)


@settings(deadline=None)
@given(sets(3))
def test_the_front_alone_has_the_whole_hypervolume(points: list[list[float]]) -> None:
    front = [p for p, kept in zip(points, non_dominated(points), strict=True) if kept]
    whole = hypervolume(points, np.zeros(3))
    assert hypervolume(front, np.zeros(3)) == pytest.approx(whole, abs=1e-12)


def test_sums_equal_by_rounding_do_not_hide_a_domination() -> None:
    tiny = 2.0**-60
    assert non_dominated([[1.0, 0.0], [1.0, tiny]]).tolist() == [False, True]


@pytest.mark.parametrize("points", [[1.0, 2.0], [[np.nan, 1.0]]])
def test_what_is_no_set_of_points_is_refused(points: list[object]) -> None:
    with pytest.raises(ValueError, match=r"shape|finite"):
        non_dominated(points)


def two_properties() -> list[dict[str, object]]:
    """Dense and cheap: gold and platinum are one, aluminium and copper the other."""
    return [
        {
            "scorer": "density",
            "transform": {"kind": "ascending", "min": 5.0, "max": 20.0},
        },
        {
            "scorer": "hhi",
            "transform": {"kind": "descending", "min": 750.0, "max": 9000.0},
        },
    ]


def test_a_run_keeps_its_front_on_file(reference: Path, tmp_path: Path) -> None:
    config = toy.config(
        reference, **{"objective.terms": two_properties(), "objective.aggregation": "min"}
    )
    start_run(config, tmp_path / "run", LocalExecutor(roles_of(config)))
    front = pd.read_parquet(tmp_path / "run" / "front.parquet")
    tables = sorted((tmp_path / "run" / "candidates").glob("*.parquet"))
    table = pd.concat([pd.read_parquet(path) for path in tables])
    evaluated = table[table["reward"].notna()].set_index("key")
    density = ((evaluated["value_density"] - 5.0) / 15.0).clip(0.0, 1.0)
    hhi = ((9000.0 - evaluated["value_hhi"]) / 8250.0).clip(0.0, 1.0)
    expected = by_definition(np.column_stack([density, hhi]).tolist())
    assert set(front["key"]) == set(evaluated.index[expected])
    assert front["reward"].is_monotonic_decreasing
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    points = front[["score_density", "score_hhi"]].to_numpy()
    assert hypervolume(points, np.zeros(2)) == pytest.approx(last["hypervolume"])
    for row in front.itertuples():
        (crystal,) = decode_crystals(row.relaxed)
        assert crystal.formula == row.formula
        assert crystal.density == pytest.approx(row.value_density)
