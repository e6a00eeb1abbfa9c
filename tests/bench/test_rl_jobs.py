"""A whole job with the toy generator: what it measures, and that it repeats nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import rl_archive
import rl_jobs
import rl_plan
from rl_plan import BASELINE, PRIOR, Job, Plan
from rl_readings import missing, read
from rl_summary import summarise
from rl_table import figures, markdown, plot

from ray_matdesign.crystals.codec import decode_crystals
from ray_matdesign.rl.stages import RunFailed


@pytest.fixture
def plan(reference: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(rl_jobs, "JUDGE", "toy:solid")
    settings = [
        *("generator.name=toy:load", "generator.batch_size=8", "potential.name=toy:solid"),
        *(f"stability.reference={reference}", "relaxation.fmax_ev_per_ang=0.2"),
        *("rl.samples=12", "rl.evaluations=3", "rl.timesteps=10", "rl.epochs=1", "rl.lr=0.05"),
    ]
    rival = {"budgets": {6: []}, "guidance": [1.0], "epochs": 1, "lr": 1e-3, "batch_size": 8}
    return Plan.model_validate(
        {
            "settings": settings,
            "tasks": {"density": {"recipe": "density", "target": 18.0, "unit": "g/cm3"}},
            "modes": {BASELINE: [], "matinvent-no-replay": ["rl.replay.draw=0"]},
            "rival": {**rival, "tasks": {}},
        }
    )


def a_job(root: Path, mode: str = BASELINE, loops: int = 3) -> Job:
    return Job("density", mode, 0, loops, final=10, judged=4, root=root)


def written(job: Job) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in sorted((job.folder / "bench").glob("*.parquet"))}


def test_all_survivors_are_measured_and_only_the_evaluated_are_billed(plan, tmp_path) -> None:
    job = a_job(tmp_path)
    rl_jobs.perform(plan, job)
    rows = rl_jobs.read_candidates(job)
    survivors = {row["key"]: row for row in rows if row["sun"]}
    told = pq.read_table(job.survivors).to_pylist()
    assert {row["key"] for row in told} == set(survivors)
    for row in told:
        crystal = decode_crystals(survivors[row["key"]]["relaxed"])[0]
        assert row["value_density"] == pytest.approx(crystal.density, rel=1e-12)
    billed = sum(row["evaluated"] for row in rows)
    assert 0 < billed < len(survivors)
    assert read(plan, job).numbers["evaluations"] == billed


def test_a_mode_that_relaxes_less_is_measured_on_all_it_generates(plan, tmp_path) -> None:
    everything, chosen = tmp_path / "everything", tmp_path / "chosen"
    still = ("rl.lr=1.0e-12", "rl.evaluations=2")  # the same crystals, whatever is learned
    whole = Job("density", BASELINE, 0, 2, 10, 4, root=everything, extra=still)
    part = Job("density", BASELINE, 0, 2, 10, 4, root=chosen, extra=(*still, "rl.relaxations=2"))
    for job in (whole, part):
        rl_jobs.perform(plan, job)
    told = [pq.read_table(job.survivors).sort_by("key").to_pylist() for job in (whole, part)]
    assert [row["key"] for row in told[0]] == [row["key"] for row in told[1]]
    assert [row["value_density"] for row in told[0]] == pytest.approx(
        [row["value_density"] for row in told[1]], rel=1e-6
    )
    assert sum(row["relaxed"] is not None for row in rl_jobs.read_candidates(part)) == 4


def test_a_complete_job_is_not_done_again(plan, tmp_path) -> None:
    job = a_job(tmp_path)
    assert missing(plan, job) == "not begun"
    rl_jobs.perform(plan, job)
    before = written(job)
    assert len(before) == 3
    assert missing(plan, job) == ""
    rl_jobs.perform(plan, job)
    assert written(job) == before
    versions = json.loads((job.folder / "versions.json").read_text())
    assert versions["resumed"] == []


def test_a_reading_on_file_stands_in_for_a_run_with_the_same_settings(plan, tmp_path) -> None:
    job, archive = a_job(tmp_path / "runs", loops=2), tmp_path / "archive"
    rl_archive.complete(plan, job, archive)
    elsewhere = replace(job, root=tmp_path / "elsewhere")
    found = rl_archive.available(plan, elsewhere, archive)
    assert not isinstance(found, str)
    assert found.reading == replace(read(plan, job), job=elsewhere)
    for other in (
        replace(elsewhere, extra=("rl.sigma=0.5",)),
        replace(elsewhere, judged=5),
        replace(elsewhere, seed=1),
        replace(elsewhere, loops=3),
    ):
        assert rl_archive.recall(plan, other, archive) is None
    assert rl_archive.available(plan, replace(elsewhere, seed=1), archive) == "not begun"


def test_the_prior_on_file_serves_runs_of_any_length(plan, tmp_path) -> None:
    archive = tmp_path / "archive"
    rl_archive.complete(plan, a_job(tmp_path, PRIOR, loops=2), archive)
    assert rl_archive.recall(plan, a_job(tmp_path, PRIOR, loops=9), archive)


def test_a_longer_job_goes_on_from_a_shorter_one(plan, tmp_path) -> None:
    short, long = a_job(tmp_path, loops=2), a_job(tmp_path, loops=3)
    rl_jobs.perform(plan, short)
    assert missing(plan, long) == "2 of 3 loops"
    rl_jobs.perform(plan, long)
    straight = a_job(tmp_path / "other")
    rl_jobs.perform(plan, straight)
    tables = [pq.read_table(job.population) for job in (long, straight)]
    assert tables[0].equals(tables[1])
    short.population.unlink()
    with pytest.raises(RunFailed, match="after loop 3, not 2"):
        rl_jobs.perform(plan, short)


def test_a_run_with_other_settings_is_not_taken_for_this_one(plan, tmp_path) -> None:
    rl_jobs.perform(plan, a_job(tmp_path, loops=1))
    other = Job(
        "density", BASELINE, 0, 1, final=10, judged=4, root=tmp_path, extra=("rl.sigma=0.5",)
    )
    assert missing(plan, other) == "run with another rl.sigma"
    with pytest.raises(RunFailed, match=r"another rl\.sigma"):
        rl_jobs.perform(plan, other)


def test_a_prior_is_the_same_for_every_learner_but_not_for_every_gate(plan, tmp_path) -> None:
    rl_jobs.perform(plan, a_job(tmp_path, PRIOR))

    def told(*extra: str) -> str:
        return missing(plan, Job("density", PRIOR, 0, 7, 10, 4, root=tmp_path, extra=extra))

    assert told("rl.lr=0.5") == ""
    limit = "stability.max_e_above_hull_ev_per_atom"
    assert told(f"{limit}=0.05") == f"run with another {limit}"


def test_the_final_population_is_none_of_the_loops(plan, tmp_path) -> None:
    job, prior = a_job(tmp_path), a_job(tmp_path, PRIOR)
    for one in (job, prior):
        rl_jobs.perform(plan, one)
    seen = {row["generated"] for row in rl_jobs.read_candidates(job)}
    drawn = pq.read_table(job.population).to_pylist()
    assert len(drawn) == 10
    assert not seen & {row["generated"] for row in drawn}
    assert not any(row["evaluated"] for row in drawn)
    assert {row["policy_version"] for row in drawn} == {3}
    assert {row["policy_version"] for row in pq.read_table(prior.population).to_pylist()} == {0}


def test_an_equal_judge_agrees(plan, tmp_path) -> None:
    job = a_job(tmp_path)
    rl_jobs.perform(plan, job)
    numbers = read(plan, job).numbers
    assert numbers["judged"] == 4
    assert numbers["confirmed"] == 1.0
    assert numbers["gap"] == pytest.approx(0.0, abs=1e-2)


def test_the_report_holds_every_mode_and_names_what_is_missing(plan, tmp_path) -> None:
    jobs = [a_job(tmp_path, mode) for mode in (PRIOR, BASELINE, "matinvent-no-replay")]
    for job in jobs:
        rl_jobs.perform(plan, job)
    summaries = summarise(plan, [read(plan, job) for job in jobs])
    text = markdown(plan, summaries, ["density/guided/0: not begun"], {"abc": 3})
    assert "density/guided/0: not begun" in text
    assert "matinvent-no-replay" in text
    told = figures(plan, summaries)
    assert json.dumps(told, allow_nan=False)
    names = [figure["name"] for figure in told]
    assert len(set(names)) == len(names)
    for figure in told:
        assert {"name", "value", "unit", "baseline", "ratio"} <= set(figure)
    plot(plan, summaries, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_two_policies_of_a_seed_draw_with_the_same_noise(plan, tmp_path) -> None:
    """Common random numbers: until something is learnt, modes cannot be told apart."""
    first, second = a_job(tmp_path, loops=1), a_job(tmp_path, "matinvent-no-replay", loops=1)
    for job in (first, second):
        rl_jobs.perform(plan, job)
    rows = [[r["generated"] for r in rl_jobs.read_candidates(job)] for job in (first, second)]
    assert rows[0] == rows[1]
    assert rl_plan.config_of(plan, first).rl.replay.draw == 10
