"""The dielectric estimate against static dielectric constants measured near 300 K."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed
from validation import prototypes as of
from validation.frame import Row, Validation
from validation.relaxed import score_relaxed

CRC = "CRC Handbook of Chemistry and Physics, permittivity of inorganic solids"
YOUNG = "Young and Frederikse, J. Phys. Chem. Ref. Data 2, 313 (1973)"
ADACHI = "Adachi, Properties of Group-IV, III-V and II-VI Semiconductors (2005)"

MEASURED: tuple[tuple[str, Crystal, float, str], ...] = (
    ("C diamond", of.diamond("C", 3.567), 5.7, ADACHI),
    ("Si diamond", of.diamond("Si", 5.431), 11.9, ADACHI),
    ("SiC zincblende", of.zincblende("Si", "C", 4.36), 9.72, ADACHI),
    ("BN zincblende", of.zincblende("B", "N", 3.616), 7.1, ADACHI),
    ("BP zincblende", of.zincblende("B", "P", 4.538), 11.0, ADACHI),
    ("AlP zincblende", of.zincblende("Al", "P", 5.464), 9.8, ADACHI),
    ("AlAs zincblende", of.zincblende("Al", "As", 5.661), 10.06, ADACHI),
    ("GaP zincblende", of.zincblende("Ga", "P", 5.451), 11.0, ADACHI),
    ("GaAs zincblende", of.zincblende("Ga", "As", 5.653), 12.9, ADACHI),
    ("InP zincblende", of.zincblende("In", "P", 5.869), 12.4, ADACHI),
    ("ZnS zincblende", of.zincblende("Zn", "S", 5.409), 8.3, ADACHI),
    ("ZnSe zincblende", of.zincblende("Zn", "Se", 5.669), 8.9, ADACHI),
    ("CdTe zincblende", of.zincblende("Cd", "Te", 6.482), 10.2, ADACHI),
    ("AlN wurtzite", of.wurtzite("Al", "N", 3.112, 4.982), 9.1, ADACHI),
    ("GaN wurtzite", of.wurtzite("Ga", "N", 3.189, 5.186), 9.5, ADACHI),
    ("ZnO wurtzite", of.wurtzite("Zn", "O", 3.25, 5.207), 8.1, ADACHI),
    ("BeO wurtzite", of.wurtzite("Be", "O", 2.698, 4.377), 7.2, YOUNG),
    ("MgO rocksalt", of.rocksalt("Mg", "O", 4.212), 9.65, CRC),
    ("CaO rocksalt", of.rocksalt("Ca", "O", 4.811), 11.8, CRC),
    ("SrO rocksalt", of.rocksalt("Sr", "O", 5.16), 13.3, CRC),
    ("BaO rocksalt", of.rocksalt("Ba", "O", 5.539), 34.0, CRC),
    ("LiF rocksalt", of.rocksalt("Li", "F", 4.026), 9.0, CRC),
    ("NaF rocksalt", of.rocksalt("Na", "F", 4.633), 5.08, CRC),
    ("NaCl rocksalt", of.rocksalt("Na", "Cl", 5.64), 5.9, CRC),
    ("NaBr rocksalt", of.rocksalt("Na", "Br", 5.974), 6.4, CRC),
    ("KCl rocksalt", of.rocksalt("K", "Cl", 6.292), 4.86, CRC),
    ("KBr rocksalt", of.rocksalt("K", "Br", 6.6), 4.9, CRC),
    ("LiCl rocksalt", of.rocksalt("Li", "Cl", 5.14), 11.86, CRC),
    ("AgCl rocksalt", of.rocksalt("Ag", "Cl", 5.55), 11.15, CRC),
    ("CsCl", of.caesium_chloride("Cs", "Cl", 4.123), 6.95, YOUNG),
    ("CsI", of.caesium_chloride("Cs", "I", 4.567), 5.65, YOUNG),
    ("CaF2 fluorite", of.fluorite("Ca", "F", 5.463), 6.81, CRC),
    ("SrF2 fluorite", of.fluorite("Sr", "F", 5.8), 6.5, YOUNG),
    ("BaF2 fluorite", of.fluorite("Ba", "F", 6.2), 7.36, YOUNG),
    ("MgF2 rutile", of.rutile("Mg", "F", 4.623, 3.052, 0.303), 5.2, YOUNG),
    ("TiO2 rutile", of.rutile("Ti", "O", 4.594, 2.959, 0.305), 114.0, YOUNG),
    ("SnO2 rutile", of.rutile("Sn", "O", 4.737, 3.186, 0.306), 12.0, YOUNG),
    ("Al2O3 corundum", of.corundum("Al", "O", 4.759, 12.991, 0.3522, 0.3063), 10.1, CRC),
    ("SiO2 quartz", of.alpha_quartz(), 4.5, CRC),
    ("MgAl2O4 spinel", of.spinel("Mg", "Al", "O", 8.083, 0.3875), 8.3, YOUNG),
    ("Cu2O cuprite", of.cuprite(), 7.5, YOUNG),
    ("LaAlO3 cubic", of.perovskite("La", "Al", "O", 3.79), 24.0, YOUNG),
)
"""Crystal, and its static dielectric constant averaged over directions."""
QUICK = 5


def validate(data: Path | None, *, quick: bool, pool: ProcessPoolExecutor) -> list[Validation]:
    """Scores the crystals.

    Args:
        data: Not used: the crystals are all in this file.
        quick: A handful of them only.
        pool: Of single-threaded workers.
    """
    chosen = MEASURED[17 : 17 + QUICK] if quick else MEASURED
    values = score_relaxed(
        "ray_matdesign.rewards.scorers.dielectric:make", [c for _, c, _, _ in chosen], pool
    )
    rows = [
        Row(name, published, source, None, value.reason)
        if isinstance(value, Failed)
        else Row(name, published, source, value)
        for (name, _, published, source), value in zip(chosen, values, strict=True)
    ]
    return [Validation("dielectric", "well-known crystals, estimate", "", tuple(rows))]
