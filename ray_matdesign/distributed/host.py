"""The actor a worker lives in."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from ray_matdesign.config.import_path import load_object
from ray_matdesign.distributed.search_path import search_also

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Built:
    """The worker stands.

    Attributes:
        pid: Its process, on its node.
        node: Ray's name of that node.
    """

    pid: int
    node: str


@dataclass(frozen=True)
class Raised:
    """A worker's own code raised; sent as text because the driver may lack the exception's class.

    Attributes:
        reason: ``TypeName: message`` on one line.
        traceback: The whole story, for the log.
    """

    reason: str
    traceback: str


class WorkerHost:
    """Builds one worker and runs its verbs, one at a time.

    Exceptions of the worker's code come back as :class:`Raised`, so that whatever Ray itself
    raises means that the process, or the way to it, is lost.

    Args:
        factory: Import path ``package.module:callable``.
        settings: The factory's one argument.
        threads: Threads for torch, at least one.
        search_path: Where the driver finds modules; searched after the worker's own, so that a
            user's module beside the run is found wherever the file system is shared.
    """

    def __init__(
        self, factory: str, settings: Mapping[str, Any], threads: int, search_path: Sequence[str]
    ) -> None:
        # Before the factory imports anything that reads them.
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
        search_also(search_path)
        self._factory = factory
        self._settings = settings
        self._threads = threads
        self._worker: Any = None
        self._loaded: tuple[str, int] | None = None

    def build(self) -> Built | Raised:
        """Imports the factory and calls it."""
        try:
            self._worker = load_object(self._factory, {}, what="worker")(dict(self._settings))
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; it is reported
            return raised(error)
        _limit_torch_threads(self._threads)
        return Built(pid=os.getpid(), node=ray.get_runtime_context().get_node_id())

    def ping(self) -> None:
        """Answers: the process lives."""

    def call(self, verb: str, payload: Any, published: tuple[Sequence[Any], int] | None) -> Any:
        """Runs one verb on one payload.

        Args:
            verb: Method of the worker.
            payload: Its argument; arrays inside are read-only.
            published: Reference to the weights, inside a list so that Ray does not fetch them
                for a worker that has them already, and their version.

        Returns:
            What the verb returned, or :class:`Raised`.
        """
        try:
            if published is not None:
                (weights,), version = published
                # Not the version alone: a campaign restored to an earlier state may come to other
                # weights of the same version. And not the reference, which would pin the weights.
                offered = weights.hex(), version
                if offered != self._loaded:
                    self._worker.load(ray.get(weights), version)
                    self._loaded = offered
            return getattr(self._worker, verb)(payload)
        except Exception as error:  # noqa: BLE001 - likewise
            return raised(error)


def raised(error: BaseException) -> Raised:
    """Describes an exception in text."""
    message = " ".join(str(error).split())
    reason = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return Raised(reason=reason, traceback="".join(traceback.format_exception(error)))


def _limit_torch_threads(threads: int) -> None:
    # The environment is too late for a torch that was imported before it was set. A worker without
    # torch is not made to import it.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
