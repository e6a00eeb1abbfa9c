"""One map on a pool: its batches on one side, whoever takes the results on the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from ray_matdesign.rl.executor import BatchFailed, MapCancelled, Payload

Published = tuple[Sequence[Any], int]
"""Reference to weights, inside a list so that Ray does not fetch them unasked, and the version."""


@dataclass(eq=False)
class Batch:
    """One call to be made.

    Attributes:
        mapping: The map it is of.
        index: Its place in the map.
        payload: What the verb is called with.
        attempts: How often it failed.
        raised_in: The worker in which it raised last, and should not be tried again.
    """

    mapping: BatchMap
    index: int
    payload: Payload
    attempts: int = 0
    raised_in: object | None = None


class BatchMap:
    """The batches of a map, handed out and answered by the pool's thread alone.

    Args:
        verb: Method of the workers.
        payloads: One a batch.
        published: Weights to run them with, if any.
        priority: Maps with a lower one are served first.

    Attributes:
        waiting: Batches nobody works on.
        unanswered: How many results are still owed.
        taken: How many results were taken; counted by whoever takes them.
        open: Whether anybody waits for results.
    """

    def __init__(
        self, verb: str, payloads: Sequence[Payload], published: Published | None, priority: int
    ) -> None:
        self.verb = verb
        self.published = published
        self.priority = priority
        self.waiting = deque(Batch(self, i, payload) for i, payload in enumerate(payloads))
        self.unanswered = len(payloads)
        self.taken = 0
        self.open = True
        self.results: SimpleQueue[tuple[int, Payload | BatchFailed] | RuntimeError] = SimpleQueue()
        self._handed_out = 0

    def hand_out(self, worker: object, window: int) -> Batch | None:
        """A batch for a worker, unless so many are out, or done and not taken, already."""
        if self._handed_out - self.taken >= window:
            return None
        for batch in self.waiting:
            if batch.raised_in is not worker:
                self.waiting.remove(batch)
                self._handed_out += 1
                return batch
        return None

    def take_back(self, batch: Batch) -> None:
        """Puts a batch that was handed out at the head of those that wait."""
        self._handed_out -= 1
        self.waiting.appendleft(batch)

    def answer(self, index: int, result: Payload | BatchFailed) -> None:
        """Delivers a result."""
        self.unanswered -= 1
        self.open = self.unanswered > 0
        self.results.put((index, result))

    def end(self, error: RuntimeError | None = None) -> None:
        """Forgets what is left to do; whoever waits for a result gets the error."""
        self.open = False
        self.waiting.clear()
        if error is not None:
            self.results.put(error)


class Results(Iterator[tuple[int, Payload | BatchFailed]]):
    """Results of a map, in the order they finish, for one thread to take.

    Args:
        mapping: The map.
        taken: Called when a result was taken: another batch may be handed out.
        abandoned: Called when nobody wants the rest.
    """

    def __init__(
        self, mapping: BatchMap, taken: Callable[[], None], abandoned: Callable[[], None]
    ) -> None:
        self._mapping = mapping
        self._left = mapping.unanswered
        self._taken = taken
        self._abandoned = abandoned

    def __next__(self) -> tuple[int, Payload | BatchFailed]:
        """Waits for the next result.

        Raises:
            StopIteration: There is none left.
            WorkerStartFailed: The workers cannot be built any more.
            MapCancelled: The map was ended by somebody else.
        """
        if self._left == 0:
            raise StopIteration
        result = self._mapping.results.get()
        if isinstance(result, RuntimeError):
            self._left = 0
            raise result
        self._left -= 1
        self._mapping.taken += 1
        if self._left:
            self._taken()
        return result

    def close(self) -> None:
        """Gives up what is left; idempotent."""
        if self._left:
            self._left = 0
            self._abandoned()

    def __del__(self) -> None:
        self.close()


def cancelled() -> MapCancelled:
    """What whoever waits for the results of a cancelled map gets."""
    return MapCancelled("the map was ended before its last result")
