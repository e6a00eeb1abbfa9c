"""Loops that overlap: what samples them, what they leave behind, and what interrupts them."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import toy
from hasty import HastyExecutor
from runs import StopsIn, counted, loops, run, run_until_killed, table, untimed

from ray_matdesign.rl.checkpoint import load_latest, load_weights
from ray_matdesign.rl.executor import BatchFailed
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.run import RunInterrupted, start_run
from ray_matdesign.rl.stages import RunFailed
from ray_matdesign.rl.workers import roles_of

LOOPS = 5


def pipelined(reference, staleness, **changes):
    return toy.config(
        reference,
        **{
            "rl.loops": LOOPS,
            "rl.staleness": staleness,
            "generator.batch_size": 6,  # of 16 samples: batches of 6, 6 and 4
            **changes,
        },
    )


@pytest.fixture(scope="module")
def finished(reference, tmp_path_factory):
    """Finished runs by staleness: configuration and folder."""
    runs = {}
    for staleness in (1, 2):
        config = pipelined(reference, staleness)
        folder = tmp_path_factory.mktemp(f"staleness-{staleness}") / "run"
        run(config, folder)
        runs[staleness] = config, folder
    return runs


def same(folder: Path, other: Path) -> None:
    pd.testing.assert_frame_equal(table(folder), table(other), check_exact=True)
    assert untimed(folder) == untimed(other)


@pytest.mark.parametrize("staleness", [1, 2])
def test_a_loop_is_sampled_by_the_policy_of_so_many_loops_before(staleness, finished):
    rows = table(finished[staleness][1])
    by_loop = rows.groupby("loop").policy_version.unique()
    for loop, versions in by_loop.items():
        assert versions.tolist() == [max(0, loop - 1 - staleness)]
    lags = [row["policy_lag"] for row in loops(finished[staleness][1])]
    assert lags == [min(k, staleness) for k in range(LOOPS)]


def test_as_long_as_the_prior_samples_the_crystals_are_those_of_a_run_without_lessons(
    finished, reference, tmp_path
):
    idle = pipelined(reference, 0, **{"rl.lr": 1e-12, "rl.loops": 3})
    run(idle, tmp_path / "idle")
    rows = table(finished[2][1])
    early = rows[rows.loop <= 3]  # two loops behind: the prior makes the first three
    assert early.key.tolist() == table(tmp_path / "idle").key.tolist()


def test_one_loop_after_another_is_the_default(reference, tmp_path):
    config = toy.config(reference, **{"rl.loops": 2})
    assert config.rl.staleness == 0
    run(config, tmp_path / "run")
    assert [row["policy_lag"] for row in loops(tmp_path / "run")] == [0, 0]
    assert "busy" not in loops(tmp_path / "run")[0]


@pytest.mark.parametrize("staleness", [1, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_whatever_finishes_first_the_outcome_is_the_same(staleness, seed, finished, tmp_path):
    config, folder = finished[staleness]
    executor = HastyExecutor(roles_of(config), seed)
    start_run(config, tmp_path / "run", executor)
    same(tmp_path / "run", folder)
    assert executor.under_way > 1


def test_later_loops_are_relaxed_before_earlier_ones_are_learnt_from(finished, tmp_path):
    config, _ = finished[1]
    executor = HastyExecutor(roles_of(config), nap_s=0.0)
    start_run(config, tmp_path / "run", executor)
    asked = executor.log
    lessons = [place for place, (role, verb, _) in enumerate(asked) if verb == "finetune"]
    assert len(lessons) == LOOPS
    for lesson in lessons:
        loop = asked[lesson][2]
        begun = {priority for _, verb, priority in asked[:lesson] if verb == "sample"}
        # Of two loops ahead nothing may be asked: its policy is the one being made.
        assert begun == set(range(1, min(loop + 1, LOOPS) + 1))


def test_no_more_loops_wait_than_allowed(finished, tmp_path):
    config, _ = finished[2]

    class Counts(Silent):
        begun, done, most = 0, 0, 0

        def loop_started(self, loop):
            self.begun += 1
            assert loop == self.begun
            self.most = max(self.most, self.begun - self.done)

        def loop_finished(self, metrics):
            self.done += 1

    watcher = Counts()
    run(config, tmp_path / "run", progress=watcher)
    assert watcher.most == 3
    assert watcher.begun == watcher.done == LOOPS


@pytest.mark.parametrize("staleness", [1, 2])
@pytest.mark.parametrize("stage", ["sample", "relax", "evaluate", "finetune"])
def test_an_interrupted_run_resumes_to_the_same_end(staleness, stage, finished, tmp_path):
    config, uninterrupted = finished[staleness]
    with pytest.raises(RunInterrupted, match=r"stopped after loop \d; go on with --resume"):
        run(config, tmp_path / "run", progress=StopsIn(4, stage))
    assert 0 < len(loops(tmp_path / "run")) < LOOPS or stage in ("sample", "relax")
    run(config, tmp_path / "run", resume=True)
    same(tmp_path / "run", uninterrupted)


def test_an_interrupted_run_on_threads_stops_them_and_resumes_to_the_same_end(finished, tmp_path):
    config, uninterrupted = finished[1]
    executor = HastyExecutor(roles_of(config), nap_s=0.1)
    with pytest.raises(RunInterrupted):
        start_run(config, tmp_path / "run", executor, progress=StopsIn(4, "evaluate"))
    before = sorted((p, p.stat().st_size) for p in (tmp_path / "run/ledger").iterdir())
    asked = len(executor.log)
    run(config, tmp_path / "run", resume=True)
    assert len(executor.log) == asked
    assert before
    same(tmp_path / "run", uninterrupted)


@pytest.mark.parametrize(
    ("after", "staleness"),
    [
        (12, 1),
        (20, 2),
        pytest.param(12, 2, marks=pytest.mark.slow),
        pytest.param(20, 1, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_resumes_without_paying_twice(staleness, after, reference, tmp_path):
    changes = {"rl.loops": 4, "rl.staleness": staleness, "generator.batch_size": 6}
    whole_log, killed_log = tmp_path / "whole.log", tmp_path / "killed.log"
    run(counted(reference, whole_log, **changes), tmp_path / "whole")
    Path(f"{killed_log}.kill").write_text(str(after))
    config = counted(reference, killed_log, **changes)
    run_until_killed(config, tmp_path / "killed")
    assert len(killed_log.read_text().splitlines()) == after
    run(config, tmp_path / "killed", resume=True)
    assert killed_log.read_text() == whole_log.read_text()
    same(tmp_path / "killed", tmp_path / "whole")


def test_checkpoints_hold_the_policies_that_loops_under_way_need(finished):
    for staleness, (_, folder) in finished.items():
        held, problems = load_latest(folder / "checkpoints")
        assert not problems
        assert sorted(held.earlier) == list(range(LOOPS - staleness, LOOPS))
        for loop, issue in held.earlier.items():
            assert issue.version == loop  # every loop learned something
            policy = folder / "checkpoints" / f"loop-{loop:05d}" / "policy.safetensors"
            if policy.exists():  # the three newest are kept
                for name, array in load_weights(policy).items():
                    np.testing.assert_array_equal(issue.weights[name], array)


def test_a_policy_that_did_not_change_is_kept_once(reference, tmp_path):
    hopeless = {"stability.max_e_above_hull_ev_per_atom": -9.0, "rl.loops": 3}
    run(pipelined(reference, 2, **hopeless), tmp_path / "run")
    files = sorted(p.name for p in (tmp_path / "run/checkpoints/loop-00003").iterdir())
    assert files == ["policy.safetensors", "state.json"]
    assert [row["policy_lag"] for row in loops(tmp_path / "run")] == [0, 0, 0]
    more = pipelined(reference, 2, **{**hopeless, "rl.loops": 4})
    assert run(more, tmp_path / "run", resume=True).metrics[-1]["loop"] == 4


def test_a_limited_choice_of_what_is_relaxed_sees_what_the_policy_had_seen(reference, tmp_path):
    changes = {
        "rl.relaxations": 6,
        "rl.surrogate": {"enabled": True, "least_labels": 4},
        "rl.loops": 4,
    }
    config = pipelined(reference, 1, **changes)
    run(config, tmp_path / "whole")
    executor = HastyExecutor(roles_of(config), seed=3)
    start_run(config, tmp_path / "hasty", executor)
    same(tmp_path / "hasty", tmp_path / "whole")
    with pytest.raises(RunInterrupted):
        run(config, tmp_path / "broken", progress=StopsIn(4, "evaluate"))
    run(config, tmp_path / "broken", resume=True)
    same(tmp_path / "broken", tmp_path / "whole")
    rows = table(tmp_path / "whole")
    spent = rows[rows.outcome == "not_relaxed"].groupby("loop").size()
    assert (spent > 0).all()


def test_a_generator_that_never_answers_ends_the_run_with_what_was_done_before(finished, tmp_path):
    config, _ = finished[1]

    class Fails(HastyExecutor):
        def map(self, role, verb, batches, *, priority=0):
            results = super().map(role, verb, batches, priority=priority)
            if (verb, priority) != ("sample", 4):
                return results
            return ((index, BatchFailed("worker died")) for index, _ in results)

    with pytest.raises(RunFailed, match="loop 4: no crystal could be sampled: worker died"):
        start_run(config, tmp_path / "run", Fails(roles_of(config)))
    assert [row["loop"] for row in loops(tmp_path / "run")] == [1, 2, 3]


def test_notes_of_loops_ahead_are_passed_on_by_the_thread_that_harvests(finished, tmp_path):
    config, _ = finished[1]

    class Loses(HastyExecutor):
        def map(self, role, verb, batches, *, priority=0):
            results = super().map(role, verb, batches, priority=priority)
            if (verb, priority) != ("sample", 2):
                return results
            return ((i, BatchFailed("worker died") if i == 1 else r) for i, r in results)

    class Listens(StopsIn):
        def __init__(self):
            super().__init__(0, "")
            self.threads = set()

        def stage(self, name, done, total):
            self.threads.add(threading.get_ident())

        def note(self, line):
            super().note(line)
            self.threads.add(threading.get_ident())

    watcher = Listens()
    start_run(config, tmp_path / "run", Loses(roles_of(config)), progress=watcher)
    assert watcher.notes == ["loop 2: a sampling batch failed: worker died"]
    assert watcher.threads == {threading.get_ident()}
    assert Counter(table(tmp_path / "run").loop)[2] == 10


def test_reward_workers_come_and_go_only_where_a_minimum_is_set(reference):
    floors = {}
    for least in (None, 2):
        config = toy.config(
            reference,
            **{"execution.reward_workers": 8, "execution.min_reward_workers": least},
        )
        floors[least] = {role.name: (role.floor, role.workers) for role in roles_of(config)}
    assert floors[None] == {"generator": (1, 1), "reward": (8, 8), "learner": (1, 1)}
    assert floors[2] == {**floors[None], "reward": (2, 8)}


def test_metrics_tell_what_overlapped(finished, tmp_path):
    rows = loops(finished[1][1])
    assert set(rows[0]["busy"]) >= {"sample", "assess", "score", "finetune"}
    assert all(row["waits"]["prospect"] >= 0.0 for row in rows)
    assert set(rows[0]["timings"]) == {"sample", "relax", "evaluate", "finetune"}
    for row in rows:
        began = row["began"]
        assert began["sample"] <= began["relax"] <= began["evaluate"] <= began["finetune"]
    columns = pd.read_parquet(finished[1][1] / "metrics.parquet").columns
    assert {"busy.sample", "waits.prospect", "policy_lag"} <= set(columns)


def test_a_crystal_given_up_stays_in_quarantine_when_the_run_is_resumed(reference, tmp_path):
    config = toy.config(reference, **{"rl.loops": 1, "relaxation.batch_size": 4})
    tried: list[int] = []

    class Poisoned(LocalExecutor):
        def map(self, role, verb, batches, *, priority=0):
            for index, result in super().map(role, verb, batches):
                if verb == "assess" and index == 1:  # the second batch, then its second member
                    tried.append(len(batches))
                    result = BatchFailed("no answer within 3 s, 3 times")
                yield index, result

    with pytest.raises(RunInterrupted):
        start_run(
            config, tmp_path / "run", Poisoned(roles_of(config)), progress=StopsIn(1, "evaluate")
        )
    assert tried == [4, 4]
    lines = (tmp_path / "run/ledger/loop-00001.jsonl").read_text().splitlines()
    results = [item for line in lines for item in json.loads(line)["results"].items()]
    ((key, record),) = [item for item in results if "quarantined" in item[1]]
    assert record == {"quarantined": "no answer within 3 s, 3 times"}
    run(config, tmp_path / "run", resume=True)  # now nothing would fail
    row = table(tmp_path / "run").set_index("key").loc[key]
    assert row.outcome == "relaxation_failed"
    assert row.reason == "no answer within 3 s, 3 times"
