"""Elastic moduli against single crystals measured by sound, and against DFT.

The measured values are Hill averages of published single-crystal constants at room temperature, so
nothing about grains or pores enters. Calculated moduli are those of the crystal at rest without
vibrations, by themselves a few per cent stiffer.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
from pymatgen.core import Lattice, Structure

from ray_matdesign.config.schema import RelaxationSettings
from ray_matdesign.crystals.convert import from_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.elasticity import ElasticTensor
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.rewards.scorer import Bench, Scorer, Specimen
from ray_matdesign.rewards.scorers import elasticity
from ray_matdesign.rl.workers import relaxer_for
from validation import prototypes as of
from validation.frame import Row, Validation

UNITS = {"bulk_modulus": "GPa", "shear_modulus": "GPa", "youngs_modulus": "GPa", "pugh_ratio": ""}
CHUNK = 8
RELAXATION = RelaxationSettings(deadline_s=3600.0)
LABELS = "labels/matcalc_mp-elasticity-2025.1.json.gz"
MOST_ATOMS = 12
N_LABELS = 140
QUICK = 5

KITTEL = "Kittel, Introduction to Solid State Physics, 8th ed., table 3.11"
SIMMONS = "Simmons and Wang, Single Crystal Elastic Constants (1971)"


def cubic(c11: float, c12: float, c44: float) -> ElasticTensor:
    """From the three constants, GPa."""
    return hexagonal(c11, c12, c12, c11, c44, c66=c44)


def hexagonal(
    c11: float,
    c12: float,
    c13: float,
    c33: float,
    c44: float,
    *,
    c14: float = 0.0,
    c66: float | None = None,
) -> ElasticTensor:
    """From five constants, GPa; with ``c14`` of a trigonal crystal, with ``c66`` a tetragonal."""
    stiffness = np.diag([c11, c11, c33, c44, c44, 0.5 * (c11 - c12) if c66 is None else c66])
    stiffness[0, 1] = c12
    stiffness[0, 2] = stiffness[1, 2] = c13
    stiffness[0, 3], stiffness[1, 3], stiffness[4, 5] = c14, -c14, c14
    return ElasticTensor(stiffness + np.triu(stiffness, 1).T)


WC = Crystal(
    Lattice.hexagonal(2.906, 2.837).matrix, [[0.0, 0.0, 0.0], [1 / 3, 2 / 3, 0.5]], [74, 6]
)
MEASURED: tuple[tuple[str, Crystal, ElasticTensor, str], ...] = (
    (
        "C diamond",
        of.diamond("C", 3.567),
        cubic(1079, 124, 578),
        "McSkimin and Andreatch, J. Appl. Phys. 43, 2944 (1972)",
    ),
    (
        "MgO rocksalt",
        of.rocksalt("Mg", "O", 4.212),
        cubic(297.9, 95.8, 154.4),
        "Sinogeikin and Bass, Phys. Earth Planet. Inter. 120, 43 (2000)",
    ),
    ("Cu fcc", of.fcc("Cu", 3.615), cubic(168.4, 121.4, 75.4), KITTEL),
    (
        "NaCl rocksalt",
        of.rocksalt("Na", "Cl", 5.640),
        cubic(49.5, 12.9, 12.9),
        "Lewis et al., Phys. Rev. 161, 877 (1967)",
    ),
    (
        "Al2O3 corundum",
        of.corundum("Al", "O", 4.759, 12.991, 0.352, 0.306),
        hexagonal(497.3, 162.8, 116.0, 500.9, 146.8, c14=-21.9),
        "Goto et al., J. Geophys. Res. 94, 7588 (1989)",
    ),
    (
        "BN zincblende",
        of.zincblende("B", "N", 3.615),
        cubic(820, 190, 480),
        "Grimsditch et al., J. Appl. Phys. 76, 832 (1994)",
    ),
    (
        "SiC zincblende",
        of.zincblende("Si", "C", 4.360),
        cubic(390, 142, 256),
        "Feldman et al., Phys. Rev. 173, 787 (1968)",
    ),
    (
        "Si diamond",
        of.diamond("Si", 5.431),
        cubic(165.7, 63.9, 79.6),
        "McSkimin and Andreatch, J. Appl. Phys. 35, 2161 (1964)",
    ),
    (
        "Ge diamond",
        of.diamond("Ge", 5.658),
        cubic(128.5, 48.3, 66.8),
        "McSkimin and Andreatch, J. Appl. Phys. 34, 651 (1963)",
    ),
    (
        "GaAs zincblende",
        of.zincblende("Ga", "As", 5.653),
        cubic(118.8, 53.8, 59.4),
        "McSkimin et al., J. Appl. Phys. 38, 2362 (1967)",
    ),
    (
        "TiN rocksalt",
        of.rocksalt("Ti", "N", 4.240),
        cubic(625, 165, 163),
        "Kim et al., J. Appl. Phys. 72, 1805 (1992)",
    ),
    (
        "TiC rocksalt",
        of.rocksalt("Ti", "C", 4.328),
        cubic(513, 106, 178),
        "Chang and Graham, J. Appl. Phys. 37, 3778 (1966)",
    ),
    (
        "WC hexagonal",
        WC,
        hexagonal(720, 254, 267, 972, 328),
        "Lee and Gilmore, J. Mater. Sci. 17, 2657 (1982)",
    ),
    ("LiF rocksalt", of.rocksalt("Li", "F", 4.027), cubic(114.0, 47.7, 63.6), SIMMONS),
    ("KCl rocksalt", of.rocksalt("K", "Cl", 6.292), cubic(40.7, 7.1, 6.3), SIMMONS),
    (
        "SrTiO3 perovskite",
        of.perovskite("Sr", "Ti", "O", 3.905),
        cubic(317.6, 102.5, 123.5),
        "Bell and Rupprecht, Phys. Rev. 129, 90 (1963)",
    ),
    (
        "TiO2 rutile",
        of.rutile("Ti", "O", 4.594, 2.959),
        hexagonal(268, 175, 147, 484, 124, c66=190),
        "Isaak et al., Phys. Chem. Miner. 26, 31 (1998)",
    ),
    (
        "SiO2 alpha-quartz",
        of.alpha_quartz(),
        hexagonal(86.8, 7.0, 11.9, 105.8, 58.2, c14=-18.0),
        "McSkimin et al., J. Appl. Phys. 36, 1624 (1965)",
    ),
    (
        "ZnO wurtzite",
        of.wurtzite("Zn", "O", 3.250, 5.207),
        hexagonal(209.7, 121.1, 105.1, 210.9, 42.5),
        "Bateman, J. Appl. Phys. 33, 3309 (1962)",
    ),
    (
        "GaN wurtzite",
        of.wurtzite("Ga", "N", 3.189, 5.185),
        hexagonal(390, 145, 106, 398, 105),
        "Polian et al., J. Appl. Phys. 79, 3343 (1996)",
    ),
    (
        "AlN wurtzite",
        of.wurtzite("Al", "N", 3.112, 4.982),
        hexagonal(411, 149, 99, 389, 125),
        "McNeil et al., J. Am. Ceram. Soc. 76, 1132 (1993)",
    ),
    ("Al fcc", of.fcc("Al", 4.050), cubic(106.8, 60.7, 28.2), KITTEL),
    ("Ag fcc", of.fcc("Ag", 4.086), cubic(124.0, 93.7, 46.1), KITTEL),
    ("Au fcc", of.fcc("Au", 4.078), cubic(192.3, 163.1, 42.0), KITTEL),
    ("Pd fcc", of.fcc("Pd", 3.891), cubic(227.1, 176.0, 71.7), KITTEL),
    ("Ni fcc", of.fcc("Ni", 3.524), cubic(250.8, 150.0, 123.5), KITTEL),
    ("W bcc", of.bcc("W", 3.165), cubic(523.3, 204.5, 160.7), KITTEL),
    ("Ta bcc", of.bcc("Ta", 3.301), cubic(260.9, 157.4, 81.8), KITTEL),
    ("Fe bcc", of.bcc("Fe", 2.866), cubic(230, 135, 117), SIMMONS),
    (
        "Mo bcc",
        of.bcc("Mo", 3.147),
        cubic(463.7, 157.8, 109.2),
        "Dickinson and Armstrong, J. Appl. Phys. 38, 602 (1967)",
    ),
    (
        "Ti hcp",
        of.hcp("Ti", 2.951, 4.684),
        hexagonal(162.4, 92.0, 69.0, 180.7, 46.7),
        "Fisher and Renken, Phys. Rev. 135, A482 (1964)",
    ),
    (
        "Mg hcp",
        of.hcp("Mg", 3.209, 5.211),
        hexagonal(59.7, 26.2, 21.7, 61.7, 16.4),
        "Slutsky and Garland, Phys. Rev. 107, 972 (1957)",
    ),
    (
        "Be hcp",
        of.hcp("Be", 2.286, 3.584),
        hexagonal(292.3, 26.7, 14.0, 336.4, 162.5),
        "Smith and Arbogast, J. Appl. Phys. 31, 99 (1960)",
    ),
)
"""Name, crystal, measured stiffness and its source."""


def validate(data: Path | None, *, quick: bool, pool: ProcessPoolExecutor) -> list[Validation]:
    """Scores well-known crystals, and labelled ones where the data are at hand.

    Args:
        data: Folder of the shared data, or ``None``.
        quick: A handful of crystals.
        pool: Of single-threaded workers.
    """
    known = MEASURED[:QUICK] if quick else MEASURED
    ours = scored([crystal for _, crystal, _, _ in known], pool)
    names = [name for name, _, _, _ in known]
    sources = [source for _, _, _, source in known]
    published = {
        "bulk_modulus": [tensor.bulk_modulus_gpa for _, _, tensor, _ in known],
        "shear_modulus": [tensor.shear_modulus_gpa for _, _, tensor, _ in known],
    }
    found = validations("measured, well-known crystals", names, sources, published, ours)
    if data is not None:
        found += against_labels(data, QUICK if quick else N_LABELS, pool)
    return found


def against_labels(data: Path, n: int, pool: ProcessPoolExecutor) -> list[Validation]:
    """Scores crystals of the Materials Project's elasticity data, drawn with a fixed seed.

    The strain's size was chosen on the last 40 of the same permutation, so not on these.
    """
    with gzip.open(data / LABELS) as file:
        rows = [row for row in json.load(file) if len(row["structure"]["sites"]) <= MOST_ATOMS]
    chosen = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:n]]
    crystals = [from_pymatgen(Structure.from_dict(row["structure"])) for row in chosen]
    published = {
        "bulk_modulus": [row["bulk_modulus_vrh"] for row in chosen],
        "shear_modulus": [row["shear_modulus_vrh"] for row in chosen],
    }
    names = [f"{row['formula']} mp-{row['mp_id']}" for row in chosen]
    sources = ["Materials Project, PBE"] * len(chosen)
    against = f"DFT, up to {MOST_ATOMS} atoms"
    return validations(against, names, sources, published, scored(crystals, pool))


def validations(
    against: str,
    names: Sequence[str],
    sources: Sequence[str],
    published: dict[str, list[float]],
    ours: Sequence[dict[str, float] | str],
) -> list[Validation]:
    """One for each scorer; Young's modulus and Pugh's ratio follow from the published K and G."""
    bulk, shear = np.array(published["bulk_modulus"]), np.array(published["shear_modulus"])
    values = published | {
        "youngs_modulus": (9.0 * bulk * shear / (3.0 * bulk + shear)).tolist(),
        "pugh_ratio": (bulk / shear).tolist(),
    }
    return [
        Validation(
            scorer,
            against,
            unit,
            tuple(
                Row(name, value, source, None, result)
                if isinstance(result, str)
                else Row(name, value, source, result[scorer])
                for name, value, source, result in zip(
                    names, values[scorer], sources, ours, strict=True
                )
            ),
        )
        for scorer, unit in UNITS.items()
    ]


def scored(crystals: Sequence[Crystal], pool: ProcessPoolExecutor) -> list[dict[str, float] | str]:
    """Every scorer's value of every crystal after relaxation, or why there is none."""
    chunks = [list(crystals[start : start + CHUNK]) for start in range(0, len(crystals), CHUNK)]
    return list(chain.from_iterable(pool.map(score_chunk, chunks)))


@cache
def scorers() -> list[Scorer]:
    """All four on one potential."""
    bench = Bench(load_potential("chgnet"), None)  # type: ignore[arg-type]
    return [getattr(elasticity, name)(bench) for name in UNITS]


def score_chunk(crystals: Sequence[Crystal]) -> list[dict[str, float] | str]:
    """Relaxes and scores in a worker process."""
    potential = load_potential("chgnet")
    relaxed = relaxer_for(potential, RELAXATION).relax(
        crystals, fmax_ev_per_ang=RELAXATION.fmax_ev_per_ang, max_steps=RELAXATION.max_steps
    )
    specimens = [
        Specimen(outcome.crystal, outcome.energy_ev_per_atom, 0.0, 0.0)
        for outcome in relaxed
        if not isinstance(outcome, Failed)
    ]
    columns = [scorer.score(specimens) for scorer in scorers()]
    rows = iter(zip(*columns, strict=True))
    return [
        outcome.reason if isinstance(outcome, Failed) else _row(next(rows)) for outcome in relaxed
    ]


def _row(values: Sequence[float | Failed]) -> dict[str, float] | str:
    sound = {
        name: value
        for name, value in zip(UNITS, values, strict=True)
        if not isinstance(value, Failed)
    }
    failures = [value.reason for value in values if isinstance(value, Failed)]
    return failures[0] if failures else sound
