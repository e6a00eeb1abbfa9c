"""The gate without a generator: what it pays for, records, and remembers."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import toy

from ray_matdesign.report import build_report
from ray_matdesign.rl.candidate import Outcome
from ray_matdesign.rl.stages import RunFailed
from ray_matdesign.rllib.appraisal import Appraiser

CU_PT = toy._fcc([29, 29, 78, 78], 1.01)
NI_PT = toy._fcc([28, 28, 78, 78], 1.01)
NI_AU = toy._fcc([28, 79, 79, 79], 1.02)


def judge(config, directory, *batches):
    appraiser = Appraiser(config, directory)
    judged = [appraiser.judge(batch) for batch in batches]
    numbers = (appraiser.batches, appraiser.evaluations)
    appraiser.close()
    return judged, numbers


def lines(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_a_batch_leaves_what_a_loop_leaves(reference, tmp_path):
    run = tmp_path / "run"
    ((judged,), numbers) = judge(toy.config(reference), run, [CU_PT, NI_PT, CU_PT])
    assert [c.outcome for c in judged] == [Outcome.EVALUATED, Outcome.EVALUATED, Outcome.DUPLICATE]
    assert numbers == (1, 2)
    (row,) = lines(run)
    assert row["evaluations_total"] == 2
    assert row["newly_relaxed"] == 2
    earned = sum(c.penalised_reward or 0.0 for c in judged) / 3
    assert row["earned_mean"] == pytest.approx(earned)
    table = pq.read_table(run / "candidates" / "loop-00001.parquet")
    assert table["key"].to_pylist() == [c.key for c in judged]
    assert build_report(run).exists()


def test_going_on_is_as_if_there_had_been_no_stop(reference, tmp_path):
    config = toy.config(reference)
    batches = [[CU_PT, NI_PT], [CU_PT, NI_AU], [CU_PT], [CU_PT, NI_PT], [CU_PT]]
    at_once, numbers = judge(config, tmp_path / "whole", *batches)
    first, _ = judge(config, tmp_path / "parts", *batches[:2])
    rest, resumed = judge(config, tmp_path / "parts", *batches[2:])
    assert resumed == numbers == (5, 8)
    rewards = [[c.penalised_reward for c in batch] for batch in at_once]
    assert [[c.penalised_reward for c in batch] for batch in first + rest] == rewards
    assert rewards[-1][0] == pytest.approx(rewards[0][0] / 3)  # the fifth time
    untimed = [
        [{k: v for k, v in row.items() if k != "wall_s"} for row in lines(tmp_path / name)]
        for name in ("whole", "parts")
    ]
    assert untimed[0] == untimed[1]
    assert [row["newly_relaxed"] for row in untimed[0]] == [2, 1, 0, 0, 0]


def test_a_line_cut_short_by_a_crash_is_judged_again(reference, tmp_path):
    config, run = toy.config(reference), tmp_path / "run"
    judge(config, run, [CU_PT], [NI_PT])
    metrics = run / "metrics.jsonl"
    metrics.write_text(metrics.read_text()[:-40])
    _, numbers = judge(config, run, [NI_PT])
    assert numbers == (2, 2)
    assert len(lines(run)) == 2
    assert lines(run)[1]["newly_relaxed"] == 0  # the ledger still had it


def test_another_objective_does_not_go_on_in_the_same_folder(reference, tmp_path):
    judge(toy.config(reference), tmp_path / "run", [CU_PT])
    with pytest.raises(RunFailed, match="another potential"):
        Appraiser(toy.config(reference, **{"potential.options": {"x": 1}}), tmp_path / "run")


def test_without_a_folder_nothing_is_kept(reference, tmp_path):
    ((judged,), _) = judge(toy.config(reference), None, [CU_PT])
    assert judged[0].reward is not None
    assert list(tmp_path.iterdir()) == []
