"""A learner of several processes: the outcome of one, and none of them is mourned for long."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import toy
from processes import eventually, ray_processes

from ray_matdesign.config.schema import ExecutionSettings, GeneratorSettings, RLSettings
from ray_matdesign.crystals.codec import encode_crystals
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.generators.registry import load_policy
from ray_matdesign.rl.executor import BatchFailed, Role
from ray_matdesign.rl.workers import LearnerWorker, learner_worker

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

SMALL = {"epochs": 2, "timesteps": 10, "accumulate": 5, "lr": 0.05}
FCC = np.ones((3, 3)) - np.eye(3)


def role(settings: Mapping[str, Any], factory: str = "", **changes: Any) -> Role:
    fields: dict[str, Any] = {"processes": 2, "cpus": 0.25, "retries": 2, **changes}
    factory = factory or "ray_matdesign.rl.workers:learner_worker"
    return Role(name="learner", factory=factory, settings=settings, **fields)


def learner_settings(generator: Mapping[str, Any], rl: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "generator": GeneratorSettings.model_validate(generator).model_dump(mode="json"),
        "rl": RLSettings.model_validate(rl).model_dump(mode="json"),
    }


def payload(crystals: list[Crystal], **changes: Any) -> dict[str, Any]:
    rewards = np.random.default_rng(1).random(len(crystals)).tolist()
    return {
        "crystals": encode_crystals(crystals),
        "rewards": rewards,
        "seed": 7,
        "optimizer": None,
        **changes,
    }


@pytest.fixture
def execution() -> ExecutionSettings:
    return ExecutionSettings(backend="ray", object_store_mib=80)


def answers(
    role: Role, execution: ExecutionSettings, batches: list[Any], weights: Any = None
) -> Iterator[Any]:
    with RayExecutor([role], execution) as executor:
        if weights is not None:
            executor.publish("learner", weights, 1)
        for batch in batches:
            ((_, answer),) = executor.map("learner", "finetune", [batch])
            yield answer


def assert_same_lesson(ours: Mapping[str, Any], theirs: Mapping[str, Any], atol: float) -> None:
    assert not isinstance(ours, BatchFailed), ours
    assert ours["adam_steps"] == theirs["adam_steps"]
    for name in ("loss", "denoise", "deviation"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6)
    assert ours["weights"].keys() == theirs["weights"].keys()
    for name, array in theirs["weights"].items():
        np.testing.assert_allclose(ours["weights"][name], array, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("times", ["spread", pytest.param("shared", marks=pytest.mark.slow)])
def test_two_processes_learn_what_one_learns(
    local_ray: None, execution: ExecutionSettings, times: str
) -> None:
    settings = learner_settings({"name": "toy:load"}, {**SMALL, "times": times})
    rl = RLSettings.model_validate(settings["rl"])
    alone = LearnerWorker(toy.ToyPolicy(), toy.ToyPolicy(), rl)
    five, one = toy.ToyPolicy().sample(5, seed=0), toy.ToyPolicy().sample(1, seed=0)
    published = alone.finetune(payload(five, seed=1))["weights"]
    alone.load(published, 1)
    batches = [payload(five), payload(one)]  # a share of three and two; of one and none
    learned = list(answers(role(settings), execution, batches, published))
    for ours, batch in zip(learned, batches, strict=True):
        assert_same_lesson(ours, alone.finetune(batch), atol=2e-6)


@pytest.mark.slow
def test_the_packaged_policy_is_shared_as_well(
    local_ray: None, execution: ExecutionSettings
) -> None:
    rl = {"epochs": 1, "timesteps": 4, "accumulate": 2, "lr": 1e-4, "times": "spread"}
    settings = learner_settings({}, rl)
    salts = [
        Crystal((1.7 + 0.02 * k) * FCC, [[0, 0, 0], [0.5, 0.5, 0.5]], [3 + 8 * (k % 2), 9])
        for k in range(4)
    ]
    perovskite = Crystal(
        np.eye(3) * 3.9,
        [[0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]],
        [38, 22, 8, 8, 8],
    )
    batch = payload([*salts, perovskite])
    alone = learner_worker(settings).finetune(batch)
    before = load_policy(GeneratorSettings()).weights()
    moved = max(np.abs(alone["weights"][name] - before[name]).max() for name in before)
    assert moved > 1e-4  # both steps of Adam did something
    (together,) = answers(role(settings), execution, [batch])
    # Adam's first steps are signs of gradients, so rounding shows where a gradient is nothing but
    # rounding; everywhere else the weights agree to a hundredth of a step.
    assert together["loss"] == pytest.approx(alone["loss"], rel=1e-4)
    wrong = total = 0
    for name, array in alone["weights"].items():
        wrong += int((np.abs(together["weights"][name] - array) > 1e-6).sum())
        total += array.size
    assert wrong / total < 1e-3


def test_a_process_killed_at_work_costs_an_attempt_and_changes_nothing(
    local_ray: None,
    execution: ExecutionSettings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = learner_settings({"name": "toy:load"}, {**SMALL, "epochs": 1})
    rl = RLSettings.model_validate(settings["rl"])
    alone = LearnerWorker(toy.ToyPolicy(), toy.ToyPolicy(), rl)
    five = toy.ToyPolicy().sample(5, seed=0)
    settings["log"] = str(tmp_path / "log")
    with caplog.at_level(logging.WARNING):
        (answer,) = answers(
            role(settings, "group_workers:dying_learner"), execution, [payload(five)]
        )
    assert len((tmp_path / "log").read_text().splitlines()) == 2 + 2  # two, then two others
    assert_same_lesson(answer, alone.finetune(payload(five)), atol=2e-6)


def test_what_all_processes_refuse_is_a_failed_batch_and_the_group_goes_on(
    local_ray: None, execution: ExecutionSettings
) -> None:
    settings = learner_settings({"name": "toy:load"}, SMALL)
    five = toy.ToyPolicy().sample(5, seed=0)
    bad = payload(five, rewards=[float("nan")] * 5)
    refused, good = answers(role(settings, retries=0), execution, [bad, payload(five)])
    assert isinstance(refused, BatchFailed)
    assert "not finite in micro-step 1" in refused.reason
    assert good["adam_steps"] == 4


def test_a_group_that_is_killed_takes_its_processes_along(
    local_ray: None, execution: ExecutionSettings
) -> None:
    settings = learner_settings({"name": "toy:load"}, SMALL)
    with RayExecutor([role(settings)], execution) as executor:
        (leader,) = executor.pids("learner")
        ranks = [p for p in ray_processes() if "_Rank" in " ".join(p.cmdline())]
        assert len(ranks) == 2
        os.kill(leader, signal.SIGKILL)
        assert eventually(lambda: not any(psutil.pid_exists(p.pid) for p in ranks))
        five = toy.ToyPolicy().sample(5, seed=0)
        ((_, answer),) = executor.map("learner", "finetune", [payload(five)])
        assert answer["adam_steps"] == 4
