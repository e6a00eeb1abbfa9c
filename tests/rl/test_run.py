"""Whole campaigns with the toy generator: what they learn, and what survives an interruption."""

from __future__ import annotations

import base64
import json
import pkgutil
import resource
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import toy
import yaml
from runs import StopsIn, counted, loops, run, run_until_killed, table, untimed

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.cif import parse_cif
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.run import RunInterrupted
from ray_matdesign.rl.stages import RunFailed


@pytest.fixture(scope="module")
def finished(reference, tmp_path_factory):
    """A finished run of four loops: configuration and folder."""
    config = toy.config(reference)
    folder = tmp_path_factory.mktemp("finished") / "run"
    run(config, folder)
    return config, folder


def test_learning_raises_the_density_toward_the_target(reference, tmp_path):
    size = {"rl.loops": 7, "rl.samples": 20, "rl.evaluations": 12, "seed": 3}
    trained = run(toy.config(reference, **size), tmp_path / "trained").metrics
    control = run(toy.config(reference, **size, **{"rl.lr": 1e-9}), tmp_path / "control").metrics

    def late_mean(metrics, name):
        return sum(m[name] for m in metrics[-3:]) / 3

    # Seven metals at equal odds weigh 12.2 g/cm3; what is stable and novel of them, a little more.
    assert late_mean(control, "mean_density") == pytest.approx(12.7, abs=1.2)
    assert late_mean(trained, "mean_density") > late_mean(control, "mean_density") + 2.0
    assert late_mean(trained, "reward_mean") > late_mean(control, "reward_mean") + 0.2
    assert trained[-1]["policy_version"] == 7


def test_two_runs_with_one_seed_make_the_same_candidates(finished, tmp_path):
    config, folder = finished
    run(config, tmp_path / "again")
    pd.testing.assert_frame_equal(table(tmp_path / "again"), table(folder))
    assert untimed(tmp_path / "again") == untimed(folder)


def test_another_seed_makes_others(finished, reference, tmp_path):
    run(toy.config(reference, **{"seed": 1, "rl.loops": 1}), tmp_path / "other")
    ours = set(table(finished[1]).key)
    assert ours.isdisjoint(table(tmp_path / "other").key)


def test_every_sample_is_on_record_with_its_outcome(finished):
    config, folder = finished
    rows = table(folder)
    assert len(rows) == config.rl.loops * config.rl.samples
    assert rows.key.is_unique
    assert rows.policy_version.tolist() == (rows.loop - 1).tolist()
    assert not (rows.outcome == "pending").any()
    assert (rows.reason[rows.outcome == "evaluated"] == "").all()
    assert (rows.reason[rows.outcome != "evaluated"] != "").all()
    evaluated = rows[rows.outcome == "evaluated"]
    assert (evaluated.groupby("loop").size() <= config.rl.evaluations).all()
    assert evaluated.sun.all()
    reward = ((10 - (evaluated.value_density - 18).abs()) / 10).clip(0, 1)
    pd.testing.assert_series_equal(evaluated.reward, reward, check_names=False)


def test_replay_is_drawn_before_the_loops_best_enter(finished):
    rows = loops(finished[1])
    assert rows[0]["replayed"] == 0
    assert rows[0]["replay_size"] > 0
    for before, now in pairwise(rows):
        assert now["replayed"] == min(10, before["replay_size"] - now["purged"])


def test_the_buffer_holds_generated_crystals_with_penalised_rewards(reference, tmp_path):
    # Every second occurrence of a set of elements is already worth half, the third nothing.
    strict = {"key": "elements", "tolerance": 1, "buffer": 3}
    run(toy.config(reference, **{"rl.diversity": strict}), tmp_path / "run")
    rows = table(tmp_path / "run").set_index("key")
    state = json.loads((tmp_path / "run/checkpoints/loop-00004/state.json").read_text())
    halved = unrelaxed = 0
    for entry in state["replay"]["entries"]:
        row = rows.loc[entry["key"]]
        assert entry["reward"] == row.penalised_reward
        assert base64.b64decode(entry["crystal"]["base64"]) == row.generated
        unrelaxed += row.generated != row.relaxed
        halved += row.penalised_reward == pytest.approx(row.reward / 2)
    assert halved > 0
    assert unrelaxed > 0
    memory = {r["key"]: r["reward"] for r in state["memory"]["records"]}
    assert memory == rows.reward.dropna().to_dict()


def test_the_run_directory_explains_itself(finished):
    config, folder = finished
    assert RunConfig.model_validate(yaml.safe_load((folder / "config.yaml").read_text())) == config
    versions = json.loads((folder / "versions.json").read_text())
    assert versions["seed"] == 0
    assert versions["packages"]["torch"].startswith("2.")
    (term,) = json.loads((folder / "objective.json").read_text())["terms"]
    assert (term["name"], term["unit"]) == ("density", "g/cm3")
    metrics = pd.read_parquet(folder / "metrics.parquet")
    assert metrics.reward_mean.tolist() == [row["reward_mean"] for row in loops(folder)]
    assert list((folder / "tensorboard").iterdir())
    kept = sorted(p.name for p in (folder / "checkpoints").iterdir())
    assert kept == ["loop-00002", "loop-00003", "loop-00004"]


def test_the_best_crystals_are_cif_files_one_of_each_formula_best_first(finished):
    folder = finished[1]
    rows = table(folder)
    best = rows.sort_values(["reward", "key"], ascending=[False, True]).drop_duplicates("formula")
    files = sorted((folder / "best").iterdir())
    assert [f.stem.partition("-")[2] for f in files] == best.formula.dropna().tolist()[: len(files)]
    assert parse_cif(files[0].read_text()).density == pytest.approx(
        best.value_density.iloc[0], rel=1e-4
    )


@pytest.mark.parametrize("stage", ["sample", "relax", "evaluate", "finetune"])
def test_an_interrupted_run_resumes_to_the_same_end(stage, finished, tmp_path):
    config, uninterrupted = finished
    folder = tmp_path / "run"
    rarely = config.model_copy(update={"checkpoint_every": 10})
    with pytest.raises(RunInterrupted, match=r"stopped after loop 2; go on with --resume"):
        run(rarely, folder, progress=StopsIn(3, stage))
    run(config, folder, resume=True)
    pd.testing.assert_frame_equal(table(folder), table(uninterrupted))
    assert untimed(folder) == untimed(uninterrupted)
    resumed = json.loads((folder / "versions.json").read_text())["resumed"]
    assert [r["after_loop"] for r in resumed] == [2]


@pytest.mark.parametrize(
    "writing",
    [
        "ray_matdesign.rl.records.write_candidates",
        "ray_matdesign.rl.records.Records._write_events",
        "ray_matdesign.rl.run.write_front",
        "ray_matdesign.rl.run.snapshot",
    ],
)
def test_what_is_interrupted_while_a_loop_is_written_keeps_that_loop(
    writing, finished, tmp_path, monkeypatch
):
    config, uninterrupted = finished
    calls = []

    def interrupted(*args, **named):
        calls.append(writing)
        # A snapshot is taken of the start, too.
        if len(calls) == 2 + writing.endswith("snapshot"):
            raise KeyboardInterrupt
        return original(*args, **named)

    original = pkgutil.resolve_name(writing)
    monkeypatch.setattr(writing, interrupted)
    rarely = config.model_copy(update={"checkpoint_every": 10})
    with pytest.raises(RunInterrupted, match=r"stopped after loop 2; go on with --resume"):
        run(rarely, tmp_path / "run")
    monkeypatch.undo()
    assert [row["loop"] for row in loops(tmp_path / "run")] == [1, 2]
    assert (tmp_path / "run" / "checkpoints" / "loop-00002").is_dir()
    run(config, tmp_path / "run", resume=True)
    pd.testing.assert_frame_equal(table(tmp_path / "run"), table(uninterrupted))
    assert untimed(tmp_path / "run") == untimed(uninterrupted)


def test_momentum_carried_between_loops_survives_an_interruption(reference, tmp_path):
    config = toy.config(reference, **{"rl.optimizer_state": "carried", "rl.loops": 3})
    run(config, tmp_path / "whole")
    with pytest.raises(RunInterrupted):
        run(config, tmp_path / "broken", progress=StopsIn(2, "relax"))
    run(config, tmp_path / "broken", resume=True)
    assert untimed(tmp_path / "broken") == untimed(tmp_path / "whole")
    fresh = toy.config(reference, **{"rl.loops": 3})
    run(fresh, tmp_path / "fresh")
    assert untimed(tmp_path / "fresh") != untimed(tmp_path / "whole")


def test_a_killed_run_resumes_without_paying_twice(reference, tmp_path):
    whole_log, killed_log = tmp_path / "whole.log", tmp_path / "killed.log"
    run(counted(reference, whole_log, **{"rl.loops": 3}), tmp_path / "whole")
    # Batches of four: the process dies in loop 2, with one of its batches paid for.
    Path(f"{killed_log}.kill").write_text("12")
    config = counted(reference, killed_log, **{"rl.loops": 3})
    run_until_killed(config, tmp_path / "killed")
    assert len(killed_log.read_text().splitlines()) == 12
    run(config, tmp_path / "killed", resume=True)
    assert killed_log.read_text() == whole_log.read_text()
    assert untimed(tmp_path / "killed") == untimed(tmp_path / "whole")


def test_an_unreadable_checkpoint_is_passed_over_for_an_earlier_one(finished, tmp_path):
    config, uninterrupted = finished
    folder = tmp_path / "run"
    with pytest.raises(RunInterrupted):
        run(config, folder, progress=StopsIn(4, "sample"))
    (folder / "checkpoints/loop-00003/policy.safetensors").write_bytes(b"torn")
    watcher = StopsIn(0, "")
    run(config, folder, resume=True, progress=watcher)
    assert any("loop-00003 cannot be read" in note for note in watcher.notes)
    assert untimed(folder) == untimed(uninterrupted)


def test_more_loops_may_be_asked_for_but_no_other_setting_may_change(finished, tmp_path, reference):
    short = toy.config(reference, **{"rl.loops": 2})
    run(short, tmp_path / "run")
    run(finished[0], tmp_path / "run", resume=True)
    assert untimed(tmp_path / "run") == untimed(finished[1])
    with pytest.raises(RunFailed, match=r"started with another rl\.lr, seed; resume it with"):
        run(toy.config(reference, **{"seed": 5, "rl.lr": 0.1}), tmp_path / "run", resume=True)


def test_a_folder_is_used_once_and_resumed_only_if_there_is_a_run(finished, tmp_path):
    config, folder = finished
    with pytest.raises(RunFailed, match="holds a run already; continue it with --resume"):
        run(config, folder)
    with pytest.raises(RunFailed, match="holds no run to resume"):
        run(config, tmp_path / "empty", resume=True)


def test_another_prior_is_not_resumed_from(finished, tmp_path):
    config, folder = finished
    (tmp_path / "run").mkdir()
    for name in ("config.yaml", "versions.json"):
        (tmp_path / "run" / name).write_bytes((folder / name).read_bytes())
    trained = folder / "checkpoints/loop-00004/policy.safetensors"
    (tmp_path / "run/prior.safetensors").write_bytes(trained.read_bytes())
    with pytest.raises(RunFailed, match="is no longer the one"):
        run(config, tmp_path / "run", resume=True)


def test_two_processes_cannot_share_a_folder(reference, tmp_path):
    config = toy.config(reference, **{"rl.loops": 1})

    class Intruder(Silent):
        def loop_started(self, loop: int) -> None:
            with pytest.raises(RunFailed, match="another process is running in"):
                run(config, tmp_path / "run", resume=True)

    run(config, tmp_path / "run", progress=Intruder())


@contextmanager
def files_no_larger_than(size: int):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_stops_the_run_with_one_line_and_loses_nothing(finished, tmp_path):
    config, uninterrupted = finished

    class FillsUp(Silent):
        def loop_finished(self, metrics) -> None:
            if metrics["loop"] == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))

    with files_no_larger_than(resource.RLIM_INFINITY), pytest.raises(RunFailed) as caught:
        run(config, tmp_path / "run", progress=FillsUp())
    assert "\n" not in str(caught.value)
    assert "File too large" in str(caught.value)
    assert "--resume" in str(caught.value)
    run(config, tmp_path / "run", resume=True)
    assert untimed(tmp_path / "run") == untimed(uninterrupted)
