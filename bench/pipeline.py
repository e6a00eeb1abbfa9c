"""Wall-clock of overlapping loops against loops in turn, on the real embedded stack.

Three runs of one recipe with one seed: in one process, on Ray with one loop after another, and on
Ray with ``rl.staleness=1``. The ideal is the work of the one process shared out evenly over the
cores, nobody ever waiting. Starting the workers is left out; filling the pipeline is not.

    python bench/pipeline.py --loops 8
"""

from __future__ import annotations

import argparse
import os
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

ONE_PROCESS = ("execution.backend=local",)
IN_TURN = ("execution.backend=ray", "rl.staleness=0")
OVERLAPPING = ("execution.backend=ray", "rl.staleness=1")


class FirstLoop(Silent):
    """Notes when the first loop starts: all workers stand by then."""

    def __init__(self) -> None:
        self.moment: float | None = None

    def loop_started(self, loop: int) -> None:
        """Keeps the first call's time."""
        self.moment = self.moment or time.perf_counter()


@dataclass(frozen=True)
class Timing:
    """What one run took.

    Attributes:
        wall_s: From the start of its first loop to its end.
        work_s: Seconds that workers were busy, by verb.
        waits_s: Seconds in which there was nothing to harvest.
        evaluations: Paid for.
    """

    wall_s: float
    work_s: Mapping[str, float]
    waits_s: float
    evaluations: int


def measure(config: RunConfig) -> Timing:
    """Runs the campaign on the backend it asks for."""
    watcher = FirstLoop()
    executor: Executor
    if config.execution.backend == "ray":
        executor = RayExecutor(roles_of(config), config.execution)
    else:
        executor = LocalExecutor(roles_of(config))
    with tempfile.TemporaryDirectory() as folder, closing(executor):
        loops = start_run(config, Path(folder) / "run", executor, progress=watcher).metrics
        end, work = time.perf_counter(), executor.busy_s()
    if watcher.moment is None:
        raise RuntimeError("the run had no loop")
    return Timing(
        wall_s=end - watcher.moment,
        work_s=work,
        waits_s=sum(loop.get("waits", {}).get("prospect", 0.0) for loop in loops),
        evaluations=sum(loop["evaluated"] for loop in loops),
    )


def figures(
    alone: Timing, in_turn: Timing, overlapping: Timing, cores: int
) -> list[dict[str, Any]]:
    """Seconds of each run an evaluation, the slower way as baseline; then the shares of the ideal.

    Per evaluation, because with another policy a loop may leave fewer survivors than it may pay
    for.
    """
    alone_s, in_turn_s, overlapping_s = (
        timing.wall_s / timing.evaluations for timing in (alone, in_turn, overlapping)
    )
    ideal_s = sum(alone.work_s.values()) / alone.evaluations / cores

    def row(name: str, value: float, unit: str, baseline: float | None) -> dict[str, Any]:
        ratio = None if baseline is None else round(baseline / value, 3)
        given = None if baseline is None else round(baseline, 3)
        return {
            "name": name,
            "value": round(value, 3),
            "unit": unit,
            "baseline": given,
            "ratio": ratio,
        }

    return [
        row("one process", alone_s, "s/evaluation", None),
        row("Ray, loops in turn, against one process", in_turn_s, "s/evaluation", alone_s),
        row("Ray, loops overlapping, against one process", overlapping_s, "s/evaluation", alone_s),
        row("Ray, loops overlapping, against in turn", overlapping_s, "s/evaluation", in_turn_s),
        row(f"ideal on {cores} cores, against one process", ideal_s, "s/evaluation", alone_s),
        row("share of the ideal, loops in turn", ideal_s / in_turn_s, "1", None),
        row("share of the ideal, loops overlapping", ideal_s / overlapping_s, "1", None),
        row("evaluations, one process", alone.evaluations, "1", None),
        row("evaluations, loops in turn", in_turn.evaluations, "1", None),
        row("evaluations, loops overlapping", overlapping.evaluations, "1", None),
        row("waits for survivors, loops overlapping", overlapping.waits_s, "s", None),
        *(row(f"work: {verb}", spent, "s", None) for verb, spent in sorted(alone.work_s.items())),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the three runs and writes ``results/pipeline.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="density-demo")
    parser.add_argument("--loops", type=int, default=8)
    parser.add_argument("override", nargs="*", help="further settings, e.g. rl.samples=16")
    options = parser.parse_args(arguments)
    cores = len(os.sched_getaffinity(0))

    def timed(way: Sequence[str]) -> Timing:
        settings = [f"rl.loops={options.loops}", *options.override, *way]
        timing = measure(load_run_config(options.recipe, settings))
        print(f"{' '.join(way)}: {timing.wall_s:.1f} s, {timing.evaluations} evaluations")
        return timing

    alone, in_turn, overlapping = timed(ONE_PROCESS), timed(IN_TURN), timed(OVERLAPPING)
    if alone.evaluations != in_turn.evaluations:
        raise RuntimeError(
            f"runs of one policy differ: {alone.evaluations} evaluations in one process against "
            f"{in_turn.evaluations} on Ray"
        )
    rows = figures(alone, in_turn, overlapping, cores)
    for row in rows:
        against = "" if row["ratio"] is None else f" ({row['ratio']}x)"
        print(f"{row['name']}: {row['value']} {row['unit']}{against}")
    print(write_results("pipeline", rows))


if __name__ == "__main__":
    main()
