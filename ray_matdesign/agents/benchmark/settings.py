"""What a benchmark run is asked to do."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from ray_matdesign.agents.benchmark.problem import Category
from ray_matdesign.agents.cascade.task import Mode
from ray_matdesign.config.settings import Settings


class BenchmarkSettings(Settings):
    """One run for each mode, over the same questions."""

    solver: str
    """Import path ``package.module:factory``. The factory is called with ``settings`` and the mode
    as ``mode``, and returns a function that makes a solver for a folder."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Of the factory."""
    modes: tuple[Mode, ...] = Field(
        default=("native", "search_debug", "deep", "deep+skills"), min_length=1
    )
    suite: str = "cascade_problems.suite:suite"
    """Import path of a function that makes a suite."""
    published: str = ""
    """File or folder of SciSkillBench entries, asked instead of the suite."""
    variant: int = Field(default=0, ge=0)
    """Of the parameters: 0 is public; any other is as private as the number is kept."""
    levels: tuple[Literal[0, 1], ...] = Field(default=(0, 1), min_length=1)
    categories: tuple[Category, ...] = ()
    """All if empty."""
    problems: tuple[str, ...] = ()
    """Ids; all if empty."""
    repetitions: int = Field(default=3, ge=1)
    seed: int = Field(default=0, ge=0)
    deadline_s: float = Field(default=1800.0, gt=0.0)
    """Of one attempt."""
    backend: Literal["local", "ray"] = "local"
    lanes: int = Field(default=1, ge=1)
    """Attempts at a time."""
    cpus: float = Field(default=1.0, ge=0.0)
    """Share of a machine that a lane takes on Ray."""
