"""Suites: problems that are put together, and found by import path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ray_matdesign.agents.benchmark.problem import CATEGORIES, PUBLIC, Item, Level, Problem
from ray_matdesign.config.import_path import load_object

LEVELS: tuple[Level, ...] = (0, 1)


class BadSuite(ValueError):
    """A suite that cannot be used; the message says why."""


class Questions(Protocol):
    """Where questions come from: problems with parameters, or a file of published ones."""

    def items(self, variant: int = PUBLIC) -> list[Item]:
        """Every question of a variant, in a fixed order.

        Raises:
            BadSuite: There is no such variant.
        """
        ...


@dataclass(frozen=True)
class Suite:
    """Problems with parameters, each in two wordings.

    Attributes:
        problems: With ids of their own.

    Raises:
        BadSuite: Two have one id.
    """

    problems: tuple[Problem, ...]

    def __post_init__(self) -> None:
        ids = [problem.id for problem in self.problems]
        twice = {name for name in ids if ids.count(name) > 1}
        if twice:
            raise BadSuite(f"two problems are called {min(twice)}")

    def items(self, variant: int = PUBLIC) -> list[Item]:
        """Every question of a variant: each problem in both wordings, one after the other."""
        return [problem.item(level, variant) for problem in self.problems for level in LEVELS]

    def only(self, keep: Callable[[Problem], bool]) -> Suite:
        """Those problems that pass."""
        return Suite(tuple(problem for problem in self.problems if keep(problem)))

    def installed(self) -> Suite:
        """Those whose packages are all there."""
        return self.only(lambda problem: not problem.missing())

    def sample(self, each: int) -> Suite:
        """The first few problems of every category, the slow ones left out."""
        quick = [problem for problem in self.problems if not problem.slow]
        few = [[p for p in quick if p.category == name][:each] for name in CATEGORIES]
        return Suite(tuple(problem for some in few for problem in some))


def load_suite(path: str) -> Questions:
    """Calls the suite an import path ``package.module:function`` leads to.

    Suites lie outside this package on purpose: code in a sandbox can read the package, and the
    documentation index covers it, while references are for nobody's eyes but the judge's.

    Raises:
        UnknownName: The path leads nowhere.
    """
    made: Questions = load_object(path, {}, what="suite")()
    return made


def selected(
    items: Iterable[Item],
    *,
    levels: Sequence[int] = LEVELS,
    categories: Sequence[str] = (),
    problems: Sequence[str] = (),
) -> list[Item]:
    """Some of the questions, in their order.

    Args:
        items: All of them.
        levels: Wordings to keep.
        categories: Kinds to keep; all if empty.
        problems: Ids to keep; all if empty.

    Raises:
        BadSuite: A problem that is to be kept is not there, or nothing is left.
    """
    offered = list(items)
    if lost := sorted(set(problems) - {item.problem for item in offered}):
        raise BadSuite(f"no problem is called {lost[0]!r}")
    kept = [
        item
        for item in offered
        if item.level in levels
        and (not categories or item.category in categories)
        and (not problems or item.problem in problems)
    ]
    if not kept:
        raise BadSuite("no question is left to ask")
    return kept
