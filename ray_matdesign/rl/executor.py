"""The one seam between the algorithm and where it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Payload = Mapping[str, Any]
"""Numbers, strings, bytes, arrays, and lists and mappings of them: nothing else crosses."""


@dataclass(frozen=True)
class Role:
    """One kind of worker.

    Attributes:
        name: One of ``config.execution.RoleName``.
        factory: Import path ``package.module:callable``; called with ``settings`` as its one
            argument, in the worker's process, once.
        settings: JSON-like configuration for the factory.
        workers: How many to keep alive, at most.
        processes: Of each worker, which do every batch together: each is built by the factory,
            with ``torch.distributed`` set up, and is given the same payloads; the first one's
            answer counts.
        cpus: CPU share of each process; also its number of torch threads, at least one.
        gpus: GPU share of each process.
        deadline_s: Longest a single batch may take before it is given to another worker.
        retries: How often a batch is tried again after a crash or a missed deadline.
        least_workers: How many to keep alive while there is little to do; all by default.
        idle_release_s: How long a worker above that number may be idle before it is given back.
    """

    name: str
    factory: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 1
    processes: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    deadline_s: float = 3600.0
    retries: int = 2
    least_workers: int | None = None
    idle_release_s: float = 60.0

    @property
    def floor(self) -> int:
        """How many are kept alive whatever there is to do."""
        return self.workers if self.least_workers is None else self.least_workers


@dataclass(frozen=True)
class BatchFailed:
    """A batch no worker could finish, and why, in one line."""

    reason: str


class MapCancelled(RuntimeError):
    """A map was ended before its last result, because nobody needs it any more."""


class Executor(Protocol):
    """Runs batches on workers.

    A worker is any object made by a role's factory. Its verbs are methods that take one payload
    and return one payload. Workers hold no state that matters except published weights: any batch
    may be run again, on any worker of its role, with the same outcome.
    """

    @property
    def concurrent(self) -> bool:
        """Whether maps go on while nobody takes their results.

        If so, several threads may have maps under way at once, also on one role. Otherwise all
        work is done by the thread that asks for the next result, and there is but one.
        """
        ...

    def map(
        self, role: str, verb: str, batches: Sequence[Payload], *, priority: int = 0
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        """Calls ``verb`` on every batch; yields ``(index, result)`` as they finish.

        All batches are run with the weights published when the map was asked for. Of the maps
        under way on a role, those with the lowest ``priority`` are served first.
        """
        ...

    def publish(self, role: str, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Gives a role new weights, for the maps asked for from now on.

        A worker calls its ``load(weights, version)`` before a batch that needs other weights than
        it has, and so does every worker started later.
        """
        ...

    def busy_s(self) -> dict[str, float]:
        """Seconds that workers have spent on batches so far, by verb."""
        ...

    def cancel(self) -> None:
        """Ends every map under way: whoever waits for a result gets :class:`MapCancelled`."""
        ...

    def close(self) -> None:
        """Stops every worker; idempotent."""
        ...
