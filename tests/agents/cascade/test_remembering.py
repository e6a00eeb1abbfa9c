from __future__ import annotations

from pathlib import Path

import pytest
from cascade_cases import COPPER

from ray_matdesign.agents.cascade.remembering import SolvedQuestions
from ray_matdesign.agents.cascade.task import Solution
from ray_matdesign.agents.memory.memory import Memory, Note

SOLVED = Solution(task=COPPER.id, solved=True, answer=11.76, code="answer = 3.61 ** 3 / 4\n")


def test_a_like_question_is_recalled_and_another_is_not(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory.sqlite")
    known = SolvedQuestions(memory)
    known.keep(COPPER, SOLVED)
    silver = "What is the volume of the primitive cell of fcc silver with a = 4.09 Angstrom?"
    (found,) = SolvedQuestions(Memory(tmp_path / "memory.sqlite")).recall(silver)
    assert (found.code, found.answer) == (SOLVED.code, 11.76)
    assert known.recall("Which space group has the cell of quartz?") == []
    assert SolvedQuestions(memory, "users/ada").recall(silver) == []


def test_notes_of_others_are_passed_over(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory.sqlite")
    memory.remember(Note(namespace="shared/solved", kind="text", text=COPPER.question))
    assert SolvedQuestions(memory).recall(COPPER.question) == []


def test_only_what_a_program_solved_is_kept(tmp_path: Path) -> None:
    known = SolvedQuestions(Memory(tmp_path / "memory.sqlite"))
    with pytest.raises(ValueError, match=r"copper.volume: not solved by a program"):
        known.keep(COPPER, Solution(task=COPPER.id, solved=False))
