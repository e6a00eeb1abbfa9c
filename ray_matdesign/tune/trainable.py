"""One trial: a campaign in a run directory, as any other, that reports after each loop.

The run directory is the trial's checkpoint. A trial that is tried again after a failure, or taken
up by a restored sweep, resumes it, and pays for nothing twice.
"""

from __future__ import annotations

import fcntl
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ray import tune

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.config.trials import Sweep, read_sweep
from ray_matdesign.distributed.search_path import search_also
from ray_matdesign.rl.executor import Executor
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.replay import Replay, ReplayBuffer
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.scoring import REWARD
from ray_matdesign.rl.workers import roles_of
from ray_matdesign.tune.home import Home, place_run, write_checkpoint
from ray_matdesign.tune.judging import Judged, figures, judge_loop, judge_run
from ray_matdesign.tune.placement import trial_roles
from ray_matdesign.tune.search import CHANGES, GIVEN, NUMBER

TRIALS = "trials"
CACHE = "cache"

_LOCK_PATIENCE_S = 120.0
"""Longest wait for a former process of the trial to let go of the run directory."""


def run_trial(
    resolved: Mapping[str, Any], folder: str, pool: str | None, search_path: Sequence[str]
) -> None:
    """Runs a trial; called by Ray Tune in a process of the trial's own.

    Args:
        resolved: ``{given: {number, changes}}``: which trial, and what it has otherwise than the
            base.
        folder: Of the sweep.
        pool: Name of the shared reward workers, if any.
        search_path: Where the driver finds modules.

    Raises:
        RunFailed: The run cannot start or go on.
        ConfigError: The settings drawn do not go together.
    """
    search_also(search_path)
    sweep = read_sweep(Path(folder))
    changes = resolved[GIVEN][CHANGES]
    home = Home.open(Path(folder) / TRIALS, resolved[GIVEN][NUMBER])
    home.begin(changes)
    try:
        _run(sweep, home, changes, pool)
    except Exception as error:
        home.note("failed", reason=f"{type(error).__name__}: {' '.join(str(error).split())}")
        raise
    home.end("finished")


def trial_config(sweep: Sweep, changes: Mapping[str, Any], number: int, folder: Path) -> RunConfig:
    """Settings of a trial as it is run: with the sweep's cache, and checkpoints where needed."""
    config = sweep.run_config(changes, number)
    told: dict[str, Any] = {}
    if config.cache == "off" and sweep.config.share_cache:
        told["cache"] = str((folder / CACHE).absolute())
    if sweep.config.algorithm.kind == "pbt":
        told["checkpoint_every"] = 1
    return config.model_copy(update=told)


class _Reporter(Silent):
    """Judges each finished loop and reports to Tune, which may end the trial there."""

    def __init__(self, sweep: Sweep, home: Home, changes: Mapping[str, Any], run: Path) -> None:
        self._sweep, self._home, self._run = sweep, home, run
        self._changes = changes
        self._judge = sweep.judge(changes)
        self._config = sweep.run_config(changes, home.number)
        self._found: list[Judged] = []
        self._metrics: list[Mapping[str, Any]] = []

    def run_started(self, *, directory: Path, first_loop: int, loops: int) -> None:
        """Takes up what the run had before, and reports its last loop once more."""
        self._found = judge_run(self._run, first_loop - 1, self._judge)
        log = self._run / "metrics.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        self._metrics = [json.loads(line) for line in lines]
        if self._metrics:
            self._report(None)

    def loop_finished(self, metrics: Mapping[str, Any]) -> None:
        """Reports a loop."""
        loop = int(metrics["loop"])
        self._found += judge_loop(self._run, loop, self._judge)
        self._metrics.append(metrics)
        algorithm = self._sweep.config.algorithm
        if algorithm.kind != "pbt" or loop % algorithm.interval_loops:
            self._report(None)
            return
        with tempfile.TemporaryDirectory() as scratch:
            write_checkpoint(self._run, Path(scratch), self._home.folder.parent)
            self._report(tune.Checkpoint(scratch))

    def _report(self, checkpoint: tune.Checkpoint | None) -> None:
        last = self._metrics[-1]
        told = {
            "loop": last["loop"],
            "evaluations": last["evaluations_total"],
            "at": time.time(),
            "wall_s": sum(float(row["wall_s"]) for row in self._metrics),
            **figures(self._found, self._config, self._judge, self._metrics),
        }
        self._home.report({**told, "run": self._run.name})
        tune.report(told, checkpoint=checkpoint)


def _run(sweep: Sweep, home: Home, changes: Mapping[str, Any], pool: str | None) -> None:
    config = trial_config(sweep, changes, home.number, home.folder.parents[1])
    given = tune.get_checkpoint()
    if given is None:
        directory, resume = place_run(home, config, None)
    else:
        with given.as_directory() as checkpoint:
            directory, resume = place_run(home, config, Path(checkpoint))
    _wait_until_free(directory)
    home.note("started", run=directory.name, resumed=resume)
    reporter = _Reporter(sweep, home, changes, directory)
    with _workplace(config, pool) as (executor, replay):
        start_run(config, directory, executor, resume=resume, progress=reporter, replay=replay)


@contextmanager
def _workplace(config: RunConfig, pool: str | None) -> Iterator[tuple[Executor, Replay]]:
    """Executor and replay buffer of a trial."""
    roles = trial_roles(config, pooled=pool is not None)
    executor: Executor
    if config.execution.backend == "ray":
        from ray_matdesign.distributed.executor import RayExecutor

        executor = RayExecutor(roles, config.execution)
    else:
        executor = LocalExecutor(roles)
    if pool is not None:
        from ray_matdesign.tune.pool import PooledExecutor

        (reward,) = (role for role in roles_of(config) if role.name == REWARD)
        executor = PooledExecutor(executor, pool, reward.settings)
    with closing(executor):
        # In this process even with backend ``ray``: the loop that writes to it is here as well, and
        # a lost process resumes from the checkpoint.
        yield executor, ReplayBuffer(config.rl.replay)


def _wait_until_free(directory: Path) -> None:
    """Returns when no process holds the run: one that Tune has just ended may take a moment."""
    lock = directory / ".lock"
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while lock.exists() and time.monotonic() < deadline:
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.2)
                continue
            return
