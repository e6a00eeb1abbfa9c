"""Harmonic heat capacities against measured ones and against density functional theory."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from pymatgen.core import Structure

from ray_matdesign.crystals.convert import from_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorers.heat_capacity import molar_mass
from validation import prototypes as of
from validation.frame import Row, Validation
from validation.relaxed import score_relaxed

FACTORY = "ray_matdesign.rewards.scorers.heat_capacity:make"
TEMPERATURE_K = 298.15

MEASURED: tuple[tuple[str, Crystal, int, float, float, float], ...] = (
    ("C diamond", of.diamond("C", 3.567), 2, 6.11, 3.0, 443.0),
    ("Si diamond", of.diamond("Si", 5.431), 2, 20.0, 7.8, 98.0),
    ("Ge diamond", of.diamond("Ge", 5.658), 2, 23.2, 17.7, 75.0),
    ("Al fcc", of.fcc("Al", 4.05), 1, 24.2, 69.3, 76.0),
    ("Cu fcc", of.fcc("Cu", 3.615), 1, 24.4, 49.5, 140.0),
    ("Ag fcc", of.fcc("Ag", 4.086), 1, 25.4, 56.7, 100.0),
    ("Au fcc", of.fcc("Au", 4.078), 1, 25.4, 42.6, 173.0),
    ("W bcc", of.bcc("W", 3.165), 1, 24.3, 13.5, 310.0),
    ("Mg hcp", of.hcp("Mg", 3.209, 5.211), 2, 24.9, 74.4, 35.0),
    ("LiF rocksalt", of.rocksalt("Li", "F", 4.026), 1, 41.6, 99.0, 66.0),
    ("NaF rocksalt", of.rocksalt("Na", "F", 4.633), 1, 46.9, 96.0, 46.0),
    ("NaCl rocksalt", of.rocksalt("Na", "Cl", 5.64), 1, 50.5, 119.0, 24.0),
    ("KCl rocksalt", of.rocksalt("K", "Cl", 6.292), 1, 51.3, 111.0, 17.5),
    ("KBr rocksalt", of.rocksalt("K", "Br", 6.6), 1, 52.3, 116.0, 15.0),
    ("MgO rocksalt", of.rocksalt("Mg", "O", 4.212), 1, 37.2, 31.2, 160.0),
    ("CaO rocksalt", of.rocksalt("Ca", "O", 4.811), 1, 42.0, 33.6, 112.0),
    ("TiN rocksalt", of.rocksalt("Ti", "N", 4.241), 1, 37.1, 28.0, 288.0),
    ("BeO wurtzite", of.wurtzite("Be", "O", 2.698, 4.377), 2, 25.5, 17.0, 220.0),
    ("ZnO wurtzite", of.wurtzite("Zn", "O", 3.25, 5.207), 2, 40.3, 12.0, 143.0),
    ("AlN wurtzite", of.wurtzite("Al", "N", 3.112, 4.982), 2, 30.1, 8.0, 207.0),
    ("ZnS zincblende", of.zincblende("Zn", "S", 5.409), 1, 46.0, 20.0, 77.0),
    ("SiC zincblende", of.zincblende("Si", "C", 4.36), 1, 26.9, 8.3, 225.0),
    ("GaAs zincblende", of.zincblende("Ga", "As", 5.653), 1, 46.2, 17.2, 75.0),
    ("CaF2 fluorite", of.fluorite("Ca", "F", 5.463), 1, 67.0, 57.0, 82.0),
    ("MgF2 rutile", of.rutile("Mg", "F", 4.623, 3.052, 0.303), 2, 61.6, 33.0, 101.0),
    ("TiO2 rutile", of.rutile("Ti", "O", 4.594, 2.959, 0.305), 2, 55.0, 25.0, 211.0),
    ("Al2O3 corundum", of.corundum("Al", "O", 4.759, 12.991, 0.3522, 0.3063), 2, 79.0, 16.2, 254.0),
    ("SiO2 quartz", of.alpha_quartz(), 3, 44.4, 37.0, 37.5),
)
"""Crystal, formula units in its cell, heat capacity at constant pressure and 298.15 K, J/(mol K),
expansion of the volume, 1e-6/K, and bulk modulus, GPa. The last two, good to some 10 %, only serve
to get from constant pressure to constant volume."""
SOURCE = "CRC Handbook of Chemistry and Physics, Cp at 298.15 K, less expansion^2 B V T"
LABELS = "labels/matcalc_alexandria-binary-pbe-phonon-2025.1.json.gz"
MOST_LABEL_ATOMS = 8
"""Larger cells cost minutes each."""
N_LABELS, QUICK = 80, 5


def validate(data: Path | None, *, quick: bool, pool: ProcessPoolExecutor) -> list[Validation]:
    """Scores well-known crystals and, with the shared data, labelled ones.

    Args:
        data: Folder of the shared data, or ``None``.
        quick: A handful of each only.
        pool: Of single-threaded workers.
    """
    known = MEASURED[4 : 4 + QUICK] if quick else MEASURED
    validations = [
        _validation(
            "well-known crystals",
            [row[0] for row in known],
            [row[1] for row in known],
            [constant_volume(*row[1:]) for row in known],
            SOURCE,
            pool,
        )
    ]
    if data is not None:
        names, crystals, labels = labelled(data, QUICK if quick else N_LABELS)
        source = "Alexandria PBE phonons at 300 K (matcalc 2025.1)"
        validations.append(_validation("PBE phonons", names, crystals, labels, source, pool))
    return validations


def constant_volume(
    crystal: Crystal, units: int, pressure_value: float, expansion: float, modulus_gpa: float
) -> float:
    """``Cv = Cp - expansion^2 B V T``, J/(g K), from the columns of :data:`MEASURED`."""
    molar_volume = crystal.volume * 0.602214076e-6 / units  # m3/mol
    excess = (expansion * 1e-6) ** 2 * modulus_gpa * 1e9 * molar_volume * TEMPERATURE_K
    return (pressure_value - excess) * units / molar_mass(crystal)


def labelled(data: Path, n: int) -> tuple[list[str], list[Crystal], list[float]]:
    """Names, crystals and heat capacities, J/(g K), of ``n`` small cells drawn with a fixed seed.

    The labels are J/(K mol) of the cells as given.
    """
    with gzip.open(data / LABELS) as file:
        rows = [
            row for row in json.load(file) if len(row["structure"]["sites"]) <= MOST_LABEL_ATOMS
        ]
    chosen = [rows[k] for k in np.random.default_rng(0).permutation(len(rows))[:n]]
    crystals = [from_pymatgen(Structure.from_dict(row["structure"])) for row in chosen]
    names = [f"{row['formula']} {row['mp_id']}" for row in chosen]
    values = [
        row["heat_capacity"] / molar_mass(crystal)
        for row, crystal in zip(chosen, crystals, strict=True)
    ]
    return names, crystals, values


def _validation(
    against: str,
    names: Sequence[str],
    crystals: Sequence[Crystal],
    published: Sequence[float],
    source: str,
    pool: ProcessPoolExecutor,
) -> Validation:
    rows = [
        Row(name, value, source, None, found.reason)
        if isinstance(found, Failed)
        else Row(name, value, source, found)
        for name, value, found in zip(
            names, published, score_relaxed(FACTORY, crystals, pool), strict=True
        )
    ]
    return Validation("heat_capacity", against, "J/g/K", tuple(rows))
