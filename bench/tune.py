"""Trade-offs of magnets and supply risk: sweeps and in-run fronts at equal evaluations.

    python bench/tune.py                        # everything, for hours
    python bench/tune.py --only swept,min --seeds 0
    python bench/tune.py --trials 8 --evaluations 64
    python bench/tune.py --report               # tables of what there is

Four ways to spend the same number of property evaluations with the embedded generator and
potential: NSGA-II and random search over weights and bounds (``tune_configs/magnet-hhi.yaml``), one
long run whose preferences are swept, and one with the paper's ``min``. All are judged by the
hypervolume under the bounds of the recipe ``magnet-hhi``. Each lies in build/bench/tune/ARM/SEED,
goes on where it stopped when the command is given again, and is not repeated once it is complete.
Writes bench/results/tune.json and tune.png.

``overhead`` compares a sweep of equal trials, one at a time, with the same runs one after another,
each a command of its own, as a user would start them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import RESULTS, figure, write_results

from ray_matdesign.config.loading import dump, load_run_config
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.config.trials import load_sweep, read_sweep
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of
from ray_matdesign.tune import collect, run_sweep
from ray_matdesign.tune.judging import judge_run, scores_of
from ray_matdesign.tune.results import hypervolume_curve

ROOT = Path(__file__).resolve().parents[1]
SWEEP = ROOT / "tune_configs" / "magnet-hhi.yaml"
FOLDER = ROOT / "build" / "bench" / "tune"
ARMS = ("nsga2", "random", "swept", "min")
LABELS = {
    "nsga2": "NSGA-II over weights and bounds",
    "random": "random search over the same",
    "swept": "one run, preferences swept",
    "min": "one run, the paper's min",
}


def sweep_settings(arm: str, seed: int, options: argparse.Namespace) -> list[str]:
    """Command-line settings of a sweep."""
    told = [
        f"seed={1000 * seed}", f"trials={options.trials}", f"evaluations={options.evaluations}",
        *options.set,
    ]  # fmt: skip
    return [*told, *(["algorithm={kind: random}"] if arm == "random" else [])]


def run_settings(arm: str, seed: int, options: argparse.Namespace) -> RunConfig:
    """One long run, otherwise as the trials of the sweeps."""
    overrides = load_sweep(SWEEP, options.set).config.overrides
    given = {**overrides, "objective.aggregation": "min", "cache": str(FOLDER / "cache")}
    if arm == "swept":
        given |= {"objective.aggregation": "chebyshev", "objective.preferences": "swept"}
    settings = [f"{key}={json.dumps(value)}" for key, value in given.items()]
    evaluations = load_run_config("magnet-hhi", settings).rl.evaluations
    loops = -(-options.trials * options.evaluations // evaluations)
    return load_run_config("magnet-hhi", [*settings, f"seed={1000 * seed}", f"rl.loops={loops}"])


def run_arm(arm: str, seed: int, options: argparse.Namespace) -> None:
    """Runs one arm to its end, from wherever it stopped."""
    folder = FOLDER / arm / str(seed)
    if arm in ("nsga2", "random"):
        resume = (folder / "sweep.yaml").exists()
        settings = sweep_settings(arm, seed, options)
        run_sweep(SWEEP, folder, overrides=settings, resume=resume, say=print)
        return
    config = run_settings(arm, seed, options)
    with closing(LocalExecutor(roles_of(config))) as executor:
        start_run(config, folder, executor, resume=(folder / "config.yaml").exists())


def curve(arm: str, seed: int) -> NDArray[np.float64]:
    """Hypervolume after each successful evaluation so far; empty for an arm not begun."""
    import pandas as pd

    folder = FOLDER / arm / str(seed)
    if (folder / "sweep.yaml").exists():
        collect(folder)
        table = pd.read_parquet(folder / "curves.parquet")
        pooled: NDArray[np.float64] = table[table["trial"] == 0]["hypervolume"].to_numpy()
        return pooled
    if not (folder / "config.yaml").exists():
        return np.empty(0)
    judge = load_run_config("magnet-hhi").objective
    loops = load_run_config(folder / "config.yaml").rl.loops
    found = judge_run(folder, loops, judge)
    return hypervolume_curve(scores_of(found, len(judge.terms)))


def report(seeds: Sequence[int], overhead: float | None) -> None:
    """Writes figures and curves of what there is."""
    curves = {arm: [c for seed in seeds if len(c := curve(arm, seed))] for arm in ARMS}
    known = {arm: found for arm, found in curves.items() if found}
    if not known:
        print("nothing has been run yet")
        return
    shared = min(len(c) for found in known.values() for c in found)
    baseline = None
    if "min" in known:
        baseline = float(np.mean([c[shared - 1] for c in known["min"]]))
    figures: list[dict[str, Any]] = []
    for arm, found in known.items():
        ends = np.array([c[shared - 1] for c in found])
        error = float(ends.std(ddof=1) / np.sqrt(len(ends))) if len(ends) > 1 else None
        name, mean = f"hypervolume_{arm}", float(ends.mean())
        figures.append(figure(name, mean, "share", baseline, error=error))
    figures.append(figure("evaluations_compared", float(shared), "1", None))
    if overhead is not None:
        figures.append(figure("overhead_of_tune", overhead, "share of bare runs", 0.05))
    write_results("tune", figures)
    draw(known)


def draw(curves: dict[str, list[NDArray[np.float64]]]) -> None:
    """The hypervolume over evaluations: means, and single seeds thin."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.0, 4.2), layout="constrained")
    for place, (arm, found) in enumerate(curves.items()):
        shortest = min(map(len, found))
        for one in found:
            axes.step(range(1, len(one) + 1), one, color=f"C{place}", alpha=0.3, linewidth=0.8)
        mean = np.mean([one[:shortest] for one in found], axis=0)
        axes.step(range(1, shortest + 1), mean, color=f"C{place}", label=LABELS[arm])
    axes.set(xlabel="Evaluations", ylabel="Hypervolume, magnetic density and HHI")
    axes.legend(frameon=False)
    figure.savefig(RESULTS / "tune.png", dpi=150)
    pyplot.close(figure)


def measure_overhead(options: argparse.Namespace) -> float:
    """Wall-clock time of a sweep over that of its runs as single commands, minus one."""
    folder = FOLDER / "overhead"
    told = folder / "overhead.json"
    if told.exists():
        return float(json.loads(told.read_text())["overhead"])
    settings = [
        *(f"trials={options.overhead_trials}", "concurrency=1", "algorithm={kind: random}"),
        *("evaluations=64", "share_cache=false", *options.set),
    ]
    swept = _timed(lambda: _command("tune", str(SWEEP), *settings, "--out", str(folder / "sweep")))
    sweep = read_sweep(folder / "sweep")
    bare = 0.0
    for path in sorted((folder / "sweep" / "trials").glob("[0-9]*")):
        changes = json.loads((path / "trial.json").read_text())["changes"]
        source = folder / f"{path.name}.yaml"
        source.write_text(dump(sweep.run_config(changes, int(path.name))))
        target = str(folder / "bare" / path.name)
        bare += _timed(lambda s=str(source), t=target: _command("run", s, "--out", t))
    overhead = swept / bare - 1.0
    figures = {"overhead": overhead, "sweep_s": swept, "bare_s": bare}
    write_atomic(told, json.dumps(figures, indent=2) + "\n")
    return overhead


def _command(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "ray_matdesign", *arguments], check=True, cwd=ROOT)


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Runs what is asked for, then reports on all there is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", type=lambda t: t.split(","), default=[*ARMS, "overhead"])
    parser.add_argument("--seeds", type=lambda t: [int(s) for s in t.split(",")], default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=16, help="of a sweep")
    parser.add_argument("--evaluations", type=int, default=96, help="of a trial")
    parser.add_argument("--overhead-trials", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--report", action="store_true", help="only report")
    options = parser.parse_args()
    overhead = None
    if not options.report:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for seed in options.seeds:
            for arm in ARMS:
                if arm in options.only:
                    run_arm(arm, seed, options)
    if (FOLDER / "overhead" / "overhead.json").exists() or (
        "overhead" in options.only and not options.report
    ):
        overhead = measure_overhead(options)
    report(options.seeds, overhead)


if __name__ == "__main__":
    main()
