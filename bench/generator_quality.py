"""Quality of the packaged generator's crystals before any reinforcement learning.

Samples crystals, takes them through the pipeline of a run (validity, CHGNet relaxation, hull,
uniqueness, novelty) and, where the shared data lie beside the repository, takes published DiffCSP
samples and held-back crystals through the very same pipeline: such shares mean something only next
to each other.

    python bench/generator_quality.py --n 256
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from record import write_results

from ray_matdesign.config.schema import GeneratorSettings, PrefilterSettings, StabilitySettings
from ray_matdesign.crystals.cif import lattice_from_parameters
from ray_matdesign.crystals.codec import decode_crystals, encode_crystals
from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from ray_matdesign.crystals.matching import unique_mask
from ray_matdesign.crystals.validity import check, smact_valid
from ray_matdesign.potentials.protocol import Relaxed
from ray_matdesign.rl.workers import displacement
from ray_matdesign.stability.reference import ReferenceSet
from ray_matdesign.stability.sun import sun_flags, sun_shares

DATA = Path(
    os.environ.get("RAY_MATDESIGN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
WORKERS = 2
CHUNK = 8


def sample(arguments: tuple[str, int, int]) -> bytes:
    """Draws crystals in a worker process."""
    import torch

    from ray_matdesign.generators.registry import load_policy

    checkpoint, n, seed = arguments
    torch.set_num_threads(1)
    policy = load_policy(GeneratorSettings(checkpoint=checkpoint))
    return encode_crystals(policy.sample(n, seed=seed))


def relax(encoded: bytes) -> list[dict[str, Any] | None]:
    """Relaxes one chunk with CHGNet; ``None`` where it failed."""
    import torch

    from ray_matdesign.config.schema import RelaxationSettings
    from ray_matdesign.potentials.registry import load_potential
    from ray_matdesign.rl.workers import relaxer_for

    torch.set_num_threads(1)
    settings = RelaxationSettings()
    relaxer = relaxer_for(load_potential("chgnet"), settings)
    crystals = decode_crystals(encoded)
    results = relaxer.relax(
        crystals, fmax_ev_per_ang=settings.fmax_ev_per_ang, max_steps=settings.max_steps
    )
    return [
        {
            "crystal": encode_crystals([result.crystal]),
            "energy": result.energy_ev_per_atom,
            "steps": result.steps,
            "rmsd": displacement(crystal, result.crystal),
        }
        if isinstance(result, Relaxed)
        else None
        for crystal, result in zip(crystals, results, strict=True)
    ]


def judge(
    name: str, crystals: Sequence[Crystal], asked: int, pool: ProcessPoolExecutor
) -> list[dict[str, Any]]:
    """Takes crystals through the pipeline; every share is of the ``asked`` ones."""
    reference = ReferenceSet.load("packaged")
    geometric = [c for c in crystals if check(c, PrefilterSettings(smact=False)) is None]
    valid = [c for c in geometric if check(c, PrefilterSettings()) is None]
    judged = [c for c in valid if not reference.missing_elements(c)]
    chunks = [encode_crystals(judged[k : k + CHUNK]) for k in range(0, len(judged), CHUNK)]
    start = time.perf_counter()
    outcomes = [outcome for chunk in pool.map(relax, chunks) for outcome in chunk]
    seconds = time.perf_counter() - start
    relaxed = [outcome for outcome in outcomes if outcome is not None]
    final = [decode_crystals(outcome["crystal"])[0] for outcome in relaxed]
    above = [
        reference.e_above_hull(crystal, reference.formation_energy(crystal, outcome["energy"]))
        for crystal, outcome in zip(final, relaxed, strict=True)
    ]
    flags = sun_flags(final, above, reference, StabilitySettings())
    shares = sun_shares(flags, asked)
    smact = sum(smact_valid(c.counts) for c in crystals)
    rows = [
        ("structural_validity", len(geometric) / asked, ""),
        ("smact_validity", smact / asked, ""),
        ("unique_generated", sum(unique_mask(list(crystals))) / asked, ""),
        ("reached_hull", len(final) / asked, ""),
        ("stable", shares.stable, ""),
        ("unique_relaxed", shares.unique, ""),
        ("novel", shares.novel, ""),
        ("sun", shares.sun, ""),
        ("e_above_hull_mean", float(np.mean(above)), "eV/atom"),
        ("e_above_hull_median", float(np.median(above)), "eV/atom"),
        ("displacement_mean", float(np.mean([r["rmsd"] for r in relaxed])), "Angstrom"),
        ("relaxation_steps_mean", float(np.mean([r["steps"] for r in relaxed])), "steps"),
        ("relaxation_wall", seconds / max(1, len(judged)), "s/crystal"),
    ]
    for what, value, unit in rows:
        print(f"{name:12s} {what:24s} {value:8.3f} {unit}")
    return [
        {"name": f"{name}_{what}", "value": value, "unit": unit, "baseline": None, "ratio": None}
        for what, value, unit in rows
    ]


def diffcsp_samples(n: int) -> list[Crystal]:
    """Published DiffCSP samples (Apache-2.0), the first ``n``."""
    import torch

    stored = torch.load(
        DATA / "peers" / "gen_DiffCSP_mp_20_10k.pt", map_location="cpu", weights_only=True
    )
    sizes = stored["num_atoms"].flatten().tolist()
    ends = np.cumsum(sizes)
    crystals = []
    for row in range(n):
        atoms = slice(int(ends[row] - sizes[row]), int(ends[row]))
        lattice = lattice_from_parameters(
            *stored["lengths"].view(-1, 3)[row].tolist(),
            *stored["angles"].view(-1, 3)[row].tolist(),
        )
        try:
            crystals.append(
                Crystal(
                    lattice,
                    stored["frac_coords"].view(-1, 3)[atoms].numpy(),
                    stored["atom_types"].flatten()[atoms].numpy(),
                )
            )
        except InvalidCrystal as error:
            print(f"DiffCSP sample {row} left out: {error}")
    return crystals


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=256, help="crystals to draw")
    parser.add_argument("--peers", type=int, default=150, help="published samples to judge")
    parser.add_argument("--checkpoint", default="packaged")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-record", action="store_true", help="print, but write no JSON")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        list(pool.map(sample, [(arguments.checkpoint, 1, 0)] * WORKERS))  # imports and weights
        start = time.perf_counter()
        halves = pool.map(sample, [(arguments.checkpoint, 32, seed) for seed in (1, 2)])
        drawn = sum(len(decode_crystals(half)) for half in halves)
        seconds = time.perf_counter() - start
        print(f"{drawn} crystals in {seconds:.1f} s from {WORKERS} single-threaded processes")
        figures: list[dict[str, Any]] = [
            {
                "name": "sampling_64_crystals",
                "value": seconds,
                "unit": "s",
                "baseline": 30.0,
                "ratio": seconds / 30.0,
            }
        ]
        jobs = [
            (arguments.checkpoint, min(64, arguments.n - k), arguments.seed * 1000 + k)
            for k in range(0, arguments.n, 64)
        ]
        crystals = [c for part in pool.map(sample, jobs) for c in decode_crystals(part)]
        figures += judge("ours", crystals, arguments.n, pool)
        if not DATA.is_dir():
            print(f"no shared data at {DATA}: published samples are not compared")
        elif arguments.peers:
            figures += judge("diffcsp", diffcsp_samples(arguments.peers), arguments.peers, pool)
    if not arguments.no_record:
        write_results("generator_quality", figures)


if __name__ == "__main__":
    main()
