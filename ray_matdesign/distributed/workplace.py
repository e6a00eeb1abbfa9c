"""Where a run's batches are worked on: in this process, or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.rl.executor import Executor
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.workers import roles_of


@contextmanager
def workplace(config: RunConfig) -> Iterator[Executor]:
    """The executor of the configured backend, closed at the end.

    A process that is connected to a Ray, such as a replica or an actor, uses that one.

    Args:
        config: Of the run.
    """
    executor: Executor
    if config.execution.backend == "ray":
        from ray_matdesign.distributed.executor import RayExecutor

        executor = RayExecutor(roles_of(config), config.execution)
    else:
        executor = LocalExecutor(roles_of(config))
    with closing(executor):
        yield executor
