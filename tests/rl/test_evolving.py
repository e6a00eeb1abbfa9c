"""A whole campaign with the genetic generator: the loop's own machinery, unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import runs
import toy

from ray_matdesign.rl.checkpoint import load_latest
from ray_matdesign.rl.run import RunInterrupted
from ray_matdesign.rl.workers import EvolvingLearner, learner_worker

GENETIC = {
    "generator.name": "genetic",
    "generator.batch_size": 16,
    "generator.options": {"population": 12},
    "generator.constraints": {"allowed_elements": ["Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au"]},
    "stability.require": ["unique"],
    "rl.top_fraction": 1.0,
    "rl.replay": {"draw": 0},
    "rl.repeats": "spared",
}


def test_a_generator_that_evolves_gets_a_learner_that_lets_it(reference: Path) -> None:
    config = toy.config(reference, **GENETIC)
    told = config.model_dump(mode="json", include={"generator", "rl"})
    assert isinstance(learner_worker(told), EvolvingLearner)


def test_a_campaign_learns_and_never_tries_a_crystal_twice(reference: Path, tmp_path: Path) -> None:
    config = toy.config(reference, **GENETIC)
    runs.run(config, tmp_path / "run")
    rows = runs.loops(tmp_path / "run")
    assert [row["policy_version"] for row in rows] == [1, 2, 3, 4]
    assert all(row["loss"] is None and row["adam_steps"] == 0 for row in rows)
    held, _ = load_latest(tmp_path / "run" / "checkpoints")
    assert (np.diff(held.weights["rewards"]) <= 0).all()
    assert len(held.weights["tried"]) == sum(row["sampled"] for row in rows)


def test_a_run_broken_off_and_resumed_ends_with_the_same_population(
    reference: Path, tmp_path: Path
) -> None:
    config = toy.config(reference, **GENETIC)
    runs.run(config, tmp_path / "whole")
    with pytest.raises(RunInterrupted):
        runs.run(config, tmp_path / "broken", progress=runs.StopsIn(3, "evaluate"))
    runs.run(config, tmp_path / "broken", resume=True)
    whole, _ = load_latest(tmp_path / "whole" / "checkpoints")
    broken, _ = load_latest(tmp_path / "broken" / "checkpoints")
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(array, broken.weights[name])
    assert runs.untimed(tmp_path / "whole") == runs.untimed(tmp_path / "broken")
