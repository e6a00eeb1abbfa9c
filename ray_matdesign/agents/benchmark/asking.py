"""What a run asks, from its settings, and what it must share with one that goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import JsonValue

from ray_matdesign.agents.benchmark.problem import Item
from ray_matdesign.agents.benchmark.published import load_published
from ray_matdesign.agents.benchmark.settings import BenchmarkSettings
from ray_matdesign.agents.benchmark.suite import Suite, load_suite, selected

_SHARED = ("solver", "settings", "suite", "published", "variant", "seed", "deadline_s")


def questions(
    settings: BenchmarkSettings, say: Callable[[str], None], *, each: int | None = None
) -> list[Item]:
    """The questions of a run; problems whose packages are missing are left out.

    Args:
        settings: Of the run.
        say: Is told which problems are left out, and why.
        each: Problems to keep of every category of a suite; all by default.

    Raises:
        UnknownName: ``suite`` leads nowhere.
        BadSuite: Nothing is left to ask, or a problem that is named is not there.
    """
    if settings.published:
        items = load_published(Path(settings.published)).items(settings.variant)
    else:
        suite = load_suite(settings.suite)
        if isinstance(suite, Suite):
            for problem in suite.problems:
                if missing := problem.missing():
                    say(f"left out: {problem.id} needs {', '.join(missing)}")
            suite = suite.installed()
            suite = suite if each is None else suite.sample(each)
        items = suite.items(settings.variant)
    return selected(
        items,
        levels=settings.levels,
        categories=settings.categories,
        problems=settings.problems,
    )


def plan_of(settings: BenchmarkSettings, mode: str) -> dict[str, JsonValue]:
    """What an interrupted run must share with the one that goes on."""
    told: dict[str, JsonValue] = settings.model_dump(mode="json", include=set(_SHARED))
    return {"mode": mode, **told}
