"""Whether batches are so short that a second one should wait behind the first at its worker."""

from __future__ import annotations

QUEUE_BELOW_S = 1.0
"""Batches that take longer are not queued: the driver's latency is nothing to them, and a batch
that waits behind a slow one, or in front of an urgent one, is worse."""

_FADES = 0.98
"""What is left of the longest time with every batch: a slow one is forgotten after some dozens."""


class Pace:
    """How long a verb's batches took of late, at the most.

    The longest one counts, not the mean, for one slow batch holds up whatever waits behind it. The
    first to finish are the shortest of those begun; only when as many have finished as there are
    workers is anything known.
    """

    def __init__(self) -> None:
        self._finished = 0
        self._longest_s = 0.0

    def note(self, took_s: float) -> None:
        """A batch has finished."""
        self._finished += 1
        self._longest_s = max(took_s, _FADES * self._longest_s)

    def is_brisk(self, workers: int) -> bool:
        """Whether all batches are short, as far as can be told.

        Args:
            workers: How many work on them.
        """
        return self._finished >= workers and self._longest_s < QUEUE_BELOW_S
