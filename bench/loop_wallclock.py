"""Wall-clock of the loop: Ray with two reward workers against the local executor.

The same recipe, the same seed, hence the same crystals; the first loop of each run, in which models
warm up, is left out. Starting the workers is counted apart, for a run pays it once.

    python bench/loop_wallclock.py --loops 4
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from record import write_results

from ray_matdesign.config.loading import load_run_config
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.rl.executor import Executor
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of

STAGES = ("sample", "relax", "evaluate", "finetune")


class FirstLoop(Silent):
    """Notes when the first loop starts: all workers stand by then."""

    def __init__(self) -> None:
        self.moment: float | None = None

    def loop_started(self, loop: int) -> None:
        """Keeps the first call's time."""
        self.moment = self.moment or time.perf_counter()


@dataclass(frozen=True)
class Timing:
    """What one run took, seconds; medians over its loops but the first."""

    start: float
    loop: float
    stages: Mapping[str, float]
    evaluations: int


def measure(config: RunConfig) -> Timing:
    """Runs the campaign on the backend it asks for."""
    begin, watcher = time.perf_counter(), FirstLoop()
    executor: Executor
    if config.execution.backend == "ray":
        executor = RayExecutor(roles_of(config), config.execution)
    else:
        executor = LocalExecutor(roles_of(config))
    with tempfile.TemporaryDirectory() as folder, closing(executor):
        loops = start_run(config, Path(folder) / "run", executor, progress=watcher).metrics
    if watcher.moment is None:
        raise RuntimeError("the run had no loop")
    warm = loops[1:]
    return Timing(
        start=watcher.moment - begin,
        loop=statistics.median(loop["wall_s"] for loop in warm),
        stages={s: statistics.median(loop["timings"][s] for loop in warm) for s in STAGES},
        evaluations=sum(loop["evaluated"] for loop in loops),
    )


def figures(local: Timing, ray: Timing, workers: int) -> list[dict[str, Any]]:
    """One row a quantity, the local executor as baseline."""

    def row(name: str, value: float, baseline: float) -> dict[str, Any]:
        return {
            "name": f"{name}, Ray with {workers} reward workers against the local executor",
            "value": round(value, 3),
            "unit": "s",
            "baseline": round(baseline, 3),
            "ratio": round(baseline / value, 2),
        }

    stages = [row(f"stage {s}", ray.stages[s], local.stages[s]) for s in STAGES]
    return [
        row("loop", ray.loop, local.loop),
        *stages,
        row("start of all workers", ray.start, local.start),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures both executors and writes ``results/loop_wallclock.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="density-demo")
    parser.add_argument("--loops", type=int, default=4)
    parser.add_argument("override", nargs="*", help="further settings, e.g. rl.samples=16")
    options = parser.parse_args(arguments)
    if options.loops < 2:
        parser.error("--loops must be at least 2: the first is left out")
    config = load_run_config(options.recipe, [f"rl.loops={options.loops}", *options.override])

    def on(backend: str) -> Timing:
        execution = config.execution.model_copy(update={"backend": backend})
        return measure(config.model_copy(update={"execution": execution}))

    local, ray = on("local"), on("ray")
    if local.evaluations != ray.evaluations:
        raise RuntimeError(
            f"the two runs differ: {local.evaluations} evaluations against {ray.evaluations}"
        )
    rows = figures(local, ray, config.execution.reward_workers)
    for row in rows:
        print(f"{row['name']}: {row['value']} s against {row['baseline']} s ({row['ratio']}x)")
    print(write_results("loop_wallclock", rows))


if __name__ == "__main__":
    main()
