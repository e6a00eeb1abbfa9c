"""Starting toy campaigns, breaking them off, and reading what they left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import toy

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.run import RunSummary, start_run
from ray_matdesign.rl.workers import roles_of

TIMES = ("wall_s", "timings", "began", "waits", "busy")
"""Metrics that no two runs share."""


def run(config: RunConfig, folder: Path, **options: Any) -> RunSummary:
    return start_run(config, folder, LocalExecutor(roles_of(config)), **options)


def table(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(p) for p in sorted((folder / "candidates").glob("*"))])


def loops(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def untimed(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in loops(folder)]


def counted(reference: Path, log: Path, **changes: Any) -> RunConfig:
    """A campaign whose evaluations are written into a log as they are paid for."""
    ramp = {"kind": "target", "target": 18.0, "max_distance": 10.0}
    term = {"scorer": "toy:counted_density", "options": {"log": str(log)}, "transform": ramp}
    return toy.config(reference, **{"objective.terms": [term]}, **changes)


def run_until_killed(config: RunConfig, folder: Path) -> None:
    """Runs a campaign in a process of its own, which is expected to be killed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    settings = folder.with_suffix(".json")
    settings.write_text(config.model_dump_json())
    process = subprocess.run(
        [sys.executable, __file__, str(settings), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr


class StopsIn(Silent):
    """Presses Ctrl-C in a stage of a loop."""

    def __init__(self, loop: int, stage: str) -> None:
        self.loop, self.where, self.now = loop, stage, 0
        self.notes: list[str] = []

    def loop_started(self, loop: int) -> None:
        self.now = loop

    def stage(self, name: str, done: int, total: int) -> None:
        if self.now == self.loop and name == self.where and done > 0:
            raise KeyboardInterrupt

    def note(self, line: str) -> None:
        self.notes.append(line)


if __name__ == "__main__":
    run(RunConfig.model_validate_json(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
