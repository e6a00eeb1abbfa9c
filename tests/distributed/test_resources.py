"""Too small a cluster is named before anything starts."""

from __future__ import annotations

import pytest

from ray_matdesign.distributed.resources import (
    Node,
    NotEnoughResources,
    check_cluster,
    check_cpus,
    check_gpus,
    cpus_of,
    nodes_of,
)
from ray_matdesign.rl.executor import Role


def role(
    name: str, workers: int, cpus: float = 1.0, gpus: float = 0.0, least: int | None = None
) -> Role:
    return Role(
        name=name, factory="m:f", workers=workers, cpus=cpus, gpus=gpus, least_workers=least
    )


ROLES = (role("reward", 2), role("generator", 1))


def test_a_cluster_that_is_too_small_says_by_what() -> None:
    with pytest.raises(NotEnoughResources) as caught:
        check_cluster(ROLES, [Node(2, 0)])
    assert str(caught.value) == (
        "needs 3 CPUs (2 reward workers x 1 + 1 generator worker x 1), cluster has 2"
    )


def test_gpus_are_counted_without_the_roles_that_need_none() -> None:
    roles = (role("generator", 2, gpus=1.0), role("reward", 3, gpus=0.5), role("learner", 1))
    with pytest.raises(NotEnoughResources, match=r"needs 3.5 GPUs .*, cluster has 2$") as caught:
        check_cluster(roles, [Node(16, 2)])
    assert "learner" not in str(caught.value)


def test_exactly_enough_is_enough() -> None:
    check_cluster(ROLES, [Node(1, 0), Node(2, 0)])
    check_cluster([role("reward", 10, cpus=0.1)], [Node(1, 0)])


def test_shares_must_fit_on_single_nodes() -> None:
    with pytest.raises(NotEnoughResources, match=r"no node has room for one more learner worker"):
        check_cluster([role("learner", 1, gpus=2.0)], [Node(4, 1), Node(4, 1)])


def test_on_one_machine_roles_take_turns() -> None:
    check_cpus(ROLES, cpus=2)
    with pytest.raises(NotEnoughResources) as caught:
        check_cpus(ROLES, cpus=1)
    assert str(caught.value) == (
        "needs 2 CPUs (2 reward workers x 1), this machine has 1: lower the number of reward "
        "workers or execution.cpus_per_worker"
    )
    check_cpus([role("reward", 2, cpus=0.5)], cpus=1)


def test_on_one_machine_there_is_room_to_grow_as_far_as_it_has_cpus() -> None:
    assert cpus_of(ROLES, 8) == 3.0
    assert cpus_of([role("reward", 8, cpus=0.5, least=1), role("learner", 1)], 8) == 5.0
    assert cpus_of([role("reward", 8, least=1), role("learner", 1)], 4) == 5.0
    assert cpus_of([role("reward", 2, cpus=0.0)], 4) == 0.0


def test_on_one_machine_gpu_shares_add_up() -> None:
    with pytest.raises(NotEnoughResources, match=r"needs 2 GPUs .*, this machine has 1"):
        check_gpus([role("a", 1, gpus=1.0), role("b", 1, gpus=1.0)], 1.0, "this machine")


def test_dead_nodes_offer_nothing() -> None:
    table = [
        {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0, "memory": 1e9}},
        {"Alive": False, "Resources": {"CPU": 64.0}},
        {"Alive": True, "Resources": {"memory": 1e9}},
    ]
    assert nodes_of(table) == [Node(4.0, 1.0), Node(0.0, 0.0)]
