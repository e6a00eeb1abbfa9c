"""Figures, fronts and curves of sweeps, against what a reader would compute by hand."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ray_matdesign.config.loading import load_run_config
from ray_matdesign.config.trials import load_sweep
from ray_matdesign.report.sweep_data import lifetimes, read_results, steps
from ray_matdesign.rl.front import non_dominated
from ray_matdesign.rl.hypervolume import hypervolume
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of
from ray_matdesign.tune.home import Home, place_run, write_checkpoint
from ray_matdesign.tune.judging import figures, judge_run, origin_of, window
from ray_matdesign.tune.results import TrialOutcome, best_of, collect, hypervolume_curve
from ray_matdesign.tune.space import plan
from ray_matdesign.tune.trainable import trial_config

points = st.integers(1, 3).flatmap(
    lambda d: st.integers(1, 15).flatmap(
        lambda n: arrays(np.float64, (n, d), elements=st.sampled_from([0.0, 0.25, 0.3, 0.5, 1.0]))
    )
)


@settings(deadline=None)
@given(points)
def test_a_curve_is_the_hypervolume_of_every_beginning(scores: np.ndarray) -> None:
    corner = np.zeros(scores.shape[1])
    expected = [hypervolume(scores[: k + 1], corner) for k in range(len(scores))]
    assert hypervolume_curve(scores) == pytest.approx(expected)


@settings(deadline=None)
@given(points)
def test_lifetimes_give_the_front_at_any_time(scores: np.ndarray) -> None:
    names = "abc"[: scores.shape[1]]
    table = pd.DataFrame({f"score_{name}": scores[:, k] for k, name in enumerate(names)})
    for name in names:
        table[f"value_{name}"] = table[f"score_{name}"]
    until = lifetimes(table)
    for count in range(1, len(scores) + 1):
        shown = [
            place < count and end is not None and (end < 0 or end > count)
            for place, end in enumerate(until)
        ]
        assert shown[:count] == non_dominated(scores[:count]).tolist()


def test_a_curve_of_steps_keeps_its_corners() -> None:
    curve = pd.DataFrame({"evaluations": [1, 2, 3, 4, 5], "hypervolume": [0.0, 0.0, 0.2, 0.2, 0.2]})
    assert steps(curve) == [[1, 0.0], [3, 0.2], [5, 0.2]]


def test_the_best_trial_is_nearest_to_the_best_of_each_metric() -> None:
    outcomes = [TrialOutcome(n, "finished", "", 0, {}, {}, ()) for n in (1, 2, 3)]
    assert best_of(outcomes, np.array([[0.0, 9.0], [1.0, 0.0], [0.8, 8.0]])) == 3
    assert best_of(outcomes, np.array([[0.3], [0.7], [0.7]])) == 2
    assert best_of([], np.empty((0, 2))) is None


@pytest.mark.parametrize(("loop", "expected"), [(1, 1), (2, 2), (8, 2), (9, 3), (40, 10)])
def test_a_policy_is_judged_by_its_last_quarter(loop: int, expected: int) -> None:
    assert window(loop) == expected


def write_trial(folder: Path, number: int, changes: dict[str, Any]) -> Home:
    """What a trial leaves, without Ray: its run, and the reports on it."""
    sweep = load_sweep(folder.parent / "sweep.yaml")
    home = Home.open(folder / "trials", number)
    home.begin(changes)
    home.note("started", run="run", resumed=False)
    config = trial_config(sweep, changes, number, folder)
    directory, resume = place_run(home, config, None)
    start_run(config, directory, LocalExecutor(roles_of(config)), resume=resume)
    judge = sweep.judge(changes)
    metrics = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    for k, row in enumerate(metrics):
        found = judge_run(directory, row["loop"], judge)
        told = figures(found, config, judge, metrics[: k + 1])
        cost = {"evaluations": row["evaluations_total"], "wall_s": 1.0, "at": 10.0 * k + number}
        home.report({"loop": row["loop"], "run": directory.name, **cost, **told})
    home.end("finished")
    return home


@pytest.fixture
def sweep_folder(sweep_file: Callable[..., Path]) -> Path:
    """Two trials that ended, one that failed, one that was never reported on."""
    space = {"objective.terms.0.weight": {"kind": "loguniform", "low": 0.1, "high": 10.0}}
    file = sweep_file(space=space)
    folder = file.parent / "sweep"
    folder.mkdir()
    sweep = load_sweep(file)
    for name, text in sweep.files().items():
        (folder / name).write_text(text)
    for number, changes in enumerate(plan(sweep)[:2], start=1):
        write_trial(folder, number, dict(changes))
    failed = Home.open(folder / "trials", 3)
    failed.begin({"objective.terms.0.weight": 1.0})
    failed.note("failed", reason="RunFailed: no crystal could be sampled")
    failed.end("failed", "RunFailed: no crystal could be sampled")
    Home.open(folder / "trials", 4).begin({"objective.terms.0.weight": 2.0})
    return folder


def test_figures_are_those_of_the_base_objective(sweep_folder: Path) -> None:
    results = collect(sweep_folder)
    (judge,) = (load_sweep(sweep_folder.parent / "sweep.yaml").judge({}),)
    assert [term.weight for term in judge.terms] == [1.0, 1.0]
    for trial in results.trials:
        run = sweep_folder / "trials" / f"{trial.number:05d}" / "run"
        table = pd.concat([pd.read_parquet(p) for p in sorted((run / "candidates").glob("*"))])
        table = table[table["reward"].notna()]
        density = ((table["value_density"] - 5.0) / 15.0).clip(0.0, 1.0)
        hhi = ((9000.0 - table["value_hhi"]) / 8250.0).clip(0.0, 1.0)
        reward = np.minimum(density, hhi)
        late = table["loop"] >= 2  # of three loops the last two, each of four evaluations
        assert trial.figures["score.density"] == pytest.approx(density[late].sum() / 8)
        assert trial.figures["reward"] == pytest.approx(reward[late].sum() / 8)
        assert trial.figures["best_reward"] == pytest.approx(reward.max())
        assert trial.figures["best.hhi"] == pytest.approx(hhi.max())
        assert trial.figures["hits"] == table[reward > 0.8]["formula"].nunique()


def test_failed_and_unfinished_trials_are_told_of(sweep_folder: Path) -> None:
    results = collect(sweep_folder)
    assert [trial.number for trial in results.trials] == [1, 2]
    assert [trial.number for trial in results.failed] == [3]
    table = pd.read_parquet(sweep_folder / "trials.parquet").set_index("trial")
    assert table["state"].tolist() == ["finished", "finished", "failed", "unfinished"]
    assert table.loc[3, "failures"] == 1
    assert "no crystal could be sampled" in (sweep_folder / "report.html").read_text()


def test_the_best_configuration_runs(sweep_folder: Path, tmp_path: Path) -> None:
    results = collect(sweep_folder)
    config = load_run_config(sweep_folder / "best.yaml", ["rl.loops=1"])
    start_run(config, tmp_path / "again", LocalExecutor(roles_of(config)))
    assert config.seed == results.best


def test_the_page_is_whole_and_loads_nothing(sweep_folder: Path) -> None:
    page = collect(sweep_folder).report.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    (data,) = re.findall(r'id="sweep-data">(.*?)</script>', page, flags=re.DOTALL)
    told = json.loads(data)
    crystals = read_results(sweep_folder).crystals
    (task,) = told["tasks"]
    assert len(task["crystals"]) == len(crystals)
    assert [c["until"] == -1 for c in task["crystals"]] == crystals["on_front"].tolist()
    assert [axis["key"] for axis in told["axes"]] == [
        "objective.terms.0.weight", "score.density", "score.hhi",
    ]  # fmt: skip


def test_a_copy_goes_on_where_the_other_trial_was(sweep_folder: Path, tmp_path: Path) -> None:
    sweep = load_sweep(sweep_folder.parent / "sweep.yaml")
    source = sweep_folder / "trials" / "00001" / "run"
    assert write_checkpoint(source, tmp_path, sweep_folder / "trials") == 3
    home = Home(sweep_folder / "trials" / "00002")
    changes = {"objective.terms.0.weight": 5.0}
    config = trial_config(sweep, changes, 2, sweep_folder)
    config = config.model_copy(update={"rl": config.rl.model_copy(update={"loops": 4})})
    run, resume = place_run(home, config, tmp_path)
    assert (run.name, resume, origin_of(run)) == ("run-2", True, (source, 3))
    # Broken off and taken up again, it is the same run.
    assert place_run(home, config, tmp_path) == (run, True)
    start_run(config, run, LocalExecutor(roles_of(config)), resume=True)
    judge = sweep.judge(changes)
    behind = judge_run(run, 4, judge)
    assert [c.key for c in behind if c.run == source] == [
        c.key for c in judge_run(source, 3, judge)
    ]
    assert {c.loop for c in behind if c.run == run} == {4}


def test_a_run_broken_off_while_it_was_begun_is_begun_again(sweep_folder: Path) -> None:
    sweep = load_sweep(sweep_folder.parent / "sweep.yaml")
    home = Home.open(sweep_folder / "trials", 4)
    (home.folder / "run").mkdir()
    (home.folder / "run" / "prior.safetensors").write_bytes(b"half")
    config = trial_config(sweep, {"objective.terms.0.weight": 2.0}, 4, sweep_folder)
    assert place_run(home, config, None) == (home.folder / "run", False)
    assert not (home.folder / "run").exists()
    shutil.rmtree(home.folder)
