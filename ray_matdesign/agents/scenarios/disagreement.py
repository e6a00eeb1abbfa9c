"""Where two potentials differ, chemistry by chemistry: a hypothesis found, then tested.

Both potentials judge crystals whose DFT formation energies are known. One half of the compositions
suggests hypotheses, with Bonferroni's correction for the many groups looked at; the other half,
not looked at before, confirms or refutes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.scenarios.statistics import (
    LEAST_MEMBERS,
    GroupTest,
    Hypothesis,
    confirm,
    search,
)
from ray_matdesign.agents.scenarios.study_folder import new_figure, table, write_study
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.dataset import Dataset, split_by_composition
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.potentials.protocol import Failed, Potential
from ray_matdesign.stability.reference import ReferenceSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

LABEL = "formation_energy_per_atom"
"""Column of the DFT energies, eV/atom on the MP2020 scale."""
LEVEL = 0.05
OUTLIER_EV_PER_ATOM = 1.0
"""A residual beyond it is a mistake in a label or a potential off its ground; counted, not used."""
BATCH = 32

_ANIONS = ("F", "O", "Cl", "N", "Br", "I", "S", "Se", "C", "H", "P", "As", "Te")
"""By Pauling's electronegativity, descending."""
_NAMES = {
    "F": "fluorides", "O": "oxides", "Cl": "chlorides", "N": "nitrides", "Br": "bromides",
    "I": "iodides", "S": "sulfides", "Se": "selenides", "Te": "tellurides", "P": "phosphides",
    "As": "arsenides", "C": "carbides", "H": "hydrides",
}  # fmt: skip
_METALS_3D = frozenset(range(21, 31))
_MAGNETIC = frozenset(ATOMIC_NUMBERS[s] for s in ("V", "Cr", "Mn", "Fe", "Co", "Ni"))
_LANTHANIDES = frozenset(range(57, 72))
_NONMETALS = frozenset(
    ATOMIC_NUMBERS[s] for s in (*_ANIONS, "B", "Si", "Ge", "Sb", "He", "Ne", "Ar", "Kr", "Xe")
)


@dataclass(frozen=True)
class Residuals:
    """Errors of two potentials on the same crystals.

    Attributes:
        names: Of the potentials.
        crystals: Judged by both.
        errors_ev_per_atom: Formation energy minus DFT's, shape ``(2, n)``.
        failures: Names of the crystals left out, and why.
    """

    names: tuple[str, str]
    crystals: tuple[Crystal, ...]
    errors_ev_per_atom: Floats
    failures: Mapping[str, str]


@dataclass(frozen=True)
class Disagreement:
    """Systematic differences between two potentials.

    Attributes:
        residuals: What it rests on.
        first_half: Indices of the crystals that suggested hypotheses.
        second_half: Indices of those that tested them.
        searched: Every test of the search.
        hypotheses: What was suggested, and what came of it.
    """

    residuals: Residuals
    first_half: NDArray[np.int64]
    second_half: NDArray[np.int64]
    searched: tuple[GroupTest, ...]
    hypotheses: tuple[Hypothesis, ...]


def one_per_formula(dataset: Dataset, n: int, *, seed: int = 0, most_atoms: int = 20) -> Dataset:
    """Crystals with an energy, drawn at random, no two of one formula.

    Polymorphs have much the same error; counted apart, they would feign more evidence.

    Args:
        dataset: With the label :data:`LABEL`.
        n: How many, or fewer where there are not so many.
        seed: Of the drawing.
        most_atoms: Atoms in a cell.
    """
    order = np.random.default_rng(seed).permutation(len(dataset))
    chosen: list[int] = []
    seen: set[str] = set()
    for index in order.tolist():
        crystal = dataset.crystals[index]
        usable = len(crystal) <= most_atoms and len(crystal.elements) > 1
        if not usable or crystal.formula in seen or math.isnan(dataset.labels[LABEL][index]):
            continue
        seen.add(crystal.formula)
        chosen.append(index)
        if len(chosen) == n:
            break
    return dataset.subset(chosen)


def residuals_of(
    dataset: Dataset, potentials: tuple[Potential, Potential], reference: ReferenceSet
) -> Residuals:
    """Errors of both potentials' formation energies, the crystals as DFT left them.

    Args:
        dataset: With the label :data:`LABEL`.
        potentials: Two, on scales that the reference can bring together.
        reference: Elemental energies.
    """
    failures: dict[str, str] = {}
    errors = np.full((2, len(dataset)), np.nan)
    for row, potential in enumerate(potentials):
        known = potential.elements & reference.elements
        fit = [i for i, c in enumerate(dataset.crystals) if c.elements <= known]
        for index in sorted(set(range(len(dataset))) - set(fit)):
            unknown = sorted(dataset.crystals[index].elements - known)
            failures[dataset.names[index]] = (
                f"{potential.name} or the reference does not know "
                f"{', '.join(SYMBOLS[z] for z in unknown)}"
            )
        for start in range(0, len(fit), BATCH):
            batch = fit[start : start + BATCH]
            points = potential.evaluate([dataset.crystals[i] for i in batch])
            for index, point in zip(batch, points, strict=True):
                if isinstance(point, Failed):
                    failures[dataset.names[index]] = f"{potential.name}: {point.reason}"
                    continue
                energy = reference.formation_energy(
                    dataset.crystals[index], point.energy_ev_per_atom, potential.energy_scale
                )
                errors[row, index] = energy - dataset.labels[LABEL][index]
    for outlier in np.flatnonzero((np.abs(errors) > OUTLIER_EV_PER_ATOM).any(axis=0)):
        failures.setdefault(
            dataset.names[outlier], f"an error beyond {OUTLIER_EV_PER_ATOM:g} eV/atom"
        )
    kept = [i for i, name in enumerate(dataset.names) if name not in failures]
    return Residuals(
        names=(potentials[0].name, potentials[1].name),
        crystals=tuple(dataset.crystals[i] for i in kept),
        errors_ev_per_atom=errors[:, kept],
        failures=failures,
    )


def chemistries(crystals: Sequence[Crystal]) -> dict[str, NDArray[np.bool_]]:
    """Members of each kind of chemistry; a crystal can be of several.

    The anion is the most electronegative element; compounds without one are intermetallics.
    """
    anions = [_anion(crystal) for crystal in crystals]
    groups = {_NAMES[a]: np.array([a == own for own in anions]) for a in _ANIONS}
    groups["intermetallics"] = np.array([not (c.elements & _NONMETALS) for c in crystals])
    for name, elements in (
        ("with a 3d metal", _METALS_3D),
        ("with V, Cr, Mn, Fe, Co or Ni", _MAGNETIC),
        ("with a lanthanide", _LANTHANIDES),
    ):
        groups[name] = np.array([bool(c.elements & elements) for c in crystals])
    groups["all"] = np.ones(len(crystals), dtype=bool)
    return groups


def study_disagreement(residuals: Residuals, *, seed: int = 0) -> Disagreement:
    """Finds systematic differences on one half of the compositions and tests them on the other.

    Two quantities are looked at in each chemistry: the difference of the errors (one potential
    binds more than the other) and of their magnitudes (one is farther from DFT).

    Args:
        residuals: Of both potentials.
        seed: Of the split and the bootstrap.
    """
    crystals = residuals.crystals
    first, second = split_by_composition(crystals, validation_fraction=0.5, seed=seed)
    groups = chemistries(crystals)
    quantities = _quantities(residuals)

    def half(indices: NDArray[np.int64]) -> tuple[dict[str, Floats], dict[str, NDArray[np.bool_]]]:
        return (
            {name: values[indices] for name, values in quantities.items()},
            {name: members[indices] for name, members in groups.items()},
        )

    searched = search(*half(first), seed=seed)
    suggested = [test for test in searched if test.p_corrected < LEVEL]
    hypotheses = confirm(suggested, *half(second), level=LEVEL, seed=seed)
    return Disagreement(residuals, first, second, tuple(searched), tuple(hypotheses))


def write_disagreement(study: Disagreement, out: str | Path) -> Path:
    """Writes data, figure and report of a study; returns the path of the report."""
    residuals = study.residuals
    errors_mev = 1000.0 * residuals.errors_ev_per_atom
    data: dict[str, Any] = {
        "potentials": residuals.names,
        "formulas": [crystal.formula for crystal in residuals.crystals],
        "errors_mev_per_atom": errors_mev,
        "first_half": study.first_half,
        "second_half": study.second_half,
        "failures": residuals.failures,
        "searched": [asdict(test) for test in study.searched],
        "hypotheses": [asdict(hypothesis) for hypothesis in study.hypotheses],
    }
    return write_study(out, data, _figure(study), _report(study))


def _quantities(residuals: Residuals) -> dict[str, Floats]:
    one, other = 1000.0 * residuals.errors_ev_per_atom
    a, b = residuals.names
    return {
        f"error of {a} minus error of {b} (meV/atom)": one - other,
        f"distance from DFT, {a} minus {b} (meV/atom)": np.abs(one) - np.abs(other),
    }


def _report(study: Disagreement) -> str:
    residuals = study.residuals
    errors = 1000.0 * residuals.errors_ev_per_atom
    a, b = residuals.names
    overall = [
        (name, f"{row.mean():+.1f}", f"{np.abs(row).mean():.1f}", f"{np.abs(row).max():.0f}")
        for name, row in zip(residuals.names, errors, strict=True)
    ]
    confirmed = [h for h in study.hypotheses if h.confirmed]
    lines = [
        f"# {a} against {b}: where they differ, and from DFT",
        f"{len(residuals.crystals)} crystals of as many compositions, {len(study.first_half)} to "
        f"find hypotheses, {len(study.second_half)} held out to test them; "
        f"{len(residuals.failures)} left out. Formation energies of the crystals as DFT relaxed "
        "them.",
        table(("potential", "mean error", "mean absolute", "largest (meV/atom)"), overall),
        f"## {len(study.searched)} tests suggested {len(study.hypotheses)} hypotheses, of which "
        f"{len(confirmed)} are confirmed",
    ]
    if study.hypotheses:
        rows = [_row(hypothesis) for hypothesis in study.hypotheses]
        lines.append(
            table(("chemistry", "quantity", "n", "found", "n held out", "held out (95 %)",
                   "p, corrected", "outcome"), rows)
        )  # fmt: skip
    lines += [
        "![differences by chemistry](figure.png)",
        "Wilcoxon's signed-rank tests; p is multiplied by the number of tests in the search and by "
        "the number of hypotheses in the confirmation, which is one-sided. Groups overlap, so that "
        "the hypotheses are not independent of each other.",
    ]
    return "\n\n".join(lines) + "\n"


def _row(hypothesis: Hypothesis) -> tuple[str, ...]:
    found, tested = hypothesis.found, hypothesis.tested
    head = (found.group, found.quantity, str(found.n), f"{found.mean:+.1f}")
    if tested is None:
        return (*head, "-", "-", "-", "too few held out")
    low, high = tested.interval
    held_out = f"{tested.mean:+.1f} ({low:+.1f} to {high:+.1f})"
    outcome = "confirmed" if hypothesis.confirmed else "not confirmed"
    return (*head, str(tested.n), held_out, f"{tested.p_corrected:.2g}", outcome)


def _figure(study: Disagreement) -> Figure:
    groups = chemistries(study.residuals.crystals)
    shown = [name for name, members in groups.items() if members.sum() >= LEAST_MEMBERS]
    figure = new_figure(8.0, 0.5 + 0.35 * max(len(shown), 4), panels=2)
    for axes, (title, values) in zip(
        figure.axes, _quantities(study.residuals).items(), strict=True
    ):
        for place, name in enumerate(reversed(shown)):
            for indices, marker, shift in ((study.first_half, "o", 0.12),
                                           (study.second_half, "s", -0.12)):  # fmt: skip
                own = values[indices][groups[name][indices]]
                if len(own) > 1:
                    error = 1.96 * own.std(ddof=1) / math.sqrt(len(own))
                    color = "C0" if marker == "o" else "C1"
                    axes.errorbar(own.mean(), place + shift, xerr=error, fmt=marker, color=color,
                                  markersize=4)  # fmt: skip
        axes.axvline(0.0, color="0.6", linewidth=0.8)
        axes.set_yticks(range(len(shown)), list(reversed(shown)))
        axes.set_xlabel(fill(title, 40), fontsize=8)
    figure.axes[1].set_yticklabels([])
    figure.suptitle("circles: the half that was searched; squares: held out", fontsize=8)
    return figure


def _anion(crystal: Crystal) -> str:
    return next((symbol for symbol in _ANIONS if ATOMIC_NUMBERS[symbol] in crystal.elements), "")
