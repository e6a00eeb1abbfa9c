"""Synthesizability votes on compounds everybody knows, and on formulas of no compound.

The known ones are all among the formulas that were held back. The others break valence rules; such
formulas that keep them are in ``bench/predictor_peers.py``.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from pymatgen.core import Composition

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, Specimen
from ray_matdesign.rewards.scorers.synthesizability import make
from validation.frame import Row, Validation

KNOWN = (
    *("MgO", "CeO2", "V2O5", "Bi2O3", "SrTiO3", "PbTiO3", "LiNbO3", "GaN", "Cr3C2", "VN", "NbN"),
    *("Ca3N2", "ZnSe", "ZnTe", "CdTe", "Sb2S3", "MoSe2", "TaS2", "NbSe2", "CoS2", "Cu2S", "Ag2S"),
    *("MgF2", "TlBr", "CdI2", "Cs2AgBiBr6", "NiTi", "FePt", "LaB6", "YBa2Cu3O7", "NaH"),
)
UNKNOWN = (
    *("NaCl2", "K2F", "Li3F", "MgF4", "Mg3F", "CaF4", "CaCl3", "BaF5", "SrI4", "AlF2", "AlO3"),
    *("AlCl5", "SiF3", "SiCl6", "ZnCl4", "ZnF3", "Zn3O", "GaF6", "InP5", "YO3", "LaF5", "LaO3"),
    *("ZrCl6", "HfO3", "TiF5", "ScTe7", "AgF5", "AgO4", "BeO3", "LiBr2", "KMgF7", "CaTiO7"),
    *("SrTi5O2", "LaMgO7", "KZnCl6", "MgGaF9", "Ba3MgCl2"),
)
QUICK = 5


def validate(data: Path | None, *, quick: bool, pool: ProcessPoolExecutor) -> list[Validation]:
    """Scores the formulas.

    Args:
        data: Not used: the formulas are all in this file.
        quick: A handful of them only.
        pool: Not used: it takes milliseconds.
    """
    known, unknown = (KNOWN[:QUICK], UNKNOWN[:QUICK]) if quick else (KNOWN, UNKNOWN)
    published = [1.0] * len(known) + [0.0] * len(unknown)
    sources = ["textbook compound, held back"] * len(known) + ["no such compound"] * len(unknown)
    formulas = [*known, *unknown]
    scorer = make(Bench(None, None))  # type: ignore[arg-type]
    values = scorer.score([Specimen(_crystal(f), 0.0, 0.0, 0.0) for f in formulas])
    rows = [
        Row(formula, value, source, None, ours.reason)
        if isinstance(ours, Failed)
        else Row(formula, value, source, ours)
        for formula, value, source, ours in zip(formulas, published, sources, values, strict=True)
    ]
    against = "1 for known compounds, 0 for others"
    return [Validation("synthesizability", against, "", tuple(rows))]


def _crystal(formula: str) -> Crystal:
    """A cell with the right contents; the scorer reads nothing else."""
    amounts = Composition(formula).items()
    numbers = [element.Z for element, amount in amounts for _ in range(round(amount))]
    places = np.linspace(0.0, 1.0, len(numbers), endpoint=False)[:, None] * np.ones(3)
    return Crystal(10.0 * np.eye(3), places, numbers)
