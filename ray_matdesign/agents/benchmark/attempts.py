"""Attempts at questions, made one after the other or side by side, each within its time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, Literal, Protocol

from ray_matdesign.agents.benchmark.problem import Item
from ray_matdesign.agents.cascade.task import Solution, Solver, Task
from ray_matdesign.agents.llm.protocol import BudgetSpent, NotRecorded, Unreachable
from ray_matdesign.config.import_path import load_object

Workshop = Callable[[Path], Solver]
"""Makes the solver of one attempt, which writes what it keeps into that folder and nowhere else.

Called once an attempt, from several threads at once: what is dear, such as a model or a sandbox, is
made before, by the factory that makes the workshop. A budget must be each attempt's own: one that
is spent counts against the attempt.
"""


class SolverStopped(RuntimeError):
    """No attempt can be made, and that is not the solver's fault: its model is out of reach, say.

    What was finished before is kept, and what was under way counts for nothing.
    """


@dataclass(frozen=True)
class Attempt:
    """One question put once.

    Attributes:
        item: The question.
        repetition: From 0.
        seed: Of the solver's sampling.
        folder: For what the solver writes; no other attempt has it.
    """

    item: Item
    repetition: int
    seed: int
    folder: Path

    @property
    def task(self) -> Task:
        """What the solver gets."""
        return self.item.task.model_copy(update={"seed": self.seed})


@dataclass(frozen=True)
class Unfinished:
    """An attempt without a solution.

    Attributes:
        outcome: It took too long, spent its budget, or the solver or its process broke.
        reason: In one line.
    """

    outcome: Literal["timeout", "budget", "lost"]
    reason: str


@dataclass(frozen=True)
class Ended:
    """An attempt that is over.

    Attributes:
        index: Which of those asked for.
        came: What came of it.
        seconds: By the runner's clock; 0 where a process died and nobody knows.
    """

    index: int
    came: Solution | Unfinished
    seconds: float


class Lanes(Protocol):
    """Where attempts are made: in this process, or on a cluster."""

    def make(self, attempts: Sequence[Attempt]) -> Iterator[Ended]:
        """Makes attempts, several at a time; yields each once, in the order they end.

        Raises:
            SolverStopped: From the iterator.
        """
        ...


def load_workshop(path: str, settings: Mapping[str, Any]) -> Workshop:
    """Calls the factory behind an import path with its settings.

    Raises:
        UnknownName: The path leads nowhere.
    """
    made: Workshop = load_object(path, {}, what="solver")(dict(settings))
    return made


def attempted(workshop: Workshop, task: Task, folder: Path) -> Solution | Unfinished:
    """Lets a solver try, in a folder of its own.

    Raises:
        SolverStopped: Its model cannot be asked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return workshop(folder).solve(task)
    except (Unreachable, NotRecorded) as error:
        raise SolverStopped(f"{task.id}: {error}") from error
    except BudgetSpent as error:
        return Unfinished("budget", str(error))
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; it is reported
        message = " ".join(str(error).split())
        return Unfinished("lost", f"{type(error).__name__}: {message}")


class LocalLanes:
    """Threads of this process.

    An attempt that takes too long is given up, but a thread cannot be ended: it goes on, unheeded,
    until the solver returns or the process ends. On Ray it is killed.

    Args:
        workshop: Makes solvers.
        deadline_s: Longest an attempt may take.
        lanes: How many attempts at a time.
    """

    def __init__(self, workshop: Workshop, *, deadline_s: float, lanes: int = 1) -> None:
        self._workshop = workshop
        self._deadline_s = deadline_s
        self._lanes = lanes

    def make(self, attempts: Sequence[Attempt]) -> Iterator[Ended]:
        """Makes attempts; see :class:`Lanes`."""
        pending = deque(enumerate(attempts))
        ended: SimpleQueue[Ended | SolverStopped] = SimpleQueue()
        stop = Event()

        def lane() -> None:
            while not stop.is_set():
                try:
                    index, attempt = pending.popleft()
                except IndexError:
                    return
                ended.put(self._in_time(index, attempt))

        for number in range(self._lanes):
            Thread(target=lane, name=f"lane {number}", daemon=True).start()
        try:
            for _ in attempts:
                outcome = ended.get()
                if isinstance(outcome, SolverStopped):
                    raise outcome
                yield outcome
        finally:
            stop.set()

    def _in_time(self, index: int, attempt: Attempt) -> Ended | SolverStopped:
        came: SimpleQueue[Solution | Unfinished | SolverStopped] = SimpleQueue()

        def work() -> None:
            try:
                came.put(attempted(self._workshop, attempt.task, attempt.folder))
            except SolverStopped as stopped:
                came.put(stopped)

        started = time.monotonic()
        Thread(target=work, name=attempt.item.task.id, daemon=True).start()
        try:
            outcome = came.get(timeout=self._deadline_s)
        except Empty:
            outcome = Unfinished("timeout", f"no answer within {self._deadline_s:g} s")
        if isinstance(outcome, SolverStopped):
            return outcome
        return Ended(index, outcome, time.monotonic() - started)
