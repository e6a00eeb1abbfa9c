"""Band gaps by GPAW on relaxed crystals, against the Materials Project's by VASP.

Both are PBE, so the error tells how far potentials, k-points and the potential's cells lead apart.
Each crystal takes minutes of one core; those computed before are read back.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ray_matdesign.potentials.protocol import Failed
from validation.band_gap import GAPS
from validation.frame import Row, Validation
from validation.relaxed import score_relaxed

FACTORY = "ray_matdesign.rewards.scorers.dft:make_band_gap"
QUICK = ("SiC zincblende", "MgO rocksalt", "NaCl rocksalt")
CRYSTALS = tuple(row for row in GAPS if row[4] is not None)
"""Those with a gap on record at the Materials Project."""


def validate(data: Path | None, *, quick: bool, pool: ProcessPoolExecutor) -> list[Validation]:
    """Computes the gaps of well-known crystals.

    Args:
        data: Not used.
        quick: A handful of crystals only.
        pool: Of single-threaded workers.
    """
    chosen = [row for row in CRYSTALS if not quick or row[0] in QUICK]
    values = score_relaxed(FACTORY, [row[1] for row in chosen], pool, code="gpaw")
    rows = [
        Row(f"{name}, {number}", gap or 0.0, f"Materials Project, {number}", *_outcome(value))
        for (name, _, _, _, gap, number), value in zip(chosen, values, strict=True)
    ]
    return [Validation("dft_band_gap", "PBE gaps of well-known crystals", "eV", tuple(rows))]


def _outcome(value: float | Failed) -> tuple[float | None, str]:
    return (None, value.reason) if isinstance(value, Failed) else (value, "")
