"""Predicted band gaps against measured ones, and against the PBE gaps they are to reproduce.

Measured gaps are larger than PBE's: against them the rank correlation tells, the error does not.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.dataset import split_by_composition
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.predictors.train_band_gap import (
    HELD_BACK,
    SPLIT_SEED,
    labelled_crystals,
)
from validation import prototypes as of
from validation.frame import Row, Validation
from validation.relaxed import score_relaxed

FACTORY = "ray_matdesign.rewards.scorers.band_gap:make"
MADELUNG = "Madelung, Semiconductors: Data Handbook, 3rd ed. (2004)"
TRAN = "low temperature, as in Tran and Blaha, Phys. Rev. Lett. 102, 226401 (2009)"
STREHLOW = "Strehlow and Cook, J. Phys. Chem. Ref. Data 2, 163 (1973)"
METAL = "a metal"

GAPS: tuple[tuple[str, Crystal, float, str, float | None, str], ...] = (
    ("C diamond", of.diamond("C", 3.567), 5.48, TRAN, None, ""),
    ("Si diamond", of.diamond("Si", 5.431), 1.17, TRAN, None, ""),
    ("Ge diamond", of.diamond("Ge", 5.658), 0.74, TRAN, None, ""),
    ("SiC zincblende", of.zincblende("Si", "C", 4.36), 2.40, TRAN, 1.5936, "mp-8062"),
    ("BN zincblende", of.zincblende("B", "N", 3.616), 6.25, TRAN, None, ""),
    ("AlN wurtzite", of.wurtzite("Al", "N", 3.112, 4.982), 6.28, TRAN, None, ""),
    ("GaN wurtzite", of.wurtzite("Ga", "N", 3.189, 5.186), 3.4, MADELUNG, 1.7376, "mp-804"),
    ("InN wurtzite", of.wurtzite("In", "N", 3.538, 5.703), 0.7, MADELUNG, 0.4777, "mp-22205"),
    ("AlP zincblende", of.zincblende("Al", "P", 5.464), 2.45, TRAN, None, ""),
    ("AlAs zincblende", of.zincblende("Al", "As", 5.661), 2.15, MADELUNG, 1.6871, "mp-2172"),
    ("AlSb zincblende", of.zincblende("Al", "Sb", 6.136), 1.62, MADELUNG, 1.2605, "mp-2624"),
    ("GaP zincblende", of.zincblende("Ga", "P", 5.451), 2.27, MADELUNG, None, ""),
    ("GaAs zincblende", of.zincblende("Ga", "As", 5.653), 1.52, TRAN, None, ""),
    ("GaSb zincblende", of.zincblende("Ga", "Sb", 6.096), 0.73, MADELUNG, None, ""),
    ("InP zincblende", of.zincblende("In", "P", 5.869), 1.34, MADELUNG, 0.4664, "mp-20351"),
    ("InSb zincblende", of.zincblende("In", "Sb", 6.479), 0.18, MADELUNG, None, ""),
    ("ZnO wurtzite", of.wurtzite("Zn", "O", 3.25, 5.207), 3.44, TRAN, 0.7316, "mp-2133"),
    ("ZnS zincblende", of.zincblende("Zn", "S", 5.409), 3.91, TRAN, None, ""),
    ("ZnSe zincblende", of.zincblende("Zn", "Se", 5.669), 2.7, MADELUNG, 1.6143, "mp-1190"),
    ("ZnTe zincblende", of.zincblende("Zn", "Te", 6.103), 2.28, MADELUNG, 1.0782, "mp-2176"),
    ("CdS wurtzite", of.wurtzite("Cd", "S", 4.136, 6.714), 2.5, MADELUNG, 1.1162, "mp-672"),
    ("CdSe wurtzite", of.wurtzite("Cd", "Se", 4.3, 7.011), 1.75, MADELUNG, 0.5589, "mp-1070"),
    ("CdTe zincblende", of.zincblende("Cd", "Te", 6.482), 1.49, MADELUNG, None, ""),
    ("MgO rocksalt", of.rocksalt("Mg", "O", 4.212), 7.83, TRAN, 4.638, "mp-1265"),
    ("CaO rocksalt", of.rocksalt("Ca", "O", 4.811), 7.0, STREHLOW, None, ""),
    ("LiF rocksalt", of.rocksalt("Li", "F", 4.026), 14.2, TRAN, None, ""),
    ("LiCl rocksalt", of.rocksalt("Li", "Cl", 5.14), 9.4, TRAN, 6.3951, "mp-22905"),
    ("NaCl rocksalt", of.rocksalt("Na", "Cl", 5.64), 8.6, STREHLOW, 5.1451, "mp-22862"),
    ("KCl rocksalt", of.rocksalt("K", "Cl", 6.292), 8.5, STREHLOW, 5.0448, "mp-23193"),
    ("AgCl rocksalt", of.rocksalt("Ag", "Cl", 5.55), 3.25, MADELUNG, 1.2003, "mp-22922"),
    ("PbS rocksalt", of.rocksalt("Pb", "S", 5.936), 0.41, MADELUNG, None, ""),
    ("CaF2 fluorite", of.fluorite("Ca", "F", 5.463), 12.1, STREHLOW, None, ""),
    ("TiO2 rutile", of.rutile("Ti", "O", 4.594, 2.959), 3.0, MADELUNG, None, ""),
    ("SnO2 rutile", of.rutile("Sn", "O", 4.737, 3.186, 0.306), 3.6, MADELUNG, None, ""),
    (
        "Al2O3 corundum",
        of.corundum("Al", "O", 4.759, 12.991, 0.3522, 0.3063),
        8.8,
        STREHLOW,
        6.0436,
        "mp-1143",
    ),
    ("SiO2 quartz", of.alpha_quartz(), 9.0, STREHLOW, None, ""),
    ("Cu2O cuprite", of.cuprite(), 2.17, MADELUNG, 0.5127, "mp-361, held back"),
    ("SrTiO3 perovskite", of.perovskite("Sr", "Ti", "O", 3.905), 3.25, MADELUNG, None, ""),
    ("Al fcc", of.fcc("Al", 4.05), 0.0, METAL, None, ""),
    ("Cu fcc", of.fcc("Cu", 3.615), 0.0, METAL, None, ""),
    ("Fe bcc", of.bcc("Fe", 2.8665), 0.0, METAL, None, ""),
    ("Mg hcp", of.hcp("Mg", 3.209, 5.211), 0.0, METAL, None, ""),
    ("TiN rocksalt", of.rocksalt("Ti", "N", 4.24), 0.0, METAL, None, ""),
    ("NiAl", of.caesium_chloride("Ni", "Al", 2.887), 0.0, METAL, 0.0, "mp-1487"),
)
"""Crystal; measured gap, eV, and its source; the Materials Project's PBE gap and its number, where
the crystal is in the shared data (and, unless held back, was trained on)."""
QUICK = 5
N_LABELS = 200


def validate(data: Path | None, *, quick: bool, pool: ProcessPoolExecutor) -> list[Validation]:
    """Scores well-known crystals, and crystals with PBE gaps whose formulas were held back.

    Args:
        data: Folder with ``crystals_le20.csv.gz``; ``None`` leaves the held-back crystals out.
        quick: A handful of crystals only.
        pool: Of single-threaded workers.
    """
    chosen = GAPS[:QUICK] if quick else GAPS
    values = score_relaxed(FACTORY, [row[1] for row in chosen], pool)
    measured = [
        _row(name, gap, source, value)
        for (name, _, gap, source, _, _), value in zip(chosen, values, strict=True)
    ]
    calculated = [
        _row(name, pbe, f"Materials Project, {number}", value)
        for (name, _, _, _, pbe, number), value in zip(chosen, values, strict=True)
        if pbe is not None
    ]
    found = [
        Validation("band_gap", "well-known crystals, measured", "eV", tuple(measured)),
        Validation("band_gap", "well-known crystals, PBE", "eV", tuple(calculated)),
    ]
    if data is not None:
        names, crystals, gaps = _held_back(data, QUICK if quick else N_LABELS)
        rows = [
            _row(name, gap, "PBE or PBE+U, shared data", value)
            for name, gap, value in zip(
                names, gaps, score_relaxed(FACTORY, crystals, pool), strict=True
            )
        ]
        open_ = [row for row in rows if row.published > 0.0]
        found += [
            Validation("band_gap", "labels held back, PBE", "eV", tuple(rows)),
            Validation("band_gap", "labels held back, PBE, non-metals", "eV", tuple(open_)),
        ]
    return found


def _held_back(data: Path, n: int) -> tuple[list[str], list[Crystal], list[float]]:
    labelled = labelled_crystals(data / "crystals_le20.csv.gz")
    _, tested = split_by_composition(
        labelled.crystals, validation_fraction=HELD_BACK, seed=SPLIT_SEED
    )
    drawn = labelled.subset(np.random.default_rng(0).permutation(tested)[:n])
    names = [f"{c.formula} {name}" for name, c in zip(drawn.names, drawn.crystals, strict=True)]
    return names, list(drawn.crystals), drawn.labels["band_gap"].tolist()


def _row(name: str, published: float, source: str, value: float | Failed) -> Row:
    if isinstance(value, Failed):
        return Row(name, published, source, None, value.reason)
    return Row(name, published, source, value)
