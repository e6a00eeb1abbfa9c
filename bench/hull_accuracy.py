"""How right the packaged hull is, against the labels of the shared data.

Two figures, neither clipped at zero: the energy above hull of labelled formation energies (what is
wrong with the hull), and of formation energies by CHGNet at the labelled geometry (hull and
potential together), and the same by SevenNet.

    python bench/hull_accuracy.py --chgnet 300 --sevennet 100
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from record import write_results

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.dataset import load_dataset
from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.stability.reference import ReferenceSet

DATA = Path(
    os.environ.get("RAY_MATDESIGN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
COLUMNS = ("formation_energy_per_atom", "e_above_hull")
SCRUTINISED = ("O", "H", "N", "S", "Se", "Te", "Sb", "Cl", "Br", "I", "Nb", "Fe")
Floats = NDArray[np.float64]


def labelled(reference: ReferenceSet) -> tuple[list[Crystal], Floats, Floats]:
    """Crystals of covered elements with both labels, eV/atom."""
    dataset = load_dataset(DATA / "crystals_le20.csv.gz", COLUMNS)
    formation, above = (dataset.labels[column] for column in COLUMNS)
    keep = [
        i
        for i, crystal in enumerate(dataset.crystals)
        if np.isfinite(formation[i] + above[i]) and not reference.missing_elements(crystal)
    ]
    return [dataset.crystals[i] for i in keep], formation[keep], above[keep]


def above_hull(reference: ReferenceSet, crystals: list[Crystal], formation: Floats) -> Floats:
    """Energy above the packaged hull, eV/atom."""
    return np.array(
        [reference.e_above_hull(c, float(e)) for c, e in zip(crystals, formation, strict=True)]
    )


def errors_of(
    name: str, reference: ReferenceSet, crystals: list[Crystal], formation: Floats, above: Floats
) -> tuple[Floats, Floats]:
    """Errors of a potential's formation energies and energies above hull, eV/atom."""
    from ray_matdesign.potentials.registry import load_potential

    in_formation, in_hull = [], []
    potential = load_potential(name)
    points = potential.evaluate(crystals)
    for crystal, point, label, hull_label in zip(crystals, points, formation, above, strict=True):
        if isinstance(point, Failed):
            raise RuntimeError(f"{crystal.formula}: {point.reason}")
        ours = reference.formation_energy(crystal, point.energy_ev_per_atom, potential.energy_scale)
        in_formation.append(ours - label)
        in_hull.append(reference.e_above_hull(crystal, ours) - hull_label)
    return np.array(in_formation), np.array(in_hull)


def figures(name: str, errors: Floats) -> list[dict[str, object]]:
    """Mean absolute error, bias and tails of a set of errors in eV/atom, in meV/atom."""
    values = {
        "mean absolute error": (1000 * np.abs(errors).mean(), "meV/atom"),
        "median absolute error": (1000 * np.median(np.abs(errors)), "meV/atom"),
        "bias": (1000 * errors.mean(), "meV/atom"),
        "more than 50 meV/atom too low": (100 * (errors < -0.05).mean(), "%"),
        "more than 50 meV/atom too high": (100 * (errors > 0.05).mean(), "%"),
        "crystals": (len(errors), ""),
    }
    return [
        {
            "name": f"{name}: {key}",
            "value": round(float(value), 3),
            "unit": unit,
            "baseline": None,
            "ratio": None,
        }
        for key, (value, unit) in values.items()
    ]


def main() -> None:
    """Measures and records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chgnet", type=int, default=300, help="crystals to judge with CHGNet")
    parser.add_argument("--sevennet", type=int, default=100, help="with SevenNet, slower; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    reference = ReferenceSet.load("packaged")
    crystals, formation, above = labelled(reference)
    errors = above_hull(reference, crystals, formation) - above
    results = figures("E_hull of labelled formation energies", errors)
    for symbol in SCRUTINISED:
        members = [symbol in {SYMBOLS[z] for z in crystal.elements} for crystal in crystals]
        results += figures(f"the same, crystals with {symbol}", errors[members])[:3:2]
    order = np.random.default_rng(arguments.seed).permutation(len(crystals))
    for title, name, most in (
        ("CHGNet", "chgnet", arguments.chgnet),
        ("SevenNet", "sevennet", arguments.sevennet),
    ):
        chosen = order[:most]
        if len(chosen):
            subset = [crystals[i] for i in chosen]
            found = errors_of(name, reference, subset, formation[chosen], above[chosen])
            results += figures(f"formation energy by {title}", found[0])
            results += figures(f"E_hull by {title}", found[1])
    for result in results:
        print(f"{result['value']:>10} {result['unit']:<9} {result['name']}")
    write_results("hull_accuracy", results)


if __name__ == "__main__":
    main()
