"""RLlib's life cycle around the loop, which stays what it is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import toy
from ray.rllib.algorithms.algorithm import Algorithm

from ray_matdesign.config.import_path import UnknownName
from ray_matdesign.report import build_report
from ray_matdesign.rl.checkpoint import CheckpointError
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.stages import RunFailed
from ray_matdesign.rl.workers import roles_of
from ray_matdesign.rllib.matinvent import MatInvent, MatInventConfig, digest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps RLlib's log folders out of the home directory."""
    monkeypatch.setenv("TUNE_RESULT_DIR", str(tmp_path / "rllib"))
    monkeypatch.setenv("RAY_AIR_LOCAL_CACHE_DIR", str(tmp_path / "rllib"))


def algorithm(config, directory) -> MatInvent:
    return MatInventConfig().campaign(config, directory=directory).build_algo()


def untimed(row):
    return {k: v for k, v in row.items() if k not in ("wall_s", "timings")}


def rows(directory):
    return [
        untimed(json.loads(line)) for line in (directory / "metrics.jsonl").read_text().splitlines()
    ]


def test_a_call_of_train_is_a_loop_of_the_run(reference, tmp_path):
    config = toy.config(reference, **{"rl.loops": 2})
    start_run(config, tmp_path / "plain", LocalExecutor(roles_of(config)))
    algo = algorithm(config, tmp_path / "rllib-run")
    results = [algo.train() for _ in range(2)]
    algo.stop()
    assert rows(tmp_path / "rllib-run") == rows(tmp_path / "plain")
    first, last = results
    told = rows(tmp_path / "plain")[1]
    assert last["env_runners"]["episode_return_mean"] == told["reward_mean"]
    assert last["env_runners"]["num_episodes_lifetime"] == told["evaluations_total"]
    assert last["learners"]["default_policy"]["loss"] == told["loss"]
    assert last["campaign"]["sun"] == told["sun"]
    assert math.isnan(last["campaign"]["burden"])  # None before the hundredth hit
    assert (first["training_iteration"], last["training_iteration"]) == (1, 2)
    assert (first["done"], last["done"]) == (False, True)
    assert build_report(tmp_path / "rllib-run").exists()


@pytest.mark.parametrize("by", [MatInvent, Algorithm])
def test_a_restored_algorithm_goes_on_as_the_first_one_did(reference, tmp_path, by):
    config = toy.config(reference, **{"rl.optimizer_state": "carried"})
    first = algorithm(config, tmp_path / "first")
    first.train()
    path = first.save_to_path(tmp_path / "saved")
    expected = [first.train() for _ in range(2)]
    first.stop()
    options = {"directory": tmp_path / "second"} if by is MatInvent else {}
    second = by.from_checkpoint(path, **options)
    assert isinstance(second, MatInvent)
    for one in expected:
        other = second.train()
        assert other["training_iteration"] == one["training_iteration"]
        assert str(untimed(other["campaign"])) == str(untimed(one["campaign"]))
    second.stop()


def test_a_later_checkpoint_at_the_same_place_replaces_the_earlier(reference, tmp_path):
    algo = algorithm(toy.config(reference), tmp_path / "run")
    algo.train()
    earlier = algo.save_to_path(tmp_path / "earlier")
    algo.train()
    algo.save_to_path(tmp_path / "same")
    algo.restore_from_path(earlier)
    algo.save_to_path(tmp_path / "same")
    algo.train()
    algo.restore_from_path(tmp_path / "same")
    assert algo.train()["campaign"]["loop"] == 2
    algo.stop()
    assert len(rows(tmp_path / "run")) == 2


def test_a_checkpoint_may_lie_on_another_filesystem(reference, tmp_path):
    from pyarrow import fs

    remote = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    algo = algorithm(toy.config(reference), tmp_path / "run")
    algo.train()
    weights = digest(algo.get_state()["campaign"].weights)
    algo.save_to_path("bucket/saved", filesystem=remote)
    algo.train()
    algo.restore_from_path("bucket/saved", filesystem=remote)
    assert digest(algo.get_state()["campaign"].weights) == weights
    algo.stop()


def test_a_trial_that_starts_anew_keeps_the_record_of_what_it_restores(reference, tmp_path):
    config = toy.config(reference)
    first = algorithm(config, tmp_path / "run")
    first.train()
    path = first.save_to_path(tmp_path / "saved")
    first.train()
    first.stop()  # as if the trial's process had died
    second = algorithm(config, tmp_path / "run")
    second.restore_from_path(path)
    assert len(rows(tmp_path / "run")) == 2
    second.train()
    second.stop()
    assert [row["loop"] for row in rows(tmp_path / "run")] == [1, 2]


def test_a_folder_of_a_run_with_other_settings_is_left_alone(reference, tmp_path):
    algorithm(toy.config(reference), tmp_path / "run").stop()
    with pytest.raises(RunFailed, match=r"holds a run with another rl\.lr"):
        algorithm(toy.config(reference, **{"rl.lr": 0.01}), tmp_path / "run")


def test_what_is_no_checkpoint_or_anothers_is_refused(reference, tmp_path):
    algo = algorithm(toy.config(reference), tmp_path / "run")
    with pytest.raises(CheckpointError, match="no checkpoint of MatInvent"):
        algo.restore_from_path(tmp_path)
    state = algo.get_state()
    with pytest.raises(RunFailed, match="not the one that the saved campaign started from"):
        algo.set_state({**state, "prior_digest": "0" * 64})
    algo.stop()


def test_loops_that_overlap_are_refused(reference, tmp_path):
    with pytest.raises(ValueError, match=r"set rl\.staleness to 0"):
        algorithm(toy.config(reference, **{"rl.staleness": 1}), tmp_path / "run")


def test_a_potential_that_does_not_exist_is_named(reference, tmp_path):
    config = toy.config(reference, **{"potential.name": "toy:nothing"})
    with pytest.raises(UnknownName, match="toy has no 'nothing'"):
        algorithm(config, tmp_path / "run")


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_tune_runs_it_and_keeps_what_can_be_gone_on_with(reference, tmp_path, local_ray):
    from ray import tune

    folder = Path(toy.__file__).parent
    config = toy.config(reference, **{"rl.loops": 2})
    space = MatInventConfig().campaign(config, {"rl.lr": tune.grid_search([0.05])})
    space.python_environment(extra_python_environs_for_worker={"PYTHONPATH": str(folder)})
    grid = tune.Tuner(
        MatInvent,
        param_space=space,
        run_config=tune.RunConfig(
            storage_path=str(tmp_path / "tune"),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
            verbose=0,
        ),
    ).fit()
    (trial,) = grid
    assert trial.error is None
    assert trial.metrics["campaign"]["loop"] == 2  # `done` ended it
    assert trial.config["env_config"]["overrides"] == {"rl.lr": 0.05}
    again = MatInvent.from_checkpoint(trial.checkpoint, directory=tmp_path / "again")
    assert again.train()["campaign"]["loop"] == 3
    again.stop()
