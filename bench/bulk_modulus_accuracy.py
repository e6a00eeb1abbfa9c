"""Bulk moduli from CHGNet against DFT.

    python bench/bulk_modulus_accuracy.py DATA [N]

``DATA`` is a folder with ``labels/matcalc_mp-elasticity-2025.1.json.gz`` (Materials Project
elasticity data, CC BY 4.0). ``N`` crystals of up to four atoms are drawn with a fixed seed, relaxed
and scored as a run would; writes ``bench/results/bulk_modulus_accuracy.json``.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import torch
from pymatgen.core import Structure
from record import write_results

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Relaxed
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.potentials.relaxation import BatchRelaxer
from ray_matdesign.rewards.scorer import Bench, Specimen
from ray_matdesign.rewards.scorers.bulk_modulus import make


def main(data: Path, n: int) -> None:
    """Scores ``n`` crystals and writes the errors."""
    torch.set_num_threads(1)
    with gzip.open(data / "labels/matcalc_mp-elasticity-2025.1.json.gz") as file:
        rows = [row for row in json.load(file) if len(row["structure"]["sites"]) <= 4]
    chosen = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:n]]
    structures = [Structure.from_dict(row["structure"]) for row in chosen]
    crystals = [Crystal(s.lattice.matrix, s.frac_coords, s.atomic_numbers) for s in structures]
    potential = load_potential("chgnet")
    relaxed = BatchRelaxer(potential).relax(crystals, fmax_ev_per_ang=0.03, max_steps=200)
    pairs = [
        (Specimen(outcome.crystal, outcome.energy_ev_per_atom, 0.0, 0.0), row["bulk_modulus_vrh"])
        for outcome, row in zip(relaxed, chosen, strict=True)
        if isinstance(outcome, Relaxed)
    ]
    values = make(Bench(potential, None)).score([specimen for specimen, _ in pairs])
    scored = [
        (value, label)
        for value, (_, label) in zip(values, pairs, strict=True)
        if isinstance(value, float)
    ]
    found, labels = np.array(scored).T
    errors = found - labels
    r2 = 1.0 - float(np.square(errors).sum() / np.square(labels - labels.mean()).sum())
    figures = {
        "mean absolute error": (float(np.abs(errors).mean()), "GPa"),
        "median absolute error": (float(np.median(np.abs(errors))), "GPa"),
        "mean error": (float(errors.mean()), "GPa"),
        "R2": (r2, ""),
        "mean of the labels": (float(labels.mean()), "GPa"),
        "crystals scored": (len(scored), ""),
        "crystals failed": (n - len(scored), ""),
    }
    for name, (value, unit) in figures.items():
        print(f"{name}: {value:.3g} {unit}")
    write_results(
        "bulk_modulus_accuracy",
        [
            {"name": name, "value": value, "unit": unit, "baseline": None, "ratio": None}
            for name, (value, unit) in figures.items()
        ],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40)
