"""Every crystal of a small space of superhard candidates, scored: what a search is held against.

Diamond, zinc blende and rock salt with twenty elements: 400 crystals, as the two sites of the
binary types are alike. Each is relaxed and placed against the packaged hull, and its hardness is
computed, by the embedded potential. Rows go to ``results/superhard_space.jsonl`` as they are found;
run again, the script goes on where it was stopped:

    python bench/superhard_space.py
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ray_matdesign.config.schema import StabilitySettings
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.crystals.prototypes import Prototype, prototypes
from ray_matdesign.crystals.symmetry import space_group
from ray_matdesign.potentials.protocol import Failed, Relaxed
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.potentials.relaxation import BatchRelaxer
from ray_matdesign.rewards.scorer import Bench, Specimen
from ray_matdesign.rewards.scorers import elasticity
from ray_matdesign.stability.reference import ReferenceSet

TABLE = Path(__file__).resolve().parent / "results" / "superhard_space.jsonl"
TYPES = ("diamond", "zinc_blende", "rock_salt")
ELEMENTS = (
    *("Be", "B", "C", "N", "O", "Mg", "Al", "Si", "P", "S"),
    *("Sc", "Ti", "V", "Cr", "Zr", "Nb", "Mo", "Hf", "Ta", "W"),
)
BATCH = 8
SYMPREC_ANG = 0.05

Decoration = tuple[Prototype, tuple[int, ...]]
"""A structure type and the elements on its sites."""
Key = tuple[str, frozenset[int]]
"""Structure type and elements, which tell crystals of the space apart."""


def space() -> list[Decoration]:
    """Each crystal of the space as a structure type and the elements on its sites."""
    numbers = sorted(ATOMIC_NUMBERS[symbol] for symbol in ELEMENTS)
    by_name = {prototype.name: prototype for prototype in prototypes()}
    return [
        (by_name[name], elements)
        for name in TYPES
        for elements in itertools.combinations(numbers, len(by_name[name].stoichiometry))
    ]


def read_table() -> dict[Key, dict[str, Any]]:
    """Rows of the table by crystal; those found so far."""
    if not TABLE.exists():
        return {}
    rows = [json.loads(line) for line in TABLE.read_text().splitlines()]
    return {
        (row["type"], frozenset(ATOMIC_NUMBERS[s] for s in row["elements"])): row for row in rows
    }


def score(bench: Bench, batch: Sequence[Decoration]) -> list[dict[str, Any]]:
    """Relaxes crystals and computes their hardness; a failure is a row with its reason."""
    start = time.perf_counter()
    outcomes = BatchRelaxer(bench.potential).relax(
        [prototype.filled(elements) for prototype, elements in batch],
        fmax_ev_per_ang=0.05,
        max_steps=300,
    )
    specimens = [_specimen(bench, o) for o in outcomes if not isinstance(o, Failed)]
    hardness = iter(elasticity.vickers_hardness(bench).score(specimens))
    at_rest = iter(specimens)
    rows = []
    for (prototype, elements), outcome in zip(batch, outcomes, strict=True):
        row: dict[str, Any] = {"type": prototype.name, "elements": [SYMBOLS[z] for z in elements]}
        found = outcome if isinstance(outcome, Failed) else next(hardness)
        if not isinstance(outcome, Failed):
            found_group = space_group(outcome.crystal, SYMPREC_ANG)
            row["space_group"] = found_group[1] if found_group else None
            row["e_above_hull_ev_per_atom"] = round(next(at_rest).e_above_hull_ev_per_atom, 4)
        if isinstance(found, Failed):
            row["failed"] = found.reason
        else:
            row["hardness_gpa"] = round(found, 4)
        rows.append(row)
    seconds = (time.perf_counter() - start) / len(batch)
    return [{**row, "seconds": round(seconds, 3)} for row in rows]


def _specimen(bench: Bench, found: Relaxed) -> Specimen:
    reference, energy = bench.reference, found.energy_ev_per_atom
    formation = reference.formation_energy(found.crystal, energy, bench.potential.energy_scale)
    above = reference.e_above_hull(found.crystal, formation)
    return Specimen(found.crystal, energy, formation, above)


def main() -> None:
    """Scores what the table lacks."""
    torch.set_num_threads(1)
    known = read_table()
    left = [(p, e) for p, e in space() if (p.name, frozenset(e)) not in known]
    bench = Bench(load_potential("chgnet"), ReferenceSet.load("packaged", StabilitySettings()))
    TABLE.parent.mkdir(exist_ok=True)
    for start in range(0, len(left), BATCH):
        rows = score(bench, left[start : start + BATCH])
        with TABLE.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())
        print(f"{len(known) + start + len(rows)} of {len(space())}", flush=True)


if __name__ == "__main__":
    main()
