from __future__ import annotations

import pytest

from ray_matdesign.agents.benchmark.attribution import weeded
from ray_matdesign.agents.benchmark.journal import Finished


class Noting:
    """Keeps what it is told of skills."""

    def __init__(self) -> None:
        self.pairs: dict[tuple[str, str], tuple[bool, bool]] = {}
        self.baseline: float | None = None

    def compared(self, skill: str, task: str, *, solved_with: bool, solved_without: bool) -> None:
        self.pairs[skill, task] = solved_with, solved_without

    def weed(self, baseline: float | None = None) -> list[tuple[str, str]]:
        self.baseline = baseline
        return []


def attempt(
    task: str, right: bool, *skills: str, repetition: int = 0, asked: str = "q"
) -> Finished:
    return Finished(
        task=task,
        question=asked,
        problem=task,
        category="units",
        level=0,
        variant=1,
        repetition=repetition,
        outcome="right" if right else "timeout",
        skills=skills,
        seconds=1.0,
    )


def test_each_skill_of_an_attempt_is_compared_with_the_same_attempt_without() -> None:
    noting = Noting()
    with_skills = [
        attempt("a", True, "x", "y"),
        attempt("a", False, "x", repetition=1),
        attempt("b", False),
        attempt("c", True, "x", asked="another question"),
        attempt("d", True, "x"),
    ]
    without = [
        attempt("a", False),
        attempt("a", True, repetition=1),
        attempt("b", True),
        attempt("c", True),
    ]
    assert weeded(noting, with_skills, without) == []
    assert noting.pairs == {
        ("x", "a q 0"): (True, False),
        ("y", "a q 0"): (True, False),
        ("x", "a q 1"): (False, True),
    }
    assert noting.baseline == pytest.approx(2 / 3)  # of a, a again and b, which both runs tried


def test_nothing_in_common_says_nothing() -> None:
    noting = Noting()
    weeded(noting, [attempt("a", True, "x")], [])
    assert noting.pairs == {}
    assert noting.baseline is None
