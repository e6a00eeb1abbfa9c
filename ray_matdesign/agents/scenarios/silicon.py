"""Phonons of silicon from a description: dispersion, elastic limit, comparison with neutrons.

"Force constants follow from small displacements in a supercell; frequencies are given at the
centre of the zone, at X and at L. The slope of the longitudinal branch at long waves along [100]
gives the elastic constant C11, which the stress under strain must give too."
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.scenarios.elasticity import cubic_constants_gpa
from ray_matdesign.agents.scenarios.materials import CUBIC
from ray_matdesign.agents.scenarios.study_folder import (
    Check,
    Comparison,
    StudyFailed,
    check_table,
    comparison_table,
    new_figure,
    write_study,
)
from ray_matdesign.crystals.symmetry import conventional_cell
from ray_matdesign.potentials.elasticity import ElasticitySettings, elastic_tensors
from ray_matdesign.potentials.phonons import Phonons, PhononSettings, phonons_of
from ray_matdesign.potentials.protocol import Failed, Potential

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

POINTS: Mapping[str, tuple[float, float, float]] = {
    "Γ": (0.0, 0.0, 0.0), "X": (0.5, 0.0, 0.5), "K": (0.375, 0.375, 0.75), "L": (0.5, 0.5, 0.5),
}  # fmt: skip
"""Of the face-centred lattice, in reciprocal vectors of the primitive cell."""
PATH = (("Γ", "X"), ("K", "Γ"), ("Γ", "L"))
POINTS_A_BRANCH = 41
NEUTRONS = "neutrons (Nilsson and Nelin, Phys. Rev. B 6, 3777 (1972))"
MEASURED_THZ: Mapping[tuple[str, int], tuple[str, float]] = {
    ("Γ", 5): ("optical at Γ", 15.53), ("X", 0): ("TA at X", 4.49),
    ("X", 2): ("LA and LO at X", 12.32), ("X", 5): ("TO at X", 13.90),
    ("L", 0): ("TA at L", 3.43), ("L", 2): ("LA at L", 11.35), ("L", 3): ("LO at L", 12.60),
    ("L", 5): ("TO at L", 14.68),
}  # fmt: skip
"""By point and place of the branch from below: name and frequency, THz."""

LONG_WAVE = 0.04
"""Fraction of the way from Γ to X at which the slope is taken."""


@dataclass(frozen=True)
class SiliconStudy:
    """Phonons of silicon by one potential.

    Attributes:
        potential: Name.
        lattice_constant_ang: Of the cubic cell, at rest.
        frequencies_thz: At :data:`POINTS`, ascending, six each.
        branches: Of each section of :data:`PATH`: distances (1/Angstrom) and frequencies (THz).
        supercell_atoms: Atoms in the supercell.
        c11_of_sound_gpa: From the slope of the longitudinal branch along [100].
        c11_of_strain_gpa: From stresses of strained cells; ``None`` where they give none.
    """

    potential: str
    lattice_constant_ang: float
    frequencies_thz: Mapping[str, Floats]
    branches: tuple[tuple[Floats, Floats], ...]
    supercell_atoms: int
    c11_of_sound_gpa: float
    c11_of_strain_gpa: float | None

    def checks(self) -> list[Check]:
        """What must hold for the numbers to be believed."""
        gamma = self.frequencies_thz["Γ"]
        lowest = min(float(frequencies.min()) for _, frequencies in self.branches)
        acoustic, optical = float(np.abs(gamma[:3]).max()), float(np.ptp(gamma[3:]))
        checks = [
            Check("rigid shifts cost nothing", acoustic < 0.1, f"{acoustic:.3f} THz at Γ"),
            Check("the optical modes at Γ are one", optical < 0.05, f"{optical:.3f} THz apart"),
            Check("no mode is unstable", lowest > -0.1, f"lowest frequency {lowest:.2f} THz"),
        ]
        if self.c11_of_strain_gpa is not None:
            ratio = self.c11_of_sound_gpa / self.c11_of_strain_gpa
            checks.append(
                Check("sound and strain agree on C11", abs(ratio - 1.0) < 0.15,
                      f"{self.c11_of_sound_gpa:.0f} and {self.c11_of_strain_gpa:.0f} GPa")
            )  # fmt: skip
        return checks

    def comparisons(self) -> list[Comparison]:
        """Beside neutron scattering."""
        lattice = Comparison(
            "lattice constant (Å)", self.lattice_constant_ang, 5.431, "measured (X-rays)"
        )
        return [
            lattice,
            *(
                Comparison(f"{name} (THz)", float(self.frequencies_thz[q][b]), value, NEUTRONS)
                for (q, b), (name, value) in MEASURED_THZ.items()
            ),
        ]


def study_silicon(
    potential: Potential, *, settings: PhononSettings | None = None, strain: float = 0.02
) -> SiliconStudy:
    """Follows the description, step by step.

    Args:
        potential: Gives forces and stresses.
        settings: Of the force constants; by default a supercell of 10 Angstrom.
        strain: Of the cells that C11 is taken from.

    Raises:
        StudyFailed: The crystal does not come to rest, or the potential fails.
    """
    chosen = settings or PhononSettings(min_length_ang=10.0)
    (phonons,) = phonons_of([CUBIC["Si"]], potential, chosen)
    if isinstance(phonons, Failed):
        raise StudyFailed(f"Si: phonons: {phonons.reason}")
    cubic = conventional_cell(phonons.crystal, 0.01)
    if cubic is None or len(cubic) != 8:
        raise StudyFailed("Si: no longer of diamond's structure after relaxation")
    frequencies = {name: _frequencies(phonons, np.array([q]))[0] for name, q in POINTS.items()}
    (tensor,) = elastic_tensors(potential, [cubic], ElasticitySettings(strain=strain))
    length = float(cubic.lengths.mean())
    return SiliconStudy(
        potential=potential.name,
        lattice_constant_ang=length,
        frequencies_thz=frequencies,
        branches=tuple(_branch(phonons, *section) for section in PATH),
        supercell_atoms=phonons.supercell_atoms,
        c11_of_sound_gpa=_sound_c11_gpa(phonons, length, cubic.density),
        c11_of_strain_gpa=None if isinstance(tensor, Failed) else cubic_constants_gpa(tensor)[0],
    )


def write_silicon(study: SiliconStudy, out: str | Path) -> Path:
    """Writes data, figure and report of a study; returns the path of the report."""
    checks, comparisons = study.checks(), study.comparisons()
    data = {
        "potential": study.potential,
        "lattice_constant_ang": study.lattice_constant_ang,
        "frequencies_thz": study.frequencies_thz,
        "supercell_atoms": study.supercell_atoms,
        "c11_of_sound_gpa": study.c11_of_sound_gpa,
        "c11_of_strain_gpa": study.c11_of_strain_gpa,
        "branches": [
            {"from": start, "to": end, "per_ang": along, "thz": frequencies}
            for (start, end), (along, frequencies) in zip(PATH, study.branches, strict=True)
        ],
        "checks": [asdict(check) for check in checks],
        "comparisons": [asdict(comparison) for comparison in comparisons],
    }
    optical = float(study.frequencies_thz["Γ"][-1])
    deviations = [abs(c.deviation_percent) for c in comparisons[1:]]
    report = "\n\n".join(
        [
            f"# Phonons of silicon by {study.potential}",
            f"The optical mode at Γ is at {optical:.2f} THz (measured: 15.53); over "
            f"{len(deviations)} measured frequencies the mean deviation is "
            f"{np.mean(deviations):.0f} %. Supercell of {study.supercell_atoms} atoms.",
            comparison_table(comparisons),
            check_table(checks),
            "![dispersion](figure.png)",
        ]
    )
    return write_study(out, data, _figure(study), report + "\n")


def _frequencies(phonons: Phonons, wave_vectors: Floats) -> Floats:
    """Ascending, THz, imaginary ones negative; shape ``(points, 6)``."""
    phonons.solver.run_qpoints(wave_vectors)
    return np.sort(np.asarray(phonons.solver.qpoints.frequencies), axis=1)


def _branch(phonons: Phonons, start: str, end: str) -> tuple[Floats, Floats]:
    first, last = np.array(POINTS[start]), np.array(POINTS[end])
    steps = np.linspace(0.0, 1.0, POINTS_A_BRANCH)[:, None]
    reciprocal = np.linalg.inv(phonons.crystal.lattice).T
    length = float(np.linalg.norm((last - first) @ reciprocal))
    return steps[:, 0] * length, _frequencies(phonons, first + steps * (last - first))


def _sound_c11_gpa(phonons: Phonons, lattice_ang: float, density_g_per_cm3: float) -> float:
    """``rho v^2`` of the longitudinal wave along [100], from the third branch near Γ."""
    near = LONG_WAVE * np.array(POINTS["X"])
    frequency_thz = float(_frequencies(phonons, near[None])[0][2])
    # X lies 1/a from Γ, in cycles per length.
    speed_m_per_s = frequency_thz / (LONG_WAVE / lattice_ang) * 100.0
    return density_g_per_cm3 * 1000.0 * speed_m_per_s**2 / 1e9


def _figure(study: SiliconStudy) -> Figure:
    figure = new_figure()
    (axes,) = figure.axes
    offset, ticks, names = 0.0, [0.0], ["Γ"]
    for (start, end), (along, frequencies) in zip(PATH, study.branches, strict=True):
        axes.plot(offset + along, frequencies, color="C0", linewidth=1.2)
        for (q, _), (_, value) in MEASURED_THZ.items():
            if q in {start, end}:
                axes.plot(offset + (along[-1] if q == end else 0.0), value, "k.", markersize=5)
        if names[-1] != start:
            names[-1] += f"|{start}"
        offset += float(along[-1])
        ticks.append(offset)
        names.append(end)
    for tick in ticks:
        axes.axvline(tick, color="0.8", linewidth=0.8)
    axes.set_xticks(ticks, names)
    axes.set(ylabel="Frequency (THz)", title=f"Si, {study.potential}; dots: neutrons")
    return figure
