"""Elastic tensors per second: ours against matcalc with CHGNet's own ASE calculator.

    python bench/elasticity.py                # every way, on all cores and on one
    python bench/elasticity.py --n 6 --no-record

Crystals of the Materials Project's elasticity data (the folder RAY_MATDESIGN_DATA, or
``../shared/data`` beside the repository) are relaxed first; then each way computes the tensors of
the same relaxed crystals, with the same sizes of strain and the same threshold on forces. matcalc
(``pip install --no-deps matcalc``) goes crystal by crystal and strain by strain, and runs as a user
would call it (one process, default threads) and at its best (a single-threaded process per core).
Ours runs as it is, and on one process with one of its savings taken away at a time. Loading and one
tensor come before the clock starts. Writes ``bench/results/elasticity.json``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
from record import figure, write_results

from ray_matdesign.crystals.crystal import Crystal

DATA = Path(
    os.environ.get("RAY_MATDESIGN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
LABELS = "labels/matcalc_mp-elasticity-2025.1.json.gz"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
STRAIN = 0.05
FMAX_EV_PER_ANG = 0.01
AGREEMENT_GPA = 3.0
Moduli = tuple[float, float]
"""K and G, GPa; not numbers where there is no tensor."""
Way = Callable[[Sequence[Crystal]], list[Moduli]]
NOTHING: Moduli = (float("nan"), float("nan"))


def matcalc_way() -> Way:
    """One crystal and one strain after another."""
    from chgnet.model.dynamics import CHGNetCalculator
    from matcalc import ElasticityCalc

    from ray_matdesign.crystals.convert import to_pymatgen

    warnings.filterwarnings("ignore")
    # Shear strains are given as tensor components, and ours as lengths of vectors.
    shear = STRAIN / np.sqrt(2.0)
    calculator = ElasticityCalc(
        CHGNetCalculator(use_device="cpu"),
        norm_strains=(-STRAIN, STRAIN),
        shear_strains=(-shear, shear),
        fmax=FMAX_EV_PER_ANG,
        relax_structure=False,
        relax_deformed_structures=True,
        units_GPa=True,
    )

    def moduli(crystal: Crystal) -> Moduli:
        found = calculator.calc(to_pymatgen(crystal))
        return float(found["bulk_modulus_vrh"]), float(found["shear_modulus_vrh"])

    return lambda crystals: [moduli(crystal) for crystal in crystals]


def our_way(*, symmetry: bool = True, together: bool = True) -> Way:
    """Batched, with all savings or without one.

    Args:
        symmetry: Only strains that symmetry does not relate.
        together: Copies of many crystals in one pass; otherwise one crystal after another.
    """
    from ray_matdesign.potentials.elasticity import (
        ElasticitySettings,
        ElasticTensor,
        elastic_tensors,
    )
    from ray_matdesign.potentials.registry import load_potential

    potential = load_potential("chgnet")
    symprec = ElasticitySettings.symprec_ang if symmetry else 0.0
    settings = ElasticitySettings(
        strain=STRAIN, fmax_ev_per_ang=FMAX_EV_PER_ANG, symprec_ang=symprec
    )

    def moduli(crystals: Sequence[Crystal]) -> list[Moduli]:
        room = None if together else 1
        tensors = elastic_tensors(potential, crystals, settings, atoms_in_flight=room)
        return [
            (tensor.bulk_modulus_gpa, tensor.shear_modulus_gpa)
            if isinstance(tensor, ElasticTensor)
            else NOTHING
            for tensor in tensors
        ]

    return moduli


WAYS: dict[str, Callable[[], Way]] = {
    "matcalc": matcalc_way,
    "ours": our_way,
    "ours without symmetry": lambda: our_way(symmetry=False),
    "ours crystal by crystal": lambda: our_way(together=False),
}


@dataclass
class _Worker:
    """What a worker process holds."""

    way: Way | None = None
    ready: Barrier | None = None


_worker = _Worker()


def start(name: str, threads: int | None, ready: Barrier) -> None:
    """Prepares a worker process: loads, and computes one tensor."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    _worker.way, _worker.ready = WAYS[name](), ready
    _worker.way([Crystal(4.2 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])])


def share(crystals: Sequence[Crystal]) -> tuple[float, float, list[Moduli]]:
    """Seconds, processor seconds and moduli of one worker's crystals."""
    assert _worker.way is not None
    assert _worker.ready is not None
    _worker.ready.wait()
    begin, worked = time.perf_counter(), time.process_time()
    found = _worker.way(crystals)
    return time.perf_counter() - begin, time.process_time() - worked, found


@dataclass(frozen=True)
class Outcome:
    """One way's run.

    Attributes:
        rate: Tensors per second until the last process was done.
        work: Tensors per second of processor time, all processes added up: what other work on the
            machine changes little.
        moduli: In the order of the crystals.
    """

    rate: float
    work: float
    moduli: list[Moduli]


def run(name: str, crystals: Sequence[Crystal], *, processes: int, threads: int | None) -> Outcome:
    """Computes all tensors one way."""
    saved = {variable: os.environ.pop(variable, None) for variable in THREAD_VARIABLES}
    if threads is not None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    context = get_context("spawn")
    ready = context.Barrier(processes)
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=start, initargs=(name, threads, ready)
    ) as pool:
        reports = list(pool.map(share, [crystals[k::processes] for k in range(processes)]))
    for variable, value in saved.items():
        os.environ.pop(variable, None)
        if value is not None:
            os.environ[variable] = value
    moduli: list[Moduli] = [NOTHING] * len(crystals)
    for k, (_, _, part) in enumerate(reports):
        moduli[k::processes] = part
    seconds = max(taken for taken, _, _ in reports)
    worked = sum(spent for _, spent, _ in reports)
    print(
        f"{name}, {processes} process(es): {seconds:.1f} s, {worked:.1f} s of processors",
        flush=True,
    )
    return Outcome(len(crystals) / seconds, len(crystals) / worked, moduli)


def relaxed_crystals(n: int, seed: int, most_atoms: int) -> list[Crystal]:
    """Labelled crystals, relaxed."""
    import torch
    from pymatgen.core import Structure

    from ray_matdesign.crystals.convert import from_pymatgen
    from ray_matdesign.potentials.protocol import Relaxed
    from ray_matdesign.potentials.registry import load_potential
    from ray_matdesign.potentials.relaxation import BatchRelaxer

    torch.set_num_threads(1)
    if not (DATA / LABELS).is_file():
        sys.exit(f"{DATA / LABELS} is missing: set RAY_MATDESIGN_DATA to the folder that holds it")
    with gzip.open(DATA / LABELS) as file:
        rows = [row for row in json.load(file) if len(row["structure"]["sites"]) <= most_atoms]
    chosen = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))[:n]]
    crystals = [from_pymatgen(Structure.from_dict(row["structure"])) for row in chosen]
    outcomes = BatchRelaxer(load_potential("chgnet")).relax(crystals)
    return [outcome.crystal for outcome in outcomes if isinstance(outcome, Relaxed)]


def main() -> None:
    """Runs every way and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=24, help="crystals")
    parser.add_argument("--seed", type=int, default=1, help="which are drawn")
    parser.add_argument("--most-atoms", type=int, default=12)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--no-record", action="store_true", help="print only")
    options = parser.parse_args()
    crystals = relaxed_crystals(options.n, options.seed, options.most_atoms)
    many = options.processes
    as_called = run("matcalc", crystals, processes=1, threads=None)
    at_best = run("matcalc", crystals, processes=many, threads=1)
    best = max(as_called.rate, at_best.rate)
    ours = run("ours", crystals, processes=many, threads=1)
    single = {
        name: run(name, crystals, processes=1, threads=1).work for name in WAYS if name != "matcalc"
    }
    # matcalc keeps the tensors of unstable crystals; ours names them instead.
    difference = np.abs(np.array(ours.moduli) - np.array(at_best.moduli))
    both = np.isfinite(difference).all(axis=1)
    unit, worked = "tensors/s", "tensors/s of a processor"
    figures = [
        figure("matcalc, 1 process, default threads", as_called.rate, unit),
        figure(f"matcalc, {many} single-threaded processes", at_best.rate, unit),
        figure(f"ours, {many} processes, against matcalc's best", ours.rate, unit, baseline=best),
        figure("matcalc, by processor time", at_best.work, worked),
        figure("ours, by processor time", single.pop("ours"), worked, baseline=at_best.work),
        *(figure(name, rate, worked, baseline=at_best.work) for name, rate in single.items()),
        figure("crystals", float(len(crystals)), "crystals"),
        figure("compared", float(both.sum()), "crystals"),
        figure("bulk modulus, median difference", float(np.median(difference[both, 0])), "GPa"),
        figure("shear modulus, median difference", float(np.median(difference[both, 1])), "GPa"),
        figure(
            f"both moduli within {AGREEMENT_GPA:g} GPa",
            float(np.mean((difference[both] < AGREEMENT_GPA).all(axis=1))),
            "1",
        ),
    ]
    if not options.no_record:
        print(f"written to {write_results('elasticity', figures)}")


if __name__ == "__main__":
    main()
