"""Several nodes on one machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from processes import eventually, patiently, ray_processes
from ray.cluster_utils import Cluster


@contextmanager
def cluster_of(*cpus: float) -> Iterator[Cluster]:
    """A cluster with one node for each number of CPUs, joined; the first one is the head."""
    head, *others = cpus
    cluster = Cluster()
    try:
        add_node(cluster, head, include_dashboard=False)
        for count in others:
            add_node(cluster, count)
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        assert eventually(lambda: not ray_processes())


def add_node(cluster: Cluster, cpus: float, **options: Any) -> Any:
    """Adds a node; what the cluster knows it by."""
    memory = 80 * 2**20
    return patiently(lambda: cluster.add_node(num_cpus=cpus, object_store_memory=memory, **options))
