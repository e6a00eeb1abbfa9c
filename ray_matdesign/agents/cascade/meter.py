"""What a task has cost so far, and when it has cost enough."""

from __future__ import annotations

import threading
import time

from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.cascade.task import Cost
from ray_matdesign.agents.llm.protocol import Answer, Llm, Request
from ray_matdesign.config.settings import Settings


class Spent(Settings):
    """Cost of a phase, as it is kept; see :class:`ray_matdesign.agents.cascade.task.Cost`.

    ``elapsed_s`` is the time from the question to the end of the phase.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0
    runs: int = 0
    seconds: float = 0.0
    elapsed_s: float = 0.0


_SUMMED = ("prompt_tokens", "completion_tokens", "requests", "runs")


class OutOfMeans(RuntimeError):
    """The task has used up its time or its tokens; the message says which."""


class Meter:
    """Counts what several threads spend on one task.

    Args:
        settings: What may be spent.
    """

    def __init__(self, settings: CascadeSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._total = Spent()
        self._begun = time.monotonic()
        self._earlier_s = 0.0

    @property
    def cost(self) -> Cost:
        """Of the whole task, what came before a resumption included."""
        with self._lock:
            total = self._total
        return Cost(
            total.prompt_tokens,
            total.completion_tokens,
            total.requests,
            total.runs,
            round(self._elapsed_s, 3),
        )

    @property
    def _elapsed_s(self) -> float:
        return self._earlier_s + time.monotonic() - self._begun

    def restored(self, spent: Spent) -> None:
        """Counts a phase that was finished by an earlier process."""
        with self._lock:
            self._total = _sum(self._total, spent)
            # Debuggers work at the same time: what counts is when the last of them ended.
            self._earlier_s = max(self._earlier_s, spent.elapsed_s)

    def check(self) -> None:
        """Raises before anything more is spent.

        Raises:
            OutOfMeans: Nothing is left.
        """
        cost = self.cost
        if self._elapsed_s >= self._settings.deadline_s:
            raise OutOfMeans(f"out of time after {self._settings.deadline_s:g} s")
        tokens = cost.prompt_tokens + cost.completion_tokens
        if tokens >= self._settings.tokens:
            raise OutOfMeans(f"out of tokens: {tokens} of {self._settings.tokens} are spent")

    def count(self, spent: Spent) -> None:
        """Counts what was just spent."""
        with self._lock:
            self._total = _sum(self._total, spent)


class Metered:
    """Asks another and counts for the task, and for one phase of it: an ``Llm``.

    Args:
        llm: Who is asked.
        meter: Of the task.
    """

    def __init__(self, llm: Llm, meter: Meter) -> None:
        self._llm = llm
        self._meter = meter
        self._begun = time.monotonic()
        self._spent = Spent()

    @property
    def spent(self) -> Spent:
        """On this phase so far."""
        seconds = round(time.monotonic() - self._begun, 3)
        times = {"seconds": seconds, "elapsed_s": self._meter.cost.seconds}
        return self._spent.model_copy(update=times)

    def ask(self, request: Request) -> Answer:
        """As the one behind it; see :meth:`Llm.ask`.

        Raises:
            OutOfMeans: The task has used up its time or tokens; nothing was asked.
        """
        self._meter.check()
        answer = self._llm.ask(request)
        self._take(
            Spent(
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens,
                requests=1,
            )
        )
        return answer

    def ran(self, runs: int) -> None:
        """Counts runs in the sandbox."""
        self._take(Spent(runs=runs))

    def check(self) -> None:
        """Raises before a run; see :meth:`Meter.check`."""
        self._meter.check()

    def _take(self, spent: Spent) -> None:
        self._meter.count(spent)
        self._spent = _sum(self._spent, spent)


def _sum(one: Spent, more: Spent) -> Spent:
    """Of all but times."""
    return one.model_copy(
        update={name: getattr(one, name) + getattr(more, name) for name in _SUMMED}
    )
