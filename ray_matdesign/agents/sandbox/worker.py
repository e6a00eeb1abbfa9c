"""A sandbox as a worker: jobs in, results out, both as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.ground import Tier
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.sandbox.tiers import best_tier


class SandboxWorker:
    """Keeps one warm box and runs jobs in it, one after the other.

    Args:
        settings: ``tier``, a name or None for the best there is, and ``preload``, names of modules.

    Raises:
        SandboxUnavailable: There is no such sandbox on this machine.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        wanted = settings["tier"]
        tier = best_tier() if wanted is None else Tier(wanted)
        self._box = Box(tier, tuple(settings["preload"]))

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Runs one job.

        Args:
            payload: ``head`` and ``files`` of a job.

        Returns:
            The result as plain values.

        Raises:
            SandboxUnavailable: The walls could not be built; the code was not run.
        """
        return self._box.run(Job.from_head(payload["head"], payload["files"])).plain()


def build(settings: Mapping[str, Any]) -> SandboxWorker:
    """The factory for :class:`ray_matdesign.rl.executor.Role`."""
    return SandboxWorker(settings)
