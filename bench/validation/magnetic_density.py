"""Magnetic densities of ferromagnets against measured magnetisations."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from pymatgen.core import Lattice, Structure

from ray_matdesign.crystals.convert import from_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed
from validation import prototypes as of
from validation.frame import Row, Validation
from validation.relaxed import score_relaxed

MU_B_PER_ANG3_PER_EMU_PER_CM3 = 1.07828e-4
"""1 emu/cm3 is 1 kA/m; a Bohr magneton is 9.27401e-24 A m2."""

COEY = "Coey, Magnetism and Magnetic Materials (2010)"
WELLER = "Weller et al., IEEE Trans. Magn. 36, 10 (2000)"
HEUSLER = "Webster and Ziebeck, Landolt-Boernstein III/19c (1988)"


def _crystal(
    group: int, lattice: Lattice, species: list[str], places: list[list[float]]
) -> Crystal:
    structure = Structure.from_spacegroup(group, lattice, species, places)
    return from_pymatgen(structure.get_primitive_structure())


def _layered(one: str, other: str, a: float, c: float) -> Crystal:
    """CuAu's structure (L1_0), in its primitive tetragonal cell."""
    return _crystal(123, Lattice.tetragonal(a, c), [one, other], [[0.0] * 3, [0.5] * 3])


def _nickel_arsenide(metal: str, anion: str, a: float, c: float) -> Crystal:
    places = [[0.0] * 3, [1 / 3, 2 / 3, 0.25]]
    return _crystal(194, Lattice.hexagonal(a, c), [metal, anion], places)


def _heusler(two: str, one: str, anion: str, a: float) -> Crystal:
    """Cu2MnAl's structure (L2_1)."""
    places = [[0.25] * 3, [0.5] * 3, [0.0] * 3]
    return _crystal(225, Lattice.cubic(a), [two, one, anion], places)


def _half_heusler(one: str, other: str, anion: str, a: float) -> Crystal:
    """MgAgAs's structure (C1_b)."""
    places = [[0.25] * 3, [0.5] * 3, [0.0] * 3]
    return _crystal(216, Lattice.cubic(a), [one, other, anion], places)


def _fe4n() -> Crystal:
    places = [[0.0] * 3, [0.5, 0.5, 0.0], [0.5] * 3]
    return _crystal(221, Lattice.cubic(3.795), ["Fe", "Fe", "N"], places)


def _fe2b() -> Crystal:
    places = [[0.1661, 0.6661, 0.0], [0.0, 0.0, 0.25]]
    return _crystal(140, Lattice.tetragonal(5.110, 4.249), ["Fe", "B"], places)


def _yco5() -> Crystal:
    places = [[0.0] * 3, [1 / 3, 2 / 3, 0.0], [0.5, 0.0, 0.5]]
    return _crystal(191, Lattice.hexagonal(4.937, 3.978), ["Y", "Co", "Co"], places)


MOMENTS: tuple[tuple[str, Crystal, float, str], ...] = (
    ("Fe bcc", of.bcc("Fe", 2.8665), 2.217, COEY),
    ("Co hcp", of.hcp("Co", 2.507, 4.069), 2 * 1.715, COEY),
    ("Ni fcc", of.fcc("Ni", 3.524), 0.616, COEY),
    ("FeCo B2", of.caesium_chloride("Fe", "Co", 2.857), 4.84, COEY),
    ("Gd hcp", of.hcp("Gd", 3.636, 5.783), 2 * 7.63, COEY),
    ("EuO rocksalt", of.rocksalt("Eu", "O", 5.144), 6.9, COEY),
    ("CrO2 rutile", of.rutile("Cr", "O", 4.421, 2.916, 0.301), 2 * 2.0, COEY),
    ("MnAs B8_1", _nickel_arsenide("Mn", "As", 3.72, 5.70), 2 * 3.4, COEY),
    ("MnSb B8_1", _nickel_arsenide("Mn", "Sb", 4.13, 5.78), 2 * 3.5, COEY),
    ("MnBi B8_1", _nickel_arsenide("Mn", "Bi", 4.29, 6.126), 2 * 3.9, COEY),
    ("Fe4N", _fe4n(), 8.9, COEY),
    ("Fe2B", _fe2b(), 4 * 1.91, COEY),
    ("YCo5", _yco5(), 8.3, COEY),
    ("Co2MnSi L2_1", _heusler("Co", "Mn", "Si", 5.654), 5.07, HEUSLER),
    ("Co2MnGe L2_1", _heusler("Co", "Mn", "Ge", 5.743), 5.11, HEUSLER),
    ("Co2MnAl L2_1", _heusler("Co", "Mn", "Al", 5.756), 4.01, HEUSLER),
    ("Co2FeSi L2_1", _heusler("Co", "Fe", "Si", 5.640), 5.97, "Wurmehl, PRB 72, 184434 (2005)"),
    ("Ni2MnGa L2_1", _heusler("Ni", "Mn", "Ga", 5.825), 4.17, HEUSLER),
    ("Cu2MnAl L2_1", _heusler("Cu", "Mn", "Al", 5.949), 4.12, HEUSLER),
    ("NiMnSb C1_b", _half_heusler("Ni", "Mn", "Sb", 5.927), 3.85, HEUSLER),
)
"""Crystal with its measured cell, moment of that cell at low temperature (Bohr magnetons), and the
moment's source."""
MAGNETISATIONS: tuple[tuple[str, Crystal, float, str], ...] = (
    ("FePt L1_0", _layered("Fe", "Pt", 2.724, 3.713), 1140.0, WELLER),
    ("FePd L1_0", _layered("Fe", "Pd", 2.726, 3.714), 1100.0, WELLER),
    ("CoPt L1_0", _layered("Co", "Pt", 2.689, 3.701), 800.0, WELLER),
    ("MnAl L1_0", _layered("Mn", "Al", 2.77, 3.57), 560.0, WELLER),
)
"""Likewise, magnetisation at room temperature, emu/cm3."""
QUICK = 5


def validate(data: Path | None, *, quick: bool, pool: ProcessPoolExecutor) -> list[Validation]:
    """Relaxes and scores the ferromagnets.

    Ferrimagnets and antiferromagnets are left out: the scorer adds the moduli of the moments, and
    says so.

    Args:
        data: Not used: the crystals are all in this file.
        quick: A handful of them only.
        pool: Of single-threaded workers.
    """
    published = [
        (name, crystal, moment / crystal.volume, source)
        for name, crystal, moment, source in MOMENTS
    ]
    published += [
        (name, crystal, emu * MU_B_PER_ANG3_PER_EMU_PER_CM3, source)
        for name, crystal, emu, source in MAGNETISATIONS
    ]
    chosen = published[:QUICK] if quick else published
    values = score_relaxed(
        "ray_matdesign.rewards.scorers.magnetic_density:make", [row[1] for row in chosen], pool
    )
    rows = [
        Row(name, density, source, None, value.reason)
        if isinstance(value, Failed)
        else Row(name, density, source, value)
        for (name, _, density, source), value in zip(chosen, values, strict=True)
    ]
    return [Validation("magnetic_density", "ferromagnets", "mu_B/A^3", tuple(rows))]
