"""Where a benchmark's attempts are made: in this process, or on Ray, which is imported then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ray_matdesign.agents.benchmark.attempts import Lanes, LocalLanes, load_workshop
from ray_matdesign.agents.benchmark.settings import BenchmarkSettings


@contextmanager
def lanes_for(settings: BenchmarkSettings, mode: str) -> Iterator[Lanes]:
    """Lanes for the attempts of a mode; workers, and sandboxes of this process, end with it.

    Raises:
        UnknownName: ``solver`` leads nowhere.
        NotEnoughResources: The workers cannot fit.
        WorkerStartFailed: The factory raises, or no worker comes up.
    """
    given = {**settings.settings, "mode": mode}
    if settings.backend == "local":
        workshop = load_workshop(settings.solver, given)
        try:
            yield LocalLanes(workshop, deadline_s=settings.deadline_s, lanes=settings.lanes)
        finally:
            close = getattr(workshop, "close", None)  # a user's own may have nothing to end
            if close is not None:
                close()
        return
    from ray_matdesign.distributed.benchmark import RayLanes

    with RayLanes(
        settings.solver,
        given,
        deadline_s=settings.deadline_s,
        workers=settings.lanes,
        cpus=settings.cpus,
    ) as lanes:
        yield lanes
