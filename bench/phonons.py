"""Phonon heat capacities per second: ours against phonopy with CHGNet's ASE calculator.

Three ways on the same crystals, one after another on one machine: one by one as a user would write
it (one process, default threads), the same at its best (one single-threaded process per core), and
ours with one single-threaded process per core. All take the same displaced supercells of the
same crystals at rest, so the heat capacities must agree; relaxation is left out. Loading the model
and one evaluation come before the clock starts.

    python bench/phonons.py --n 16

Crystals of up to eight atoms with phonon labels are drawn from the folder RAY_MATDESIGN_DATA (or
``../shared/data`` beside the repository).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import figure, write_results
from relaxation import DATA, THREAD_VARIABLES
from validation.heat_capacity import LABELS, labelled

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.phonons import Phonons, PhononSettings, heat_capacity, phonons_of
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.potentials.registry import load_potential

MESH_LENGTH_ANG = 30.0
AT_REST = PhononSettings(fmax_ev_per_ang=10.0)
"""The crystals come at rest: nothing is left to relax."""
Measure = Callable[[list[Crystal]], list[float]]


def ours() -> Measure:
    """All crystals of a process through one call."""
    potential = load_potential("chgnet")

    def measure(crystals: list[Crystal]) -> list[float]:
        return [_value(found) for found in phonons_of(crystals, potential, AT_REST)]

    return measure


def one_by_one() -> Measure:
    """Supercells one at a time, each through the ASE calculator of CHGNet's own package."""
    from ase import Atoms
    from chgnet.model.dynamics import CHGNetCalculator

    warnings.filterwarnings("ignore")
    calculator = CHGNetCalculator(use_device="cpu")

    class Single:
        """The calculator where our code asks for a potential, one crystal after another."""

        def evaluate(self, crystals: list[Crystal]) -> list[Any]:
            return [self._point(crystal) for crystal in crystals]

        def _point(self, crystal: Crystal) -> Any:
            from ray_matdesign.potentials.protocol import SinglePoint

            atoms = Atoms(
                numbers=crystal.numbers,
                cell=crystal.lattice,
                scaled_positions=crystal.frac_coords,
                pbc=True,
                calculator=calculator,
            )
            forces = np.asarray(atoms.get_forces(), dtype=np.float64)
            stress = np.asarray(atoms.get_stress(voigt=False))
            return SinglePoint(atoms.get_potential_energy() / len(crystal), forces, stress)

    single = Single()

    def measure(crystals: list[Crystal]) -> list[float]:
        return [
            _value(phonons_of([crystal], single, AT_REST)[0])  # type: ignore[arg-type]
            for crystal in crystals
        ]

    return measure


METHODS: dict[str, Callable[[], Measure]] = {"ours": ours, "one by one": one_by_one}


def _value(found: Phonons | Failed) -> float:
    """J/(K mol) of cells at 300 K; not a number where it failed."""
    if isinstance(found, Failed):
        return float("nan")
    return heat_capacity(*found.spectrum(MESH_LENGTH_ANG), 300.0)


def work(
    method: str, crystals: list[Crystal], threads: int | None, ready: Any
) -> tuple[float, list[float]]:
    """One process: loads, warms up, waits for the others and measures its share."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    measure = METHODS[method]()
    measure([Crystal(4.12 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])])
    ready.wait()
    start = time.perf_counter()
    values = measure(crystals)
    return time.perf_counter() - start, values


def run(
    method: str, crystals: list[Crystal], *, processes: int, threads: int | None
) -> tuple[float, NDArray[np.float64]]:
    """Seconds until the last process is done, and the heat capacities in order."""
    saved = {name: os.environ.pop(name, None) for name in THREAD_VARIABLES}
    if threads is not None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    context = multiprocessing.get_context("spawn")
    with (
        context.Manager() as manager,
        ProcessPoolExecutor(processes, mp_context=context) as pool,
    ):
        ready = manager.Barrier(processes)
        shares = [crystals[k::processes] for k in range(processes)]
        jobs = [pool.submit(work, method, share, threads, ready) for share in shares]
        reports = [job.result() for job in jobs]
    os.environ.update({name: value for name, value in saved.items() if value is not None})
    values = np.empty(len(crystals))
    for k, (_, share_values) in enumerate(reports):
        values[k::processes] = share_values
    return max(seconds for seconds, _ in reports), values


def at_rest(n: int) -> list[Crystal]:
    """Labelled crystals, relaxed once for all ways."""
    if not (DATA / LABELS).is_file():
        sys.exit(f"{DATA / LABELS} is missing: set RAY_MATDESIGN_DATA to the folder that holds it")
    _, crystals, _ = labelled(DATA, n)
    resting = phonons_of(crystals, load_potential("chgnet"), PhononSettings(min_length_ang=0.0))
    return [found.crystal for found in resting if isinstance(found, Phonons)]


def main() -> None:
    """Runs the ways and writes ``results/phonons.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=16, help="crystals")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    crystals = at_rest(options.n)
    n, many = len(crystals), options.processes
    rates, values = {}, {}
    for name, method, processes, threads in (
        ("default", "one by one", 1, None),
        ("best", "one by one", many, 1),
        ("ours", "ours", many, 1),
    ):
        seconds, values[name] = run(method, crystals, processes=processes, threads=threads)
        rates[name] = n / seconds
        print(f"{method}, {processes} process(es): {seconds:.1f} s for {n} crystals", flush=True)
    difference = np.abs(values["ours"] / values["default"] - 1.0)
    unit = "crystals/s"
    figures = [
        figure("phonopy + ASE, 1 process, default threads", rates["default"], unit),
        figure(f"phonopy + ASE, {many} single-threaded processes", rates["best"], unit),
        figure("ours, against default", rates["ours"], unit, baseline=rates["default"]),
        figure("ours, against best", rates["ours"], unit, baseline=rates["best"]),
        figure("largest relative difference of the values", float(np.nanmax(difference)), "1"),
        figure("crystals", float(n), "crystals"),
    ]
    print(f"written to {write_results('phonons', figures)}")


if __name__ == "__main__":
    main()
