"""One process of a pool: started, listened to, and ended."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayError, RayTaskError

from ray_matdesign.distributed.host import WorkerHost, raised
from ray_matdesign.distributed.mapping import Batch
from ray_matdesign.rl.executor import Role

Ref = ray.ObjectRef[Any]


@dataclass(eq=False)
class Worker:
    """One process of a role.

    Attributes:
        handle: Ray's.
        building: What comes when it stands; ``None`` once it does.
        clock: When it started to build, was pinged, could begin its oldest call, or became idle;
            monotonic seconds.
        pinged: What comes if it lives; ``None`` unless it was asked.
        pid: On its node.
        calls: Batches it was given, oldest first, with what comes of them.
        proven: It has finished a batch.
        rung: Of what was awaited, what has come and was not looked at yet.
        ended: Nobody listens to it any more.
    """

    handle: Any
    building: Ref | None = None
    clock: float = field(default_factory=time.monotonic)
    pinged: Ref | None = None
    pid: int = 0
    calls: deque[tuple[Ref, Batch]] = field(default_factory=deque)
    proven: bool = False
    rung: set[Ref] = field(default_factory=set)
    ended: bool = False

    @property
    def awaited(self) -> Ref | None:
        """What it will finish next."""
        first = self.calls[0][0] if self.calls else None
        return self.building or self.pinged or first

    @property
    def standing(self) -> bool:
        """Whether it was built."""
        return self.building is None

    @property
    def idle(self) -> bool:
        """Whether it could begin a batch at once."""
        return self.awaited is None

    def hear(self, ref: Ref) -> None:
        """Notes that what it was asked for has come; what nobody waits for is not noted."""
        if ref in (self.building, self.pinged) or any(ref == call for call, _ in self.calls):
            self.rung.add(ref)


Ring = Callable[[Worker, Ref], None]
"""What is called, in a thread of Ray's, when a reference has its value or its error."""


def start_worker(
    role: Role, ring: Ring, search_path: Sequence[str], options: Mapping[str, Any]
) -> Worker:
    """Starts a process and has it build its worker.

    Args:
        role: What it is.
        ring: Called when something comes from it.
        search_path: Where it finds modules besides its own.
        options: Of Ray's actor, besides its shares: its environment and its place.
    """
    host = _HOST.options(num_cpus=role.cpus, num_gpus=role.gpus, max_restarts=0, **options)
    threads = max(1, int(role.cpus))
    handle = host.remote(role.factory, dict(role.settings), threads, list(search_path))
    worker = Worker(handle)
    worker.building = listen(handle.build.remote(), worker, ring)
    return worker


def ping(worker: Worker, ring: Ring) -> None:
    """Asks an idle worker whether it lives."""
    worker.clock = time.monotonic()
    worker.pinged = listen(worker.handle.ping.remote(), worker, ring)


def listen(ref: Ref, worker: Worker, ring: Ring) -> Ref:
    """Has ``ring`` called when the reference has come."""
    ref.future().add_done_callback(lambda _: ring(worker, ref))
    return ref


def has_come(ref: Ref) -> bool:
    """Whether a value, or an error instead, is there."""
    ready, _ = ray.wait([ref], timeout=0.0)
    return bool(ready)


def receive(ref: Ref) -> Any:
    """The outcome of a finished call, copied out of the object store.

    What the host itself could not catch, such as a payload that cannot be unpacked there, is the
    batch's fault as well.

    Raises:
        RayError: The worker's process is lost.
    """
    try:
        return _detached(ray.get(ref))
    except RayTaskError as error:
        return raised(error.cause if isinstance(error.cause, BaseException) else error)


def end_worker(worker: Worker) -> None:
    """Ends its process, whatever it is doing."""
    worker.ended = True
    ray.kill(worker.handle, no_restart=True)


def first_line(error: RayError) -> str:
    """What happened, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _detached(value: Any) -> Any:
    """A copy of arrays, lest the driver's long memory of a small thing pin a large object."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {key: _detached(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_detached(inner) for inner in value)
    return value


_HOST: Any = ray.remote(WorkerHost)  # Ray's types know no methods of actors
