"""A run: every question, so many times, each judged and kept as soon as it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import JsonValue

from ray_matdesign.agents.benchmark.attempts import Attempt, Ended, Lanes, Unfinished
from ray_matdesign.agents.benchmark.journal import Finished, Journal, digest, recordable
from ray_matdesign.agents.benchmark.problem import Item
from ray_matdesign.agents.cascade.task import Cost


class Key:
    """The right answers: each is computed when it is first needed, and once.

    Both wordings of a problem, and all repetitions, share one.
    """

    def __init__(self) -> None:
        self._answers: dict[tuple[str, int], JsonValue] = {}
        self._turn = threading.Lock()

    def reference(self, item: Item) -> JsonValue:
        """The right answer to a question.

        Raises:
            BadProblem: The reference gives none.
        """
        name = item.problem, item.variant
        with self._turn:
            if name not in self._answers:
                self._answers[name] = item.reference()
            return self._answers[name]


def run(
    items: Sequence[Item],
    lanes: Lanes,
    journal: Journal,
    *,
    repetitions: int,
    seed: int = 0,
    key: Key | None = None,
    tell: Callable[[Finished], None] | None = None,
) -> list[Finished]:
    """Makes every attempt that the journal does not hold, and keeps what comes of it.

    All questions are asked once before any is asked again, so that a run cut short says something
    of all of them. The references run here, never where attempts are made.

    Args:
        items: What is asked.
        lanes: Where attempts are made.
        journal: Where they are kept; what it holds is not done again.
        repetitions: Attempts at each question.
        seed: Of the first repetition; the next one's is one higher.
        key: Right answers, to be shared with other runs.
        tell: Called with each attempt once it is kept.

    Returns:
        The attempts at these questions and repetitions, new and old, in the order they ended.

    Raises:
        BadRun: Another run is under way in the folder, or it asked other questions.
        SolverStopped: No attempt can be made; run again to go on.
    """
    right = key or Key()
    with journal.alone():
        pending = [
            Attempt(item, repetition, seed + repetition, _folder(journal.folder, item, repetition))
            for repetition in range(repetitions)
            for item in items
            if not journal.holds(item, repetition)
        ]
        for ended in lanes.make(pending):
            finished = _judged(pending[ended.index], ended, right)
            journal.add(finished)
            if tell is not None:
                tell(finished)
    asked = {item.task.id for item in items}
    return [f for f in journal.finished() if f.task in asked and f.repetition < repetitions]


def _folder(run_folder: Path, item: Item, repetition: int) -> Path:
    return run_folder.resolve() / "attempts" / item.task.id / str(repetition)


def _judged(attempt: Attempt, ended: Ended, key: Key) -> Finished:
    item, came = attempt.item, ended.came
    about = {
        "task": item.task.id,
        "question": digest(item),
        "problem": item.problem,
        "category": item.category,
        "level": item.level,
        "variant": item.variant,
        "repetition": attempt.repetition,
        "seconds": ended.seconds,
    }
    if isinstance(came, Unfinished):
        cost = Cost(seconds=ended.seconds)
        told = {"outcome": came.outcome, "reason": came.reason, "cost": cost}
        return Finished.model_validate(about | told)
    told = {"code": came.code, "skills": came.skills, "cost": came.cost, "reason": came.reason}
    if not came.solved:
        return Finished.model_validate(about | told | {"outcome": "unanswered"})
    verdict = item.judge(came.answer, key.reference(item))
    told |= {"answer": recordable(came.answer), "reason": verdict.reason}
    return Finished.model_validate(
        about | told | {"outcome": "right" if verdict.right else "wrong"}
    )
