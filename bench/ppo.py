"""How much PPO learns about building crystals, against choices made at random.

    python bench/ppo.py                          # density, with CHGNet: hours on two cores
    python bench/ppo.py --task band-gap --seeds 0,1
    python bench/ppo.py --report                 # of what is there, run nothing

The same environment twice: first 10 batches of 32 crystals by uniform choice among the actions of
each mask, the prior of this game; then PPO, a batch for an update. Both are judged by the recipe's
own gate and objective. Every crystal that was turned down counts as reward 0. A run that is
interrupted goes on from its last batch when the same command is given again, and pays for no
crystal twice.

Curves are over evaluations billed. Beside the reward of all crystals built, which contains how many
pass the gate, stands the property of those that passed, as in bench/rl.py.

Writes bench/results/ppo_TASK.json, ppo_TASK.md and ppo_TASK.png.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from record import RESULTS, write_results

from ray_matdesign.config.loading import load_run_config
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.rllib.campaign import CampaignConfig
from ray_matdesign.rllib.environment import Workshop, random_batch
from ray_matdesign.rllib.training import Progress, checkpoints, train_ppo

ROOT = Path(__file__).resolve().parents[1] / "build" / "bench" / "ppo"
LAST = 5
"""Batches at the end of a training over which final means are taken."""
SETTINGS = ("execution.backend=local", "relaxation.batch_size=32")
"""On top of the recipe: one process, and a whole batch in one relaxation."""


@dataclass(frozen=True)
class Batch:
    """One batch of a run.

    Attributes:
        paid: Evaluations billed before it.
        rewards: Of every crystal built, unpenalised; 0 where the gate turned it down.
        values: First property of those that were evaluated.
        sun: Stable, unique and novel ones.
        relaxed: Crystals relaxed for the first time.
    """

    paid: int
    rewards: Sequence[float]
    values: Sequence[float]
    sun: int
    relaxed: int


def main() -> None:
    """Runs what is missing, then reports."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    signal.signal(signal.SIGTERM, interrupt)
    options = parse_arguments()
    for seed in options.seeds:
        config = load_run_config(options.task, [*SETTINGS, f"seed={seed}", *options.set])
        if not options.report:
            try:
                build_at_random(config, folder(options, "random", seed), options)
                learn(config, folder(options, "ppo", seed), options)
            except KeyboardInterrupt:
                raise SystemExit("stopped; the same command goes on from here") from None
    report(options)


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument

    def numbers(text: str) -> list[int]:
        return [int(word) for word in text.split(",")]

    add("--task", default="density", help="a recipe")
    add("--seeds", type=numbers, default=[0], metavar="N,...")
    add("--batches", type=int, default=10, help="of random crystals")
    add("--iterations", type=int, default=60, help="updates of the agent")
    add("--crystals", type=int, default=32, help="of a batch")
    add("--root", type=Path, default=ROOT, help="folder of the runs")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="for a quick look")
    add("--report", action="store_true", help="run nothing")
    add("--no-record", action="store_true", help="print, but write no results")
    return parser.parse_args()


def interrupt(number: int, frame: FrameType | None) -> None:
    """Makes SIGTERM end the benchmark as Ctrl-C does."""
    raise KeyboardInterrupt


def folder(options: argparse.Namespace, mode: str, seed: int) -> Path:
    """Run directory of a mode."""
    return Path(options.root) / options.task / f"{mode}-{seed}"


def build_at_random(config: RunConfig, directory: Path, options: argparse.Namespace) -> None:
    """Builds and judges random crystals; batches already on record are not repeated."""
    if len(recorded(directory)) >= options.batches:
        return
    workshop = Workshop(CampaignConfig().campaign(config, directory=directory).env_config)
    try:
        while workshop.appraiser.batches < options.batches:
            rng = np.random.default_rng([config.seed, workshop.appraiser.batches])
            drafts = random_batch(workshop, options.crystals, rng)
            mean = statistics.fmean(reward for reward, _ in workshop.finish(drafts))
            print(f"random batch {workshop.appraiser.batches}: mean reward {mean:.3f}", flush=True)
    finally:
        workshop.close()


def learn(config: RunConfig, directory: Path, options: argparse.Namespace) -> None:
    """Trains the agent as far as asked for."""

    def tell(progress: Progress) -> None:
        print(
            f"iteration {progress.iteration}: mean reward {progress.earned_mean:.3f}, "
            f"{progress.evaluations} evaluations, entropy {progress.entropy:.2f}",
            flush=True,
        )

    held = checkpoints(directory / "ppo")
    if held and int(held[-1].name.rpartition("-")[2]) >= options.iterations:
        return
    train_ppo(
        config,
        directory,
        iterations=options.iterations,
        crystals=options.crystals,
        resume=(directory / "config.yaml").exists(),
        watch=tell,
    )


def recorded(directory: Path) -> list[dict[str, Any]]:
    """The batches' figures, one mapping each."""
    path = directory / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def read(directory: Path) -> list[Batch]:
    """The batches of a run."""
    batches, paid = [], 0
    for row in recorded(directory):
        table = directory / "candidates" / f"loop-{row['loop']:05d}.parquet"
        crystals = pq.read_table(table).to_pylist()
        column = next(name for name in crystals[0] if name.startswith("value_"))
        batches.append(
            Batch(
                paid,
                [crystal["reward"] or 0.0 for crystal in crystals],
                [c[column] for c in crystals if c["evaluated"] and c[column] is not None],
                row["sun"],
                row["newly_relaxed"],
            )
        )
        paid = row["evaluations_total"]
    return batches


def pooled(batches: Sequence[Batch]) -> dict[str, tuple[float, float]]:
    """Mean and standard error of what is compared, over crystals."""
    built = sum(len(batch.rewards) for batch in batches)
    share = sum(batch.sun for batch in batches) / built
    return {
        "mean reward of all built": spread([r for batch in batches for r in batch.rewards]),
        "mean property of the evaluated": spread([v for batch in batches for v in batch.values]),
        "S.U.N. share of all built": (share, math.sqrt(share * (1 - share) / built)),
    }


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error."""
    if not values:
        return math.nan, math.nan
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return statistics.fmean(values), deviation / math.sqrt(len(values))


def report(options: argparse.Namespace) -> None:
    """Table, figures on record and curves of what is there."""
    runs = {
        (mode, seed): read(folder(options, mode, seed))
        for mode in ("random", "ppo")
        for seed in options.seeds
    }
    runs = {name: batches for name, batches in runs.items() if batches}
    prior = [batch for (mode, _), batches in runs.items() if mode == "random" for batch in batches]
    trained = {seed: batches for (mode, seed), batches in runs.items() if mode == "ppo"}
    if not prior or not trained:
        raise SystemExit(f"nothing to report in {options.root / options.task}")
    chance = pooled(prior)
    final = pooled([batch for batches in trained.values() for batch in batches[-LAST:]])
    text = markdown(options, chance, final, trained)
    print(text)
    if options.no_record:
        return
    name = f"ppo_{options.task.replace('-', '_')}"
    write_results(name, figures(options.task, chance, final, trained))
    write_atomic(RESULTS / f"{name}.md", text)
    plot(options.task, chance, trained, RESULTS / f"{name}.png")


def figures(
    task: str,
    chance: Mapping[str, tuple[float, float]],
    final: Mapping[str, tuple[float, float]],
    trained: Mapping[int, Sequence[Batch]],
) -> list[dict[str, Any]]:
    """What goes on record; the baseline is chance."""

    def known(number: float) -> float | None:
        return number if math.isfinite(number) else None

    told: list[dict[str, Any]] = []
    for what, (value, error) in final.items():
        start = chance[what][0]
        told.append(
            {
                "name": f"{task}: {what}, last {LAST} batches",
                "value": known(value),
                "unit": "",
                "baseline": known(start),
                "ratio": known(value / start) if start else None,
                "error": known(error),
            }
        )
    for what, counts in (
        ("evaluations billed before the last batch", [b[-1].paid for b in trained.values()]),
        ("crystals relaxed", [sum(x.relaxed for x in b) for b in trained.values()]),
    ):
        mean = statistics.fmean(counts)
        told.append(
            {"name": f"{task}: {what}, mean of {len(counts)} trainings", "value": mean}
            | {"unit": "", "baseline": None, "ratio": None}
        )
    return told


def markdown(
    options: argparse.Namespace,
    chance: Mapping[str, tuple[float, float]],
    final: Mapping[str, tuple[float, float]],
    trained: Mapping[int, Sequence[Batch]],
) -> str:
    """A table of both ends of the training."""
    seeds = ", ".join(map(str, trained))
    batches = ", ".join(str(len(batches)) for batches in trained.values())
    rows = [
        f"| {what} | {chance[what][0]:.3f} ± {chance[what][1]:.3f} "
        f"| {final[what][0]:.3f} ± {final[what][1]:.3f} |"
        for what in final
    ]
    return "\n".join(
        [
            f"# PPO on crystals built step by step: {options.task}",
            "",
            f"Seeds {seeds}; {batches} batches of {options.crystals}. Standard errors are over "
            "crystals, not over trainings.",
            "",
            f"| | random choices | PPO, last {LAST} batches |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def plot(
    task: str,
    chance: Mapping[str, tuple[float, float]],
    trained: Mapping[int, Sequence[Batch]],
    path: Path,
) -> None:
    """Reward and property against billed evaluations; chance as a dotted line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(8.0, 3.1), dpi=150, layout="constrained")
    FigureCanvasAgg(canvas)
    panels = canvas.subplots(1, 2)
    for panel, what in zip(panels, list(chance)[:2], strict=True):
        for seed, batches in trained.items():
            means = [spread(b.rewards if panel is panels[0] else b.values)[0] for b in batches]
            panel.plot([b.paid for b in batches], means, linewidth=1.0, label=f"PPO, seed {seed}")
        panel.axhline(chance[what][0], color="black", linestyle=":", linewidth=1.0, label="random")
        panel.set_title(f"{task}: {what}", fontsize=9)
        panel.set_xlabel("evaluations")
        panel.grid(alpha=0.3, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    panels[0].legend(fontsize=8, frameon=False)
    canvas.savefig(path)


if __name__ == "__main__":
    main()
