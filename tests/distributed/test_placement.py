"""Room in a cluster of several nodes: spread, packed, waited for, refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from nodes import cluster_of
from processes import eventually
from ray.util.placement_group import placement_group, remove_placement_group

from ray_matdesign.config.schema import ExecutionSettings
from ray_matdesign.distributed import placement
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.distributed.placement import Placement
from ray_matdesign.distributed.resources import NotEnoughResources
from ray_matdesign.rl.executor import Role

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", autouse=True)
def two_nodes() -> Iterator[None]:
    with cluster_of(2, 2):
        yield


def role(name: str, workers: int, cpus: float = 0.5) -> Role:
    return Role(name, "faulty_workers:make", workers=workers, cpus=cpus)


def execution(**changes: Any) -> ExecutionSettings:
    return ExecutionSettings(backend="ray", object_store_mib=80, **changes)


def homes(executor: RayExecutor, name: str, workers: int) -> set[str]:
    """Nodes of a role's workers: as many slow batches as there are, so that each takes one."""
    batches = [{"sleep": 0.5}] * (2 * workers)
    return {answer["node"] for _, answer in executor.map(name, "node", batches)}


def all_is_free() -> bool:
    return bool(ray.available_resources().get("CPU", 0.0) == 4.0)


def test_reward_workers_are_spread_and_generators_packed() -> None:
    roles = [role("reward", 2), role("generator", 2)]
    with RayExecutor(roles, execution()) as executor:
        assert eventually(lambda: len(homes(executor, "reward", 2)) == 2)
        assert len(homes(executor, "generator", 2)) == 1
    assert eventually(all_is_free)


def test_which_roles_are_spread_can_be_chosen() -> None:
    roles = [role("reward", 2), role("generator", 2)]
    with RayExecutor(roles, execution(spread=("generator",))) as executor:
        assert eventually(lambda: len(homes(executor, "generator", 2)) == 2)
        assert len(homes(executor, "reward", 2)) == 1
    assert eventually(all_is_free)


def test_room_that_others_hold_is_waited_for_and_then_given_up_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(placement, "_REMIND_AFTER_S", 1.0)
    others = placement_group([{"CPU": 2}], strategy="PACK")
    ray.get(others.ready())
    roles = [role("reward", 2), role("learner", 2, cpus=1.0)]
    try:
        with caplog.at_level(logging.WARNING), pytest.raises(NotEnoughResources) as caught:
            Placement(roles, execution(placement_deadline_s=4.0), reserve=True)
    finally:
        remove_placement_group(others)
    message = str(caught.value)
    assert message.startswith("no room within 4 s (execution.placement_deadline_s) for 2 ")
    assert "others use the cluster, which has" in message
    assert "\n" not in message
    assert "waiting for room for 2" in caplog.text
    assert eventually(all_is_free)  # nothing stays reserved
    granted = Placement(roles, execution(), reserve=True)
    assert ray.available_resources().get("CPU", 0.0) == 1.0
    granted.close()
    assert eventually(all_is_free)


def test_the_processes_of_a_learner_live_in_its_group() -> None:
    learner = Role("learner", "faulty_workers:make", processes=2, cpus=1.0)
    with RayExecutor([learner], execution()) as executor:
        assert eventually(lambda: ray.available_resources().get("CPU", 0.0) == 2.0)
        ((_, answer),) = executor.map("learner", "square", [{"x": 3}])
        assert answer["square"] == 9
    assert eventually(all_is_free)
