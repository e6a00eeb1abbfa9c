"""Solved questions in the agents' memory."""

from __future__ import annotations

from pydantic import ValidationError

from ray_matdesign.agents.cascade.phases import Remembered
from ray_matdesign.agents.cascade.task import Solution, Task
from ray_matdesign.agents.memory.memory import Memory, Note
from ray_matdesign.agents.retrieval import words

LEAST_ALIKE = 0.5
"""Share of the words of two questions that they must have in common."""

_LOOKED_AT = 20


class SolvedQuestions:
    """Questions with the programs that answered them: a ``Memory`` of the solvers.

    Args:
        memory: Where they are kept.
        namespace: Under which; such as ``shared/solved``.
    """

    def __init__(self, memory: Memory, namespace: str = "shared/solved") -> None:
        self._memory = memory
        self._namespace = namespace

    def recall(self, question: str, limit: int = 1) -> list[Remembered]:
        """Questions that have at least half of their words in common, the closest first."""
        asked = set(words(question))
        found: list[tuple[float, Remembered]] = []
        for note in self._memory.search(question, [self._namespace], _LOOKED_AT, "text"):
            try:
                known = Remembered.model_validate_json(note.text)
            except ValidationError:  # a note of somebody else, or one that a secret was cut out of
                continue
            held = set(words(known.question))
            alike = len(asked & held) / max(1, len(asked | held))
            if alike >= LEAST_ALIKE:
                found.append((alike, known))
        found.sort(key=lambda pair: -pair[0])
        return [known for _, known in found[:limit]]

    def keep(self, task: Task, solution: Solution, session: str = "") -> None:
        """Notes a solved question.

        Raises:
            ValueError: It was not solved by a program.
        """
        if not solution.solved or not solution.code:
            raise ValueError(f"{task.id}: not solved by a program, so there is nothing to remember")
        known = Remembered(question=task.question, code=solution.code, answer=solution.answer)
        note = Note(
            namespace=self._namespace,
            kind="text",
            text=known.model_dump_json(),
            session=session,
            task=task.id,
        )
        self._memory.remember(note)
