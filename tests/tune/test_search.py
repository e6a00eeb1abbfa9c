"""A sweep in Tune's terms: what its searchers and schedulers give to trials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler

from ray_matdesign.config.trials import load_sweep
from ray_matdesign.tune.search import CHANGES, GIVEN, NUMBER, search_of
from ray_matdesign.tune.space import plan

SPACE = {
    "rl.lr": {"kind": "loguniform", "low": 0.001, "high": 0.1},
    "rl.epochs": {"kind": "randint", "low": 1, "high": 4},
    "rl.diversity": {
        "kind": "choice",
        "values": [{"tolerance": 1, "buffer": 3}, {"tolerance": 3, "buffer": 6}],
    },
}


def test_known_trials_are_listed_with_their_numbers(sweep_file: Callable[..., Path]) -> None:
    sweep = load_sweep(sweep_file(space=SPACE))
    planned = plan(sweep)
    search = search_of(sweep.config, planned, 3)
    points = search.param_space[GIVEN]["grid_search"]
    assert [point[NUMBER] for point in points] == [1, 2, 3, 4]
    assert [point[CHANGES] for point in points] == planned
    assert search.scheduler is None


def test_asha_compares_at_equal_loops(sweep_file: Callable[..., Path]) -> None:
    file = sweep_file(algorithm={"kind": "asha", "grace_loops": 2}, metrics=[{"name": "reward"}])
    sweep = load_sweep(file)
    scheduler = search_of(sweep.config, plan(sweep), 18).scheduler
    assert isinstance(scheduler, AsyncHyperBandScheduler)
    assert scheduler._time_attr == "loop"
    assert scheduler.metric == "reward"


def genetic(sweep_file: Callable[..., Path]) -> tuple:
    file = sweep_file(algorithm={"kind": "nsga2", "population": 4}, trials=24, space=SPACE)
    sweep = load_sweep(file)
    return sweep, search_of(sweep.config, plan(sweep), 3).search_alg


def test_the_first_generation_is_the_plan_and_later_ones_learn(
    sweep_file: Callable[..., Path],
) -> None:
    pytest.importorskip("optuna")
    sweep, searcher = genetic(sweep_file)
    for number in range(1, 25):
        given = searcher.suggest(f"trial-{number}")[GIVEN]
        assert given[NUMBER] == number
        changes = given[CHANGES]
        assert changes["rl.diversity"] in SPACE["rl.diversity"]["values"]
        sweep.run_config(changes, number)  # is valid
        if number <= 4:
            told = dict(plan(sweep)[number - 1])
            assert changes["rl.lr"] == pytest.approx(told.pop("rl.lr"))
            assert changes == {**told, "rl.lr": changes["rl.lr"]}
        # Two metrics that agree: the larger the learning rate, the better.
        told = {"score.density": changes["rl.lr"], "score.hhi": changes["rl.lr"]}
        searcher.on_trial_complete(f"trial-{number}", told)
    rates = [t.params["rl.lr"] for t in searcher._ot_study.trials]
    assert sum(rates[-4:]) > sum(rates[:4])


def test_a_restored_search_goes_on_with_the_next_number(
    sweep_file: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    _, searcher = genetic(sweep_file)
    first = searcher.suggest("a")
    searcher.save(str(tmp_path / "state"))
    _, again = genetic(sweep_file)
    again.restore(str(tmp_path / "state"))
    assert first[GIVEN][NUMBER] == 1
    assert again.suggest("b")[GIVEN] == searcher.suggest("b")[GIVEN]
    assert again.suggest("c")[GIVEN][NUMBER] == 3


def test_a_copy_keeps_its_number_and_stays_within_the_space(
    sweep_file: Callable[..., Path],
) -> None:
    file = sweep_file(
        algorithm={"kind": "pbt", "interval_loops": 1, "resample_probability": 0.0},
        metrics=[{"name": "reward"}],
        space=SPACE,
    )
    sweep = load_sweep(file)
    scheduler = search_of(sweep.config, plan(sweep), 3).scheduler
    diversity = SPACE["rl.diversity"]["values"]

    def trial(number: int) -> SimpleNamespace:
        changes = {"rl.lr": 0.09, "rl.epochs": 4, "rl.diversity": diversity[0]}
        return SimpleNamespace(config={GIVEN: {NUMBER: number, CHANGES: changes}})

    seen = set()
    for _ in range(40):
        new, _ = scheduler._get_new_config(trial(1), trial(2))
        assert new[GIVEN][NUMBER] == 1
        changes = new[GIVEN][CHANGES]
        assert 0.001 <= changes["rl.lr"] <= 0.1
        assert changes["rl.epochs"] in (1, 2, 3, 4)
        assert changes["rl.diversity"] in diversity
        seen.add(changes["rl.lr"])
    assert sorted(seen) == pytest.approx([0.072, 0.1])
