"""Sweep files: those shipped load, and mistakes are told with file and key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ray_matdesign.config.loading import ConfigError, load_run_config
from ray_matdesign.config.trials import load_sweep, read_sweep
from ray_matdesign.tune.space import plan

SHIPPED = sorted((Path(__file__).parents[2] / "tune_configs").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_sweep_loads_and_plans_trials_of_equal_cost(path: Path) -> None:
    sweep = load_sweep(path)
    planned = plan(sweep)
    assert len(planned) >= 4
    spent = set()
    for number, changes in enumerate(planned, start=1):
        rl = sweep.run_config(changes, number).rl
        spent.add(sum(rl.budget(loop) for loop in range(1, rl.loops + 1)))
    assert len(spent) == 1


def test_the_shipped_sweeps_cover_every_algorithm() -> None:
    kinds = {load_sweep(path).config.algorithm.kind for path in SHIPPED}
    assert kinds == {"random", "grid", "asha", "nsga2", "pbt"}


def test_the_baseline_differs_from_asha_in_the_algorithm_alone() -> None:
    asha, baseline = (
        load_sweep(SHIPPED[0].with_name(f"{name}.yaml"))
        for name in ("rl-settings", "random-baseline")
    )
    assert baseline.config.space == asha.config.space
    assert plan(baseline) == plan(asha)


def test_a_trial_has_its_own_name_and_seed(sweep_file: Callable[..., Path]) -> None:
    sweep = load_sweep(sweep_file(seed=7))
    config = sweep.run_config({"rl.lr": 0.01}, 3)
    assert (config.name, config.seed, config.rl.lr) == ("toy-00003", 10, 0.01)
    told = load_sweep(sweep_file(overrides={"seed": 5}))
    assert told.run_config({"rl.lr": 0.01}, 3).seed == 5


def test_evaluations_set_the_loops(sweep_file: Callable[..., Path]) -> None:
    space = {"rl.evaluations": {"kind": "choice", "values": [2, 3, 8]}}
    sweep = load_sweep(sweep_file(space=space, evaluations=12))
    loops = [sweep.run_config({"rl.evaluations": n}, 1).rl.loops for n in (2, 3, 8)]
    assert loops == [6, 4, 2]


def test_trials_are_judged_by_the_base_whatever_they_change(
    sweep_file: Callable[..., Path], base: Path
) -> None:
    space = {"objective.terms.0.transform.max": {"kind": "uniform", "low": 10.0, "high": 30.0}}
    sweep = load_sweep(sweep_file(space=space))
    changes = {"objective.terms.0.transform.max": 12.0}
    assert sweep.run_config(changes, 1).objective.terms[0].transform.max == 12.0
    assert sweep.judge(changes) == load_run_config(base).objective


def test_settings_of_the_command_line_go_where_they_belong(
    sweep_file: Callable[..., Path],
) -> None:
    sweep = load_sweep(sweep_file(), ["trials=2", "rl.loops=9"])
    assert sweep.config.trials == 2
    assert sweep.run_config({"rl.lr": 0.01}, 1).rl.loops == 9


def test_a_sweep_is_read_back_from_its_folder(
    sweep_file: Callable[..., Path], tmp_path: Path
) -> None:
    sweep = load_sweep(sweep_file(), ["rl.loops=9"])
    for name, text in sweep.files().items():
        (tmp_path / name).write_text(text)
    held = read_sweep(tmp_path)
    assert (held.config, held.bases) == (sweep.config, sweep.bases)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"space": {"rl.lrr": {"kind": "uniform", "low": 0, "high": 1}}},
     "space: rl.lrr: unknown key; did you mean rl.lr?"),
    ({"space": {"rl.lr": {"kind": "uniform", "low": -1.0, "high": 1.0}}},
     "space: rl.lr: must be greater than 0, got -1.0"),
    ({"space": {"rl.lr": {"kind": "uniform", "low": 1.0, "high": 0.5}}},
     "space.rl.lr: low (1) must be below high (0.5)"),
    ({"space": {"rl.lr": {"kind": "unifrom", "low": 0.1, "high": 0.5}}}, "space.rl.lr.kind"),
    ({"space": {"rl.loops": {"kind": "uniform", "low": 1.5, "high": 3.5}}},
     "space: rl.loops: must be a valid integer"),
    ({"space": {"rl.algorithm": {"kind": "choice", "values": ["guided", "greedy", "matinvent"]}}},
     "space: rl.algorithm: must be 'matinvent' or 'guided', got 'greedy'"),
    ({"overrides": {"rl.loop": 3}}, "overrides: rl.loop: unknown key; did you mean rl.loops?"),
    ({"metrics": [{"name": "score.price"}]},
     "metrics.0.name: score.price: the objective scores density, hhi"),
    ({"metrics": [{"name": "loss"}]}, "metrics.0.name: must match pattern"),
    ({"algorithm": {"kind": "asha"}}, "asha compares trials by one metric"),
    ({"algorithm": {"kind": "nsga2"}, "metrics": [{"name": "reward"}]}, "give two metrics"),
    ({"algorithm": {"kind": "nsga2", "population": 8}}, "trials (4) must reach the population"),
    ({"algorithm": {"kind": "grid"}, "trials": None}, "rl.lr: must be one"),
    ({"trials": None}, "only a grid tells by itself"),
    ({"space": {"rl.lr": {"kind": "grid", "values": [0.1, 0.2]}}}, "rl.lr: make it a choice"),
    ({"algorithm": {"kind": "pbt"}, "metrics": [{"name": "reward"}],
      "space": {"generator.batch_size": {"kind": "randint", "low": 1, "high": 3}}},
     "generator.batch_size: cannot be changed then"),
    ({"evaluations": 8, "overrides": {"rl.loops": 3}}, "evaluations: sets rl.loops"),
    ({"recipe": "densty"}, "recipe: densty: neither a recipe nor a file; did you mean density?"),
    ({"space": {"objective.terms": {"kind": "choice", "values": [
        [{"scorer": "price", "transform": {"kind": "descending", "min": 1.0, "max": 2.0}}]]}},
      "metrics": [{"name": "reward"}]}, "choose a recipe instead"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_a_mistake_is_one_line_with_file_and_key(
    sweep_file: Callable[..., Path], changes: dict[str, Any], message: str
) -> None:
    file = sweep_file(**changes)
    with pytest.raises(ConfigError) as caught:
        load_sweep(file)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{file}: ")
    assert message in line


def test_a_mistake_of_the_command_line_is_called_that(sweep_file: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"^command line: rl\.lops: unknown key"):
        load_sweep(sweep_file(), ["rl.lops=2"])
