"""A published simulation from its description: copper in effective medium theory.

"Copper is described by effective medium theory. Its lattice constant and bulk modulus follow from
the energy as a function of volume; the formation and migration of a vacancy, and the hop of an
adatom between hollows of the (100) face, from relaxed cells and a nudged elastic band."
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ray_matdesign.agents.scenarios.diffusion import (
    Barrier,
    adatom_hop,
    vacancy_formation_ev,
    vacancy_migration,
)
from ray_matdesign.agents.scenarios.equation_of_state import (
    EquationOfState,
    fit_equation_of_state,
)
from ray_matdesign.agents.scenarios.materials import CUBIC
from ray_matdesign.agents.scenarios.study_folder import (
    Check,
    Comparison,
    check_table,
    comparison_table,
    new_figure,
    write_study,
)
from ray_matdesign.potentials.protocol import Potential

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRETCHES = tuple(np.linspace(0.96, 1.04, 9).tolist())
SADDLE_FORCE = 0.05
"""Largest force at the highest image, eV/Angstrom."""


@dataclass(frozen=True)
class CopperStudy:
    """Copper by one potential.

    Attributes:
        potential: Name.
        equation_of_state: Of the crystal.
        vacancy_formation_ev: Energy of a vacancy, eV.
        vacancy: Its migration.
        adatom: Hop on the (100) face.
    """

    potential: str
    equation_of_state: EquationOfState
    vacancy_formation_ev: float
    vacancy: Barrier
    adatom: Barrier

    def checks(self) -> list[Check]:
        """What must hold for the numbers to be believed."""
        fit = self.equation_of_state
        checks = [
            Check("the equation of state fits", fit.residual_ev < 1e-3,
                  f"root mean square {1000 * fit.residual_ev:.3f} meV/atom"),
        ]  # fmt: skip
        for barrier in (self.vacancy, self.adatom):
            checks += [
                Check(f"{barrier.what}: equal sites have equal energies",
                      barrier.asymmetry_ev < 0.005, f"{1000 * barrier.asymmetry_ev:.2f} meV apart"),
                Check(f"{barrier.what}: the highest image is a saddle",
                      barrier.saddle_force_ev_per_ang < SADDLE_FORCE,
                      f"largest force {barrier.saddle_force_ev_per_ang:.3f} eV/Å"),
            ]  # fmt: skip
        return checks

    def comparisons(self) -> list[Comparison]:
        """Beside experiment, and beside what effective medium theory was published to give."""
        fit = self.equation_of_state
        kittel = "measured (Kittel, Introduction to Solid State Physics)"
        return [
            Comparison("lattice constant (Å)", fit.fcc_lattice_constant_ang, 3.615, kittel),
            Comparison("bulk modulus (GPa)", fit.bulk_modulus_gpa, 137.0, kittel),
            Comparison("vacancy formation (eV)", self.vacancy_formation_ev, 1.28,
                       "measured (Landolt-Börnstein III/25)"),
            Comparison("vacancy migration (eV)", self.vacancy.height_ev, 0.70,
                       "measured (Landolt-Börnstein III/25)"),
            Comparison("adatom hop on (100) (eV)", self.adatom.height_ev, 0.425,
                       "effective medium theory (Stoltze, J. Phys.: Condens. Matter 6, 9495 "
                       "(1994))"),
        ]  # fmt: skip


def study_copper(
    potential: Potential, *, stretches: Sequence[float] = STRETCHES, repeats: int = 3
) -> CopperStudy:
    """Follows the description, step by step.

    Args:
        potential: Effective medium theory, or another to compare it with.
        stretches: Of the equation of state.
        repeats: Cubic cells along each axis in the cells with a vacancy.

    Raises:
        StudyFailed: A step did not come to a result.
    """
    fit = fit_equation_of_state(potential, CUBIC["Cu"], stretches)
    length = fit.fcc_lattice_constant_ang
    return CopperStudy(
        potential=potential.name,
        equation_of_state=fit,
        vacancy_formation_ev=vacancy_formation_ev(potential, "Cu", length, repeats=repeats),
        vacancy=vacancy_migration(potential, "Cu", length, repeats=repeats),
        adatom=adatom_hop(potential, "Cu", length),
    )


def write_copper(study: CopperStudy, out: str | Path) -> Path:
    """Writes data, figure and report of a study; returns the path of the report."""
    fit, checks, comparisons = study.equation_of_state, study.checks(), study.comparisons()
    data = {
        "potential": study.potential,
        "equation_of_state": asdict(fit),
        "lattice_constant_ang": fit.fcc_lattice_constant_ang,
        "vacancy_formation_ev": study.vacancy_formation_ev,
        "vacancy": asdict(study.vacancy) | {"height_ev": study.vacancy.height_ev},
        "adatom": asdict(study.adatom) | {"height_ev": study.adatom.height_ev},
        "checks": [asdict(check) for check in checks],
        "comparisons": [asdict(comparison) for comparison in comparisons],
    }
    report = "\n\n".join(
        [
            f"# Copper by {study.potential}: equation of state and diffusion",
            f"Lattice constant {fit.fcc_lattice_constant_ang:.3f} Å, bulk modulus "
            f"{fit.bulk_modulus_gpa:.1f} ± {fit.errors[2]:.1f} GPa (of the fit), its derivative "
            f"{fit.bulk_modulus_derivative:.2f}. A vacancy costs {study.vacancy_formation_ev:.3f} "
            f"eV and moves over {study.vacancy.height_ev:.3f} eV ({study.vacancy.atoms} atoms); an "
            f"adatom on the (100) face hops over {study.adatom.height_ev:.3f} eV.",
            comparison_table(comparisons),
            check_table(checks),
            "![equation of state and paths](figure.png)",
        ]
    )
    return write_study(out, data, _figure(study), report + "\n")


def _figure(study: CopperStudy) -> Figure:
    figure = new_figure(8.0, 3.6, panels=2)
    left, right = figure.axes
    fit = study.equation_of_state
    curve = np.linspace(fit.volumes_ang3.min(), fit.volumes_ang3.max(), 100)
    left.plot(curve, fit.energies(curve), label="Birch-Murnaghan")
    left.plot(fit.volumes_ang3, fit.energies_ev, "o", label=study.potential)
    left.set(xlabel="Volume (Å³/atom)", ylabel="Energy (eV/atom)")
    left.legend()
    for barrier in (study.vacancy, study.adatom):
        along = barrier.distances_ang / barrier.distances_ang[-1]
        right.plot(along, barrier.energies_ev, "o-", label=barrier.what)
    right.set(xlabel="Along the path", ylabel="Energy (eV)")
    right.legend()
    return figure
