"""What skills are worth: the same questions with them and without."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ray_matdesign.agents.benchmark.journal import Finished


class JudgedSkills(Protocol):
    """Skills that evidence is kept of; see :class:`ray_matdesign.agents.skills.library.Library`."""

    def compared(self, skill: str, task: str, *, solved_with: bool, solved_without: bool) -> None:
        """Notes a task that was tried with a skill and without it; a second time replaces it."""

    def weed(self, baseline: float | None = None) -> list[tuple[str, str]]:
        """Retires skills that the evidence speaks against; id and reason of each."""


def weeded(
    skills: JudgedSkills, with_skills: Iterable[Finished], without: Iterable[Finished]
) -> list[tuple[str, str]]:
    """Notes for each skill what was solved with it and what without, and retires what does harm.

    Attempts belong together that are the same repetition of the same question. An attempt that was
    given several skills speaks of each of them.

    Args:
        skills: The library that the first run drew on.
        with_skills: A run with it.
        without: A run of the same solver and model without it.

    Returns:
        Id of each skill that is retired, and why.

    Raises:
        KeyError: The library lacks a skill that the first run was given.
    """
    before = {_attempt(one): one.outcome == "right" for one in without}
    shared = set()
    for one in with_skills:
        attempt = _attempt(one)
        if attempt not in before:
            continue
        shared.add(attempt)
        for skill in one.skills:
            skills.compared(
                skill,
                f"{one.task} {one.question} {one.repetition}",
                solved_with=one.outcome == "right",
                solved_without=before[attempt],
            )
    rate = sum(before[one] for one in shared) / len(shared) if shared else None
    return skills.weed(rate)


def _attempt(one: Finished) -> tuple[str, str, int]:
    return one.task, one.question, one.repetition
