"""Training speed: crystals a second by precision, by parts of a batch, and by workers.

One single-threaded process takes a few steps in each way, the ways in turn and several times over,
so that other work on the machine meets them all; the fastest step of each counts. Then the same
batches are shared by two single-threaded workers through Ray Train, and by one, and the rates that
their metrics report are compared. Padding is counted, not timed.

    python bench/training.py                        # the shared crystals, default network
    python bench/training.py --set prepared.safetensors --width 192
    python bench/training.py --compile              # also torch.compile, minutes of compiling

Without ``--set``, ``--crystals`` rows of ``crystals_le20.csv.gz`` from the folder
RAY_MATDESIGN_DATA (or ``../shared/data`` beside the repository) are prepared.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from record import figure, write_results

from ray_matdesign.config.schema import TrainSettings
from ray_matdesign.crystals.dataset import load_dataset
from ray_matdesign.generators.diffusion.buckets import buckets, padded_pairs
from ray_matdesign.generators.diffusion.data import TrainingSet, prepare
from ray_matdesign.generators.diffusion.trainer import Trainer

DATA = Path(
    os.environ.get("RAY_MATDESIGN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
PARTS = (1, 2, 4, 8)
UNIT = "crystals/s"


def padding(data: TrainingSet, batch_size: int, batches: int = 40) -> list[dict[str, Any]]:
    """Share of the network's pairs that are padding, cut by cost and cut into equal counts."""
    scaffold = data.train.crystals.scaffold
    n_atoms, n_orbits = scaffold.n_atoms, scaffold.orbits.sum(-1)
    rng = torch.Generator().manual_seed(0)
    chosen = [torch.randperm(len(n_atoms), generator=rng)[:batch_size] for _ in range(batches)]
    real = sum(int((n_atoms[rows] * n_orbits[rows]).sum()) for rows in chosen)
    figures = []
    for parts in PARTS:
        ours = equal = 0
        for rows in chosen:
            orbits, atoms = n_orbits[rows], n_atoms[rows]
            ours += padded_pairs(orbits, atoms, buckets(orbits, atoms, parts))
            counted = torch.argsort(orbits * atoms, stable=True).chunk(parts)
            equal += padded_pairs(orbits, atoms, list(counted))
        name = f"padding, {parts} parts cut by cost, against equal counts"
        figures.append(figure(name, 1.0 - real / ours, "1", baseline=1.0 - real / equal))
    return figures


def speeds(
    data: TrainingSet, settings: TrainSettings, rounds: int, compiled: bool
) -> list[dict[str, Any]]:
    """Rates of one process: precision by parts of a batch."""
    ways = {
        f"{precision}, {parts} parts": Trainer(
            data,
            settings.model_copy(update={"precision": precision, "micro_batches": parts}),
            torch.device("cpu"),
        )
        for precision in ("bf16", "fp32")
        for parts in PARTS
    }
    figures = []
    if compiled:
        trainer = Trainer(data, settings, torch.device("cpu"))
        trainer.denoiser.compile(dynamic=True)
        began = time.perf_counter()
        trainer.train_step()
        trainer.train_step()
        figures.append(
            figure("two first steps with torch.compile", time.perf_counter() - began, "s")
        )
        ways[f"{settings.precision}, {settings.micro_batches} parts, torch.compile"] = trainer
    fastest = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds + 1):
        for name, trainer in ways.items():
            began = time.perf_counter()
            trainer.train_step()
            fastest[name] = min(fastest[name], time.perf_counter() - began)
    default = settings.batch_size / fastest[f"{settings.precision}, {settings.micro_batches} parts"]
    for name, seconds in fastest.items():
        rate = settings.batch_size / seconds
        figures.append(figure(f"1 process, {name}, against default", rate, UNIT, baseline=default))
    return figures


def on_ray(prepared: Path, settings: TrainSettings, workers: int, steps: int) -> float:
    """Rate of workers through Ray Train, over the second half of the steps."""
    from ray_matdesign.distributed.training import train_on_ray

    execution = {"backend": "ray", "workers": workers}
    changes = {
        "steps": 2 * steps,
        "validate_every": steps,
        "checkpoint_every": 2 * steps,
        "samples_scored": 1,
        "execution": execution,
    }
    asked = TrainSettings.model_validate({**settings.model_dump(), **changes})
    with tempfile.TemporaryDirectory() as folder:
        train_on_ray(prepared, asked, Path(folder))
        lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return float(json.loads(lines[-1])["crystals_per_s"])


def training_set(options: argparse.Namespace, settings: TrainSettings) -> TrainingSet:
    """Crystals from the file told, or the first rows of the shared ones."""
    if options.set is not None:
        return TrainingSet.load(options.set)
    source = DATA / "crystals_le20.csv.gz"
    if not source.is_file():
        sys.exit(f"{source} is missing: set RAY_MATDESIGN_DATA, or give --set prepared.safetensors")
    crystals = load_dataset(source, limit=options.crystals).crystals
    return prepare(crystals, settings, processes=os.cpu_count() or 1)


def main() -> None:
    """Measures and writes ``results/training.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", type=Path, help="prepared.safetensors")
    parser.add_argument("--crystals", type=int, default=4000, help="rows to prepare without --set")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=8, help="timed steps of each way")
    parser.add_argument("--steps", type=int, default=15, help="timed steps through Ray Train")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="also measure torch.compile")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = TrainSettings(width=options.width, batch_size=options.batch)
    data = training_set(options, settings)
    figures = padding(data, options.batch)
    figures += speeds(data, settings, options.rounds, options.compile)
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.safetensors"
        data.save(prepared)
        alone = on_ray(prepared, settings, 1, options.steps)
        shared = on_ray(prepared, settings, options.workers, options.steps)
    figures.append(figure("Ray Train, 1 worker", alone, UNIT))
    name = f"Ray Train, {options.workers} workers, against 1"
    figures.append(figure(name, shared, UNIT, baseline=alone))
    figures.append(figure("crystals to train on", float(len(data.train)), "crystals"))
    print(f"written to {write_results('training', figures)}")


if __name__ == "__main__":
    main()
