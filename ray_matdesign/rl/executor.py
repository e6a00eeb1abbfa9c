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
        name: ``generator``, ``reward`` or ``learner``.
        factory: Import path ``package.module:callable``; called with ``settings`` as its one
            argument, in the worker's process, once.
        settings: JSON-like configuration for the factory.
        workers: How many to keep alive.
        cpus: CPU share of each; also its number of torch threads, at least one.
        gpus: GPU share of each.
        deadline_s: Longest a single batch may take before it is given to another worker.
        retries: How often a batch is tried again after a crash or a missed deadline.
    """

    name: str
    factory: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    deadline_s: float = 3600.0
    retries: int = 2


@dataclass(frozen=True)
class BatchFailed:
    """A batch no worker could finish, and why, in one line."""

    reason: str


class Executor(Protocol):
    """Runs batches on workers.

    A worker is any object made by a role's factory. Its verbs are methods that take one payload
    and return one payload. Workers hold no state that matters except published weights: any batch
    may be run again, on any worker of its role, with the same outcome.
    """

    def map(
        self, role: str, verb: str, batches: Sequence[Payload]
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        """Calls ``verb`` on every batch; yields ``(index, result)`` as they finish."""
        ...

    def publish(self, role: str, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Gives a role new weights.

        A worker calls its ``load(weights, version)`` before its next batch, and so does every
        worker started later.
        """
        ...

    def close(self) -> None:
        """Stops every worker; idempotent."""
        ...
