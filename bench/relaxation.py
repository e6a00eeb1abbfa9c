"""Crystals relaxed per second: ours against CHGNet's own optimiser, on the same crystals.

Four ways, one after another on one machine: CHGNet's ``StructOptimizer`` as a user would call it
(one process, default threads) and at its best (one single-threaded process per core), then ours
with one single-threaded process per core and with one alone. Loading the model and one evaluation
come before the clock starts. Energies are compared where both sides converged.

    python bench/relaxation.py --n 32
    python bench/relaxation.py --crystals my.cif --n 16 --optimizer bfgs

Without ``--crystals``, published DiffCSP samples from the folder RAY_MATDESIGN_DATA (or
``../shared/data`` beside the repository) are relaxed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import figure, write_results

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.files import Unreadable, read_crystals

DATA = Path(
    os.environ.get("RAY_MATDESIGN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
SAMPLES = DATA / "peers" / "gen_DiffCSP_mp_20_10k.pt"
AGREEMENT_EV = 2e-3
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Ending:
    """How one relaxation ended; energy in eV/atom, not a number where it failed."""

    energy_ev_per_atom: float
    steps: int
    converged: bool


@dataclass(frozen=True)
class Settings:
    """What all four runs share."""

    fmax: float
    max_steps: int
    optimizer: str


Relax = Callable[[list[Crystal]], list[Ending]]


def published_relaxer(settings: Settings) -> Relax:
    """CHGNet's own optimiser, crystal by crystal."""
    from chgnet.model import StructOptimizer
    from pymatgen.core import Lattice, Structure

    warnings.filterwarnings("ignore")
    optimizer = StructOptimizer()

    def relax_one(crystal: Crystal) -> Ending:
        structure = Structure(Lattice(crystal.lattice), crystal.numbers, crystal.frac_coords)
        run = optimizer.relax(
            structure, fmax=settings.fmax, steps=settings.max_steps, verbose=False
        )["trajectory"]
        # The observer records the start, every step, and the end once more.
        steps = len(run) - 2
        energy = float(run.energies[-1]) / len(crystal)
        return Ending(energy, steps, steps < settings.max_steps)

    return lambda crystals: [relax_one(crystal) for crystal in crystals]


def our_relaxer(settings: Settings) -> Relax:
    """The batched relaxer."""
    from ray_matdesign.potentials.protocol import Relaxed
    from ray_matdesign.potentials.registry import load_potential
    from ray_matdesign.potentials.relaxation import BatchRelaxer

    relaxer = BatchRelaxer(load_potential("chgnet"), optimizer=settings.optimizer)

    def relax(crystals: list[Crystal]) -> list[Ending]:
        outcomes = relaxer.relax(
            crystals, fmax_ev_per_ang=settings.fmax, max_steps=settings.max_steps
        )
        return [
            Ending(outcome.energy_ev_per_atom, outcome.steps, outcome.converged)
            if isinstance(outcome, Relaxed)
            else Ending(float("nan"), 0, False)
            for outcome in outcomes
        ]

    return relax


RELAXERS: dict[str, Callable[[Settings], Relax]] = {
    "published": published_relaxer,
    "ours": our_relaxer,
}


def work(
    method: str,
    settings: Settings,
    threads: int | None,
    crystals: list[Crystal],
    ready: Barrier,
    results: Queue[Any],
    rank: int,
) -> None:
    """One process: loads, waits for the others, relaxes its share and reports."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    relax = RELAXERS[method](settings)
    warm_up = Crystal(4.2 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])
    relax([warm_up])
    ready.wait()
    start = time.perf_counter()
    endings = relax(crystals)
    results.put((rank, time.perf_counter() - start, endings))


def run(
    method: str, settings: Settings, crystals: list[Crystal], *, processes: int, threads: int | None
) -> tuple[float, list[Ending]]:
    """Wall-clock seconds until the last process is done, and the endings in order."""
    saved = {name: os.environ.pop(name, None) for name in THREAD_VARIABLES}
    if threads is not None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(
            target=work,
            args=(method, settings, threads, crystals[k::processes], ready, results, k),
        )
        for k in range(processes)
    ]
    for worker in workers:
        worker.start()
    reports = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    for name, value in saved.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    endings: list[Ending | None] = [None] * len(crystals)
    for rank, _, share in reports:
        endings[rank::processes] = share
    return max(seconds for _, seconds, _ in reports), [e for e in endings if e is not None]


def diffcsp_samples(n: int, seed: int) -> list[Crystal]:
    """Published DiffCSP samples (Apache-2.0), drawn without replacement."""
    import torch
    from ase.geometry import cellpar_to_cell

    if not SAMPLES.is_file():
        sys.exit(
            f"{SAMPLES} is missing: set RAY_MATDESIGN_DATA to the folder that holds "
            "peers/gen_DiffCSP_mp_20_10k.pt, or give --crystals FILE"
        )
    stored = torch.load(SAMPLES, map_location="cpu", weights_only=True)
    sizes = stored["num_atoms"].flatten().numpy()
    ends = np.cumsum(sizes)
    parameters = np.concatenate(
        [stored["lengths"].reshape(-1, 3).numpy(), stored["angles"].reshape(-1, 3).numpy()], axis=1
    )
    coords = stored["frac_coords"].reshape(-1, 3).numpy()
    numbers = stored["atom_types"].flatten().numpy()
    rows = np.random.default_rng(seed).permutation(len(sizes))[:n]
    atoms = [slice(ends[row] - sizes[row], ends[row]) for row in rows]
    return [
        Crystal(cellpar_to_cell(parameters[row]), coords[where], numbers[where])
        for row, where in zip(rows, atoms, strict=True)
    ]


def crystals_from(path: Path, n: int) -> list[Crystal]:
    """The first ``n`` readable crystals of a file."""
    crystals = [entry for _, entry in read_crystals(path) if not isinstance(entry, Unreadable)]
    if not crystals:
        sys.exit(f"{path} holds no readable crystal")
    return crystals[:n]


def agreement(ours: list[Ending], theirs: list[Ending]) -> tuple[NDArray[np.float64], int]:
    """Ours minus theirs where both converged, eV/atom, and how many crystals those are."""
    differences = np.array(
        [
            one.energy_ev_per_atom - other.energy_ev_per_atom
            for one, other in zip(ours, theirs, strict=True)
            if one.converged and other.converged
        ]
    )
    return differences, len(differences)


def main() -> None:
    """Runs the four ways and writes ``results/relaxation.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crystals", type=Path, help="CIF, extxyz, POSCAR or CSV")
    parser.add_argument("--n", type=int, default=32, help="crystals relaxed each way")
    parser.add_argument("--seed", type=int, default=0, help="which samples are drawn")
    parser.add_argument("--fmax", type=float, default=0.05, help="eV/Angstrom")
    parser.add_argument("--max-steps", type=int, default=500)
    parser.add_argument("--optimizer", default="fire", help="ours; theirs is FIRE")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    crystals = (
        crystals_from(options.crystals, options.n)
        if options.crystals
        else diffcsp_samples(options.n, options.seed)
    )
    settings = Settings(options.fmax, options.max_steps, options.optimizer)
    n, many = len(crystals), options.processes

    def rate(method: str, processes: int, threads: int | None) -> tuple[float, list[Ending]]:
        seconds, endings = run(method, settings, crystals, processes=processes, threads=threads)
        print(f"{method}, {processes} process(es): {seconds:.1f} s for {n} crystals", flush=True)
        return n / seconds, endings

    as_called, theirs = rate("published", 1, None)
    at_best, _ = rate("published", many, 1)
    ours_many, ours = rate("ours", many, 1)
    ours_one, _ = rate("ours", 1, 1)
    differences, both = agreement(ours, theirs)
    unit = "crystals/s"
    figures = [
        figure("StructOptimizer, 1 process, default threads", as_called, unit),
        figure(f"StructOptimizer, {many} single-threaded processes", at_best, unit),
        figure(f"ours, {many} processes, against default", ours_many, unit, baseline=as_called),
        figure(f"ours, {many} processes, against best", ours_many, unit, baseline=at_best),
        figure("ours, 1 process, against default", ours_one, unit, baseline=as_called),
        figure("energies within 2 meV/atom", float(np.mean(abs(differences) < AGREEMENT_EV)), "1"),
        figure("energies lower by more", float(np.mean(differences <= -AGREEMENT_EV)), "1"),
        figure("energies higher by more", float(np.mean(differences >= AGREEMENT_EV)), "1"),
        figure("both converged", float(both), "crystals"),
        figure("crystals", float(n), "crystals"),
        figure("StructOptimizer steps, mean", float(np.mean([e.steps for e in theirs])), "steps"),
        figure("our steps, mean", float(np.mean([e.steps for e in ours])), "steps"),
    ]
    print(f"written to {write_results('relaxation', figures)}")


if __name__ == "__main__":
    main()
