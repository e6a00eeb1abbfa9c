"""An elastic tensor determined without a person: strain size, checks and uncertainty included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.scenarios.study_folder import (
    Check,
    Comparison,
    StudyFailed,
    check_table,
    comparison_table,
    new_figure,
    table,
    write_study,
)
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.elasticity import (
    ElasticitySettings,
    ElasticTensor,
    elastic_tensors,
)
from ray_matdesign.potentials.elasticity.strains import PointGroup, point_group
from ray_matdesign.potentials.mandel import SCALE, rotation_of_mandel
from ray_matdesign.potentials.protocol import Failed, Potential
from ray_matdesign.potentials.relaxation import BatchRelaxer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRAINS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05)
WINDOW = 3
"""Neighbouring strain sizes that must agree."""
CONVERGED = 0.05
"""Largest relative spread of K and of G within the window."""
SYMMETRIC = 0.05
"""Largest violation of the crystal's symmetry, relative to the tensor."""
_ROTATION = np.linalg.qr(np.array([[2.0, 1.0, 0.0], [-1.0, 3.0, 1.0], [0.5, -1.0, 2.0]]))[0]
"""Some rotation that is no symmetry of any crystal."""

MEASURED_GPA: Mapping[str, tuple[float, float, float, str]] = {
    "Si": (165.7, 63.9, 79.6, "McSkimin and Andreatch, J. Appl. Phys. 35, 2161 (1964)"),
    "MgO": (297.9, 95.8, 154.4, "Sinogeikin and Bass, Phys. Rev. B 59, R14141 (1999)"),
}
"""C11, C12 and C44 of cubic crystals at room temperature, and by whom."""


@dataclass(frozen=True)
class ElasticityStudy:
    """An elastic tensor with what it rests on.

    Attributes:
        crystal: At rest.
        potential: Name.
        strains: Sizes tried.
        tensors: At each of them, fitted without help of symmetry.
        window: Index of the first of the :data:`WINDOW` sizes that agree best.
        group: The crystal's point group.
        turned: The tensor at the middle of the window, of the crystal turned in space and turned
            back; ``None`` where it could not be had.
    """

    crystal: Crystal
    potential: str
    strains: tuple[float, ...]
    tensors: tuple[ElasticTensor, ...]
    window: int
    group: PointGroup
    turned: ElasticTensor | None

    @property
    def chosen(self) -> Sequence[ElasticTensor]:
        """The tensors within the window."""
        return self.tensors[self.window : self.window + WINDOW]

    @cached_property
    def tensor(self) -> ElasticTensor:
        """The result: mean of the window, made symmetric."""
        mean = np.mean([t.stiffness_gpa for t in self.chosen], axis=0)
        return ElasticTensor(_symmetrised(mean, self.group))

    @cached_property
    def uncertainty_gpa(self) -> NDArray[np.float64]:
        """Half the spread within the window plus what symmetry forbids, shape ``(6, 6)``, GPa.

        The two have the same source, a potential that is not smooth, and are added, not squared.
        It says nothing of how far the potential is from nature.
        """
        stack = np.array([_symmetrised(t.stiffness_gpa, self.group) for t in self.chosen])
        spread = 0.5 * (stack.max(axis=0) - stack.min(axis=0))
        mean = np.mean([t.stiffness_gpa for t in self.chosen], axis=0)
        return np.asarray(spread + np.abs(mean - self.tensor.stiffness_gpa))

    @cached_property
    def modulus_uncertainties_gpa(self) -> tuple[float, float]:
        """Half the spread of K and of G within the window, GPa."""
        bulk = [t.bulk_modulus_gpa for t in self.chosen]
        shear = [t.shear_modulus_gpa for t in self.chosen]
        return 0.5 * (max(bulk) - min(bulk)), 0.5 * (max(shear) - min(shear))

    @cached_property
    def is_cubic(self) -> bool:
        """Whether the tensor has a cubic crystal's form along Cartesian axes."""
        return _is_cubic(self.tensor.stiffness_gpa)

    def checks(self) -> list[Check]:
        """What must hold for the tensor to be believed."""
        stiffness = self.tensor.stiffness_gpa
        size = float(np.abs(stiffness).max())
        raw = np.mean([t.stiffness_gpa for t in self.chosen], axis=0)
        broken = float(np.abs(raw - stiffness).max()) / size
        lowest = self.tensor.eigenvalues_gpa[0]
        checks = [
            Check("converged with the strain", _spread(self.chosen) <= CONVERGED,
                  f"K and G within {100 * _spread(self.chosen):.1f} % over strains "
                  f"{self.strains[self.window]:g} to {self.strains[self.window + WINDOW - 1]:g}"),
            Check("Born: every strain costs energy", bool(lowest > 0.0),
                  f"smallest eigenvalue {lowest:.1f} GPa"),
            Check("obeys the crystal's symmetry unasked", broken <= SYMMETRIC,
                  f"{len(self.group.rotations)} operations, violated by {100 * broken:.2f} %"),
        ]  # fmt: skip
        if self.is_cubic:
            c11, c12, c44 = cubic_constants_gpa(self.tensor)
            born = c11 > abs(c12) and c11 + 2 * c12 > 0 and c44 > 0
            told = (
                f"C11 - C12 = {c11 - c12:.1f}, C11 + 2 C12 = {c11 + 2 * c12:.1f}, C44 = {c44:.1f}"
            )
            checks.append(Check("Born, cubic form", bool(born), told))
        if self.turned is not None:
            middle = self.chosen[WINDOW // 2].stiffness_gpa
            change = float(np.abs(self.turned.stiffness_gpa - middle).max()) / size
            checks.append(
                Check("the same in a crystal turned in space", change <= SYMMETRIC,
                      f"changed by {100 * change:.2f} %")
            )  # fmt: skip
        return checks


def determine_elasticity(
    crystal: Crystal,
    potential: Potential,
    *,
    strains: Sequence[float] = STRAINS,
    fmax_ev_per_ang: float = 0.005,
    max_steps: int = 500,
) -> ElasticityStudy:
    """Determines the elastic tensor of a crystal.

    The crystal is relaxed; its tensor is measured at several strain sizes without use of symmetry;
    the neighbouring sizes whose moduli agree best give the result. Too small a strain sees the
    roughness of a potential, too large a one its curvature.

    Args:
        crystal: Any cell of it.
        potential: Gives forces and stresses.
        strains: Sizes, ascending, three or more, each in (0, 0.1].
        fmax_ev_per_ang: What crystal and ions are relaxed to.
        max_steps: Most steps of the relaxation.

    Raises:
        StudyFailed: The crystal does not come to rest, or a tensor cannot be had.
        ValueError: Too few strains.
    """
    if len(strains) < WINDOW:
        raise ValueError(f"{len(strains)} strain sizes, expected at least {WINDOW}")
    (relaxed,) = BatchRelaxer(potential, optimizer="bfgs").relax(
        [crystal], fmax_ev_per_ang=fmax_ev_per_ang, max_steps=max_steps
    )
    if isinstance(relaxed, Failed):
        raise StudyFailed(f"{crystal.formula}: relaxation: {relaxed.reason}")
    if not relaxed.converged:
        raise StudyFailed(f"{crystal.formula}: not at rest after {max_steps} steps")
    tensors = []
    for strain in strains:
        tensor = _tensor(potential, relaxed.crystal, strain, fmax_ev_per_ang)
        if isinstance(tensor, Failed):
            raise StudyFailed(f"{crystal.formula}: strain {strain:g}: {tensor.reason}")
        tensors.append(tensor)
    spreads = [_spread(tensors[i : i + WINDOW]) for i in range(len(tensors) - WINDOW + 1)]
    window = int(np.argmin(spreads))
    return ElasticityStudy(
        crystal=relaxed.crystal,
        potential=potential.name,
        strains=tuple(strains),
        tensors=tuple(tensors),
        window=window,
        group=point_group(relaxed.crystal, 0.01),
        turned=_turned(potential, relaxed.crystal, strains[window + WINDOW // 2], fmax_ev_per_ang),
    )


def cubic_constants_gpa(tensor: ElasticTensor) -> tuple[float, float, float]:
    """C11, C12 and C44 of a cubic crystal whose axes are Cartesian, GPa."""
    c = tensor.stiffness_gpa
    return (
        float(np.diag(c)[:3].mean()),
        float((c[0, 1] + c[0, 2] + c[1, 2]) / 3.0),
        float(np.diag(c)[3:].mean()),
    )


def write_elasticity(study: ElasticityStudy, out: str | Path) -> Path:
    """Writes data, figure and report of a study; returns the path of the report."""
    checks = study.checks()
    comparisons = _comparisons(study)
    tensor, (bulk_error, shear_error) = study.tensor, study.modulus_uncertainties_gpa
    data = {
        "formula": study.crystal.formula,
        "potential": study.potential,
        "lattice_ang": study.crystal.lattice,
        "strains": study.strains,
        "bulk_moduli_gpa": [t.bulk_modulus_gpa for t in study.tensors],
        "shear_moduli_gpa": [t.shear_modulus_gpa for t in study.tensors],
        "stiffnesses_gpa": [t.stiffness_gpa for t in study.tensors],
        "stiffness_gpa": tensor.stiffness_gpa,
        "stiffness_uncertainty_gpa": study.uncertainty_gpa,
        "bulk_modulus_gpa": [tensor.bulk_modulus_gpa, bulk_error],
        "shear_modulus_gpa": [tensor.shear_modulus_gpa, shear_error],
        "checks": [asdict(check) for check in checks],
        "comparisons": [asdict(comparison) for comparison in comparisons],
    }
    rows = [
        (f"C{i + 1}{j + 1}", f"{tensor.stiffness_gpa[i, j]:.1f}",
         f"{study.uncertainty_gpa[i, j]:.1f}")
        for i in range(6) for j in range(i, 6)
        if abs(tensor.stiffness_gpa[i, j]) > 0.5
    ]  # fmt: skip
    believed = "passed" if all(check.passed for check in checks) else "did **not** pass"
    report = "\n\n".join(
        [
            f"# Elastic tensor of {study.crystal.formula} by {study.potential}",
            f"K = {tensor.bulk_modulus_gpa:.1f} ± {bulk_error:.1f} GPa, "
            f"G = {tensor.shear_modulus_gpa:.1f} ± {shear_error:.1f} GPa (Hill), at strains of "
            f"{study.strains[study.window]:g} to {study.strains[study.window + WINDOW - 1]:g}. "
            f"The result {believed} all checks.",
            table(("constant", "GPa", "±"), rows),
            check_table(checks),
            *([comparison_table(comparisons)] if comparisons else []),
            "![moduli over strain](figure.png)",
            "The uncertainty is the spread over strain sizes and what the crystal's symmetry "
            "forbids; the error of the potential itself shows in the comparison only.",
        ]
    )
    return write_study(out, data, _figure(study), report + "\n")


def _figure(study: ElasticityStudy) -> Figure:
    figure = new_figure()
    (axes,) = figure.axes
    for label, values in (
        ("K", [t.bulk_modulus_gpa for t in study.tensors]),
        ("G", [t.shear_modulus_gpa for t in study.tensors]),
    ):
        axes.plot(study.strains, values, "o-", label=label)
    low, high = study.strains[study.window], study.strains[study.window + WINDOW - 1]
    axes.axvspan(low, high, alpha=0.15, label="agree best")
    axes.set(xlabel="Strain", ylabel="Modulus (GPa)", ylim=(0, None))
    axes.set_title(f"{study.crystal.formula}, {study.potential}")
    axes.legend()
    return figure


def _comparisons(study: ElasticityStudy) -> list[Comparison]:
    if study.crystal.formula not in MEASURED_GPA or not study.is_cubic:
        return []
    *known, source = MEASURED_GPA[study.crystal.formula]
    found = cubic_constants_gpa(study.tensor)
    return [
        Comparison(f"{name} (GPa)", here, float(there), source)
        for name, here, there in zip(("C11", "C12", "C44"), found, known, strict=True)
    ]


def _tensor(
    potential: Potential, crystal: Crystal, strain: float, fmax: float
) -> ElasticTensor | Failed:
    settings = ElasticitySettings(
        strain=strain, fmax_ev_per_ang=fmax, max_steps=100, symprec_ang=0.0
    )
    return elastic_tensors(potential, [crystal], settings)[0]


def _turned(
    potential: Potential, crystal: Crystal, strain: float, fmax: float
) -> ElasticTensor | None:
    """The tensor of the crystal turned in space, in the axes of the one that is not."""
    moved = crystal.with_cell(crystal.lattice @ _ROTATION.T, crystal.frac_coords)
    tensor = _tensor(potential, moved, strain, fmax)
    if isinstance(tensor, Failed):
        return None
    back = rotation_of_mandel(_ROTATION.T)
    mandel = tensor.stiffness_gpa * np.outer(SCALE, SCALE)
    return ElasticTensor.from_mandel(back @ mandel @ back.T)


def _spread(tensors: Sequence[ElasticTensor]) -> float:
    """The larger of the relative spreads of K and of G."""
    bulk = np.array([t.bulk_modulus_gpa for t in tensors])
    shear = np.array([t.shear_modulus_gpa for t in tensors])
    return float(max(np.ptp(bulk) / bulk.mean(), np.ptp(shear) / abs(shear.mean())))


def _symmetrised(stiffness_gpa: NDArray[np.float64], group: PointGroup) -> NDArray[np.float64]:
    """Mean over the images under the point group."""
    operations = rotation_of_mandel(group.rotations)
    mandel = stiffness_gpa * np.outer(SCALE, SCALE)
    images = operations @ mandel @ np.swapaxes(operations, 1, 2)
    return np.asarray(images.mean(axis=0) / np.outer(SCALE, SCALE))


def _is_cubic(stiffness_gpa: NDArray[np.float64]) -> bool:
    """Whether a tensor has the form of a cubic crystal along Cartesian axes."""
    c11, c12, c44 = stiffness_gpa[0, 0], stiffness_gpa[0, 1], stiffness_gpa[3, 3]
    form = np.diag([c11 - c12] * 3 + [c44] * 3)
    form[:3, :3] += c12
    return bool(np.abs(form - stiffness_gpa).max() < 1e-3 * abs(c11))
