"""Whole sweeps with the toy generator, from the file to the results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ray_matdesign.config.loading import load_run_config
from ray_matdesign.crystals.cif import parse_cif
from ray_matdesign.rl.front import non_dominated
from ray_matdesign.tune import Results, run_sweep
from ray_matdesign.tune.judging import origin_of

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]


def check_results(results: Results, trials: int) -> None:
    """What holds of the results of any toy sweep without failures."""
    folder = results.folder
    table = pd.read_parquet(folder / "trials.parquet")
    assert len(table) == len(results.trials) == trials
    assert set(table["state"]) <= {"finished", "stopped"}
    crystals = pd.read_parquet(folder / "crystals.parquet")
    scores = crystals[["score_density", "score_hhi"]].to_numpy()
    assert crystals["on_front"].tolist() == non_dominated(scores).tolist()
    front = pd.read_parquet(folder / "pareto.parquet")
    assert set(zip(front["trial"], front["key"], strict=True)) == set(
        crystals[crystals["on_front"]][["trial", "key"]].itertuples(index=False, name=None)
    )
    files = sorted((folder / "front").glob("*.cif"))
    assert len(files) == len(front)
    assert [parse_cif(f.read_text()).formula for f in files] == front["formula"].tolist()
    best = load_run_config(folder / "best.yaml")
    assert best.name == f"toy-{results.best:05d}"
    assert results.best in results.front
    assert '"sweep-data"' in results.report.read_text()


def test_random_search_leaves_trials_a_front_and_a_page(
    local_ray: None, sweep_file: Callable[..., Path], tmp_path: Path
) -> None:
    told: list[str] = []
    results = run_sweep(sweep_file(), tmp_path / "sweep", say=told.append)
    check_results(results, 4)
    assert sum("ended after loop 3" in line for line in told) == 4
    curves = pd.read_parquet(tmp_path / "sweep" / "curves.parquet")
    pooled = curves[curves["trial"] == 0]["hypervolume"].to_numpy()
    assert (np.diff(pooled) >= 0).all()
    for trial in results.trials:
        rows = tmp_path / "sweep" / "trials" / f"{trial.number:05d}" / "run" / "metrics.jsonl"
        last = json.loads(rows.read_text().splitlines()[-1])
        # Weights and bounds are the base's: the judge and the run must agree.
        assert trial.figures["hypervolume"] == pytest.approx(last["hypervolume"])
        own = curves[curves["trial"] == trial.number]["hypervolume"].iloc[-1]
        assert own == pytest.approx(last["hypervolume"])


def start_command(sweep: Path, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("RAY_ADDRESS", None)
    command = [sys.executable, "-m", "ray_matdesign", "tune", str(sweep), "--out", str(folder)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_killed_sweep_is_restored_and_loses_no_finished_trial(
    local_ray: None, sweep_file: Callable[..., Path], tmp_path: Path
) -> None:
    """By the genetic search, and with reward workers that all trials share."""
    from processes import eventually

    file = sweep_file(
        trials=5,
        algorithm={"kind": "nsga2", "population": 4},
        space={
            "objective.terms.0.weight": {"kind": "loguniform", "low": 0.1, "high": 10.0},
            "objective.aggregation": {"kind": "choice", "values": ["chebyshev", "weighted"]},
        },
        pool={"workers": 1},
    )
    folder = tmp_path / "sweep"
    command = start_command(file, folder)
    trials = folder / "trials"
    try:
        assert eventually(
            lambda: bool(list(trials.glob("*/state.json"))) or command.poll() is not None, 900.0
        )
        command.send_signal(signal.SIGKILL)
        _, stderr = command.communicate(timeout=120.0)
    finally:
        command.kill()
    assert command.returncode == -signal.SIGKILL, stderr
    ended = {
        path.parent: (path.parent / "run" / "metrics.jsonl").read_text()
        for path in trials.glob("*/state.json")
    }
    assert 0 < len(ended) < 5

    results = run_sweep(file, folder, resume=True)

    check_results(results, 5)
    assert [trial.number for trial in results.trials] == [1, 2, 3, 4, 5]
    for home, before in ended.items():
        assert (home / "run" / "metrics.jsonl").read_text() == before
        assert not (home / "run-2").exists()
    drawn = {trial.changes["objective.aggregation"] for trial in results.trials}
    assert drawn <= {"chebyshev", "weighted"}
    assert len({trial.changes["objective.terms.0.weight"] for trial in results.trials}) > 2


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("rl-settings", ["trials=3", "evaluations=12", "algorithm.grace_loops=1"]),
        (
            "population",
            # Whether a trial is the worse one when it reports is chance; each reports five times.
            # Trials that need not take turns need not be started anew for each.
            ["trials=2", "rl.loops=6", "algorithm.interval_loops=1", "algorithm.quantile=0.5"],
        ),
    ],
)
def test_shipped_sweeps_run_at_toy_size(
    local_ray: None, reference: Path, tmp_path: Path, name: str, overrides: list[str]
) -> None:
    toy_size = [
        "generator.name=toy:load",
        "potential.name=toy:solid",
        "prefilter.smact=false",
        f"stability.reference={reference}",
        "rl.samples=8",
        "rl.evaluations=4",
        "relaxation.fmax_ev_per_ang=0.2",
        "execution.cpus_per_worker=0.5",
        "concurrency=2",
    ]
    file = Path(__file__).parents[2] / "tune_configs" / f"{name}.yaml"
    results = run_sweep(file, tmp_path / "sweep", overrides=[*toy_size, *overrides])
    assert not results.failed
    assert {trial.state for trial in results.trials} <= {"finished", "stopped"}
    rewards = {trial.number: trial.figures["reward"] for trial in results.trials}
    assert rewards[results.best] == max(rewards.values())
    forks = list((tmp_path / "sweep").glob("trials/*/run-*"))
    assert bool(forks) == (name == "population")
    for fork in forks:
        check_fork(fork)


def check_fork(run: Path) -> None:
    """It goes on from another trial's policy and memory, with settings of its own."""
    source, loop = origin_of(run)
    assert source.parent != run.parent
    kept = run / "checkpoints" / f"loop-{loop:05d}"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    if (source / "checkpoints" / kept.name).exists() and kept.exists():
        for name in ("policy.safetensors", "optimizer.safetensors", "state.json"):
            original = source / "checkpoints" / kept.name / name
            assert (kept / name).read_bytes() == original.read_bytes()
    before = [json.loads(line) for line in (source / "metrics.jsonl").read_text().splitlines()]
    (spent,) = [row["evaluations_total"] for row in before if row["loop"] == loop]
    assert rows[0]["loop"] == loop + 1
    assert rows[0]["evaluations_total"] == spent + rows[0]["evaluated"]
