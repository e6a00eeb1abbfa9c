"""The plan of the reinforcement-learning benchmark: what differs is what is said to differ."""

from __future__ import annotations

import pytest
from rl_plan import BASELINE, PRIOR, Job, Plan, config_of, load_plan, measuring

from ray_matdesign.rl.run import changed_settings

PLAN = load_plan()


def job(task: str, mode: str, seed: int = 0) -> Job:
    return Job(task, mode, seed, loops=30, final=128, judged=64)


@pytest.mark.parametrize("task", PLAN.tasks)
def test_every_task_runs_in_every_mode(task: str) -> None:
    for mode in PLAN.modes:
        config = config_of(PLAN, job(task, mode, seed=2))
        assert (config.rl.loops, config.seed) == (30, 2)
        assert config.execution.backend == "local"


@pytest.mark.parametrize("task", PLAN.tasks)
def test_the_better_mode_pays_for_less_and_is_alike_in_all_else(task: str) -> None:
    faithful = config_of(PLAN, job(task, BASELINE))
    better = config_of(PLAN, job(task, "guided"))
    changed = changed_settings(faithful, better)
    assert "rl.algorithm" in changed
    assert all(key.startswith("rl.") for key in changed)
    assert not {"rl.epochs", "rl.lr", "rl.sigma"} & set(changed)
    # Samples cost a fraction of a relaxation; of those it has no more, and half where they are what
    # is paid for.
    assert better.rl.relaxations is not None
    assert better.rl.relaxations * (2 if task == "sun" else 1) <= faithful.rl.samples
    assert better.rl.evaluations * 2 <= faithful.rl.evaluations
    micro_steps = [c.rl.epochs * c.rl.timesteps for c in (faithful, better)]
    assert micro_steps[1] * 3 < micro_steps[0]
    lessons = [int(c.rl.evaluations * c.rl.top_fraction) for c in (faithful, better)]
    assert lessons[1] < lessons[0]


@pytest.mark.parametrize(
    ("ablated", "keys"),
    [
        ("matinvent-no-replay", ["rl.replay.draw"]),
        ("matinvent-no-diversity", ["rl.diversity.buffer", "rl.diversity.tolerance"]),
        ("matinvent-no-prior", ["rl.sigma"]),
        ("matinvent-no-sun", ["stability.require"]),
        ("guided-no-screening", ["rl.relaxations", "rl.samples"]),
        ("guided-no-surrogate", ["rl.surrogate.enabled"]),
        ("guided-no-presumed", ["rl.surrogate.presumed"]),
        ("guided-no-best", ["rl.replay.prefer"]),
        ("guided-no-sparing", ["rl.repeats"]),
        ("guided-no-spread", ["rl.times"]),
    ],
)
@pytest.mark.parametrize("task", ["density", "sun"])
def test_an_ablation_takes_one_thing_away(task: str, ablated: str, keys: list[str]) -> None:
    base = ablated.partition("-no-")[0]
    whole, part = (config_of(PLAN, job(task, mode)) for mode in (base, ablated))
    assert changed_settings(whole, part) == keys


def test_a_mode_stands_on_modes_above_it_alone() -> None:
    settings = PLAN.model_dump()
    settings["modes"] = {"matinvent": ["guided"], "guided": ["rl.algorithm=guided"]}
    with pytest.raises(ValueError, match=r"modes\.matinvent: no mode guided above it"):
        Plan.model_validate(settings)


def test_a_mode_without_the_gate_is_measured_behind_it() -> None:
    assert config_of(PLAN, job("density", "matinvent-no-sun")).stability.require == ()
    measured = measuring(PLAN, job("density", "matinvent-no-sun"))
    assert measured.stability.require == ("stable", "unique", "novel")


def test_nothing_is_turned_down_when_crystals_are_measured() -> None:
    strict = Job(
        *("density", PRIOR, 0, 30, 128, 64),
        extra=("objective.terms.0.min_score=0.5", "objective.filters=[{scorer: hhi, max: 1.0}]"),
    )
    objective = measuring(PLAN, strict).objective
    assert objective.filters == ()
    assert [term.min_score for term in objective.terms] == [None]


def test_files_of_different_lengths_do_not_collide() -> None:
    short, long = (Job("density", BASELINE, 0, loops, 128, 64) for loops in (25, 200))
    assert short.folder == long.folder
    for name in ("population", "opinion", "survivors"):
        assert getattr(short, name) != getattr(long, name)
    priors = [Job("density", PRIOR, 0, loops, 128, 64) for loops in (25, 200)]
    assert priors[0].population == priors[1].population
