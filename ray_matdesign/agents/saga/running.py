"""What runs are run with, and what they leave."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_matdesign.agents.llm.protocol import Llm
from ray_matdesign.agents.objectives.python_scorer import Sandbox
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.rl.executor import Executor
from ray_matdesign.rl.progress import Progress
from ray_matdesign.rl.run import start_run

Workplace = Callable[[RunConfig], AbstractContextManager[Executor]]
"""Opens the executor that a run works with."""


@dataclass(frozen=True)
class Instruments:
    """What an optimizer works with.

    Attributes:
        workplace: Opens an executor for a run.
        llm: Proposes compositions, where these are asked for.
        sandbox: Runs written scorers of populations.
        progress: Is told how runs go.
    """

    workplace: Workplace
    llm: Llm
    sandbox: Sandbox | None = None
    progress: Progress | None = None


def run_in(folder: Path, config: RunConfig, tools: Instruments) -> None:
    """Runs a campaign of the loop, or goes on with the one that is there.

    Raises:
        RunFailed: It cannot start or go on.
    """
    resume = (folder / "config.yaml").exists()
    with tools.workplace(config) as executor:
        start_run(config, folder, executor, resume=resume, progress=tools.progress)


def candidates_of(folder: Path) -> list[dict[str, Any]]:
    """Every crystal a run has sampled, as rows of its tables; ``run`` is the folder's name."""
    import pyarrow.parquet as pq

    tables = sorted((folder / "candidates").glob("loop-*.parquet"))
    rows = [row for table in tables for row in pq.read_table(table).to_pylist()]
    return [{**row, "run": folder.name} for row in rows]
