"""Relaxation against ASE's, its order, and how it ends when it does not end well."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.chgnet import ChgnetPotential
from ray_matdesign.potentials.emt import EmtPotential
from ray_matdesign.potentials.optimizers import OPTIMIZERS, exp, exp_derivative
from ray_matdesign.potentials.protocol import Failed, Relaxed, SinglePoint
from ray_matdesign.potentials.relaxation import BatchRelaxer


def _relaxed(outcome: Relaxed | Failed) -> Relaxed:
    assert isinstance(outcome, Relaxed), outcome
    return outcome


def test_fire_takes_the_steps_ase_takes(emt: EmtPotential, alloys: list[Crystal]) -> None:
    from ase import Atoms
    from ase.calculators.emt import EMT
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE

    crystal = alloys[0]
    atoms = Atoms(
        numbers=crystal.numbers,
        cell=crystal.lattice,
        scaled_positions=crystal.frac_coords,
        pbc=True,
        calculator=EMT(),
    )
    FIRE(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-9, steps=10)
    (outcome,) = BatchRelaxer(emt, optimizer="fire").relax(
        [crystal], fmax_ev_per_ang=1e-9, max_steps=10
    )
    ours = _relaxed(outcome)
    assert ours.steps == 10
    np.testing.assert_allclose(ours.crystal.lattice, atoms.cell.array, atol=1e-6)
    np.testing.assert_allclose(ours.crystal.positions, atoms.positions, atol=1e-6)


@pytest.fixture(scope="module")
def published_energies(oxides: list[Crystal]) -> list[float]:
    """Energies per atom at which CHGNet's own optimiser leaves the first two oxides."""
    from chgnet.model import StructOptimizer
    from pymatgen.core import Lattice, Structure

    optimizer = StructOptimizer(use_device="cpu")
    energies = []
    for crystal in oxides[:2]:
        structure = Structure(Lattice(crystal.lattice), crystal.numbers, crystal.frac_coords)
        result = optimizer.relax(structure, fmax=0.05, steps=500, verbose=False)
        energies.append(result["trajectory"].energies[-1] / len(crystal))
    return energies


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_reaches_the_energy_the_published_optimiser_reaches(
    chgnet: ChgnetPotential,
    oxides: list[Crystal],
    published_energies: list[float],
    optimizer: str,
) -> None:
    outcomes = BatchRelaxer(chgnet, optimizer=optimizer).relax(oxides[:2])
    for outcome, energy in zip(outcomes, published_energies, strict=True):
        ours = _relaxed(outcome)
        assert ours.converged
        assert ours.energy_ev_per_atom == pytest.approx(energy, abs=2e-3)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_results_hold_what_they_say(
    emt: EmtPotential, alloys: list[Crystal], optimizer: str
) -> None:
    relaxer = BatchRelaxer(emt, optimizer=optimizer)
    for start, outcome in zip(alloys, relaxer.relax(alloys, fmax_ev_per_ang=0.01), strict=True):
        ours = _relaxed(outcome)
        (first,), (last,) = emt.evaluate([start]), emt.evaluate([ours.crystal])
        assert isinstance(first, SinglePoint)
        assert isinstance(last, SinglePoint)
        assert ours.converged
        assert ours.max_force_ev_per_ang < 0.01
        assert np.linalg.norm(last.forces_ev_per_ang, axis=1).max() < 0.012
        assert np.abs(last.stress_ev_per_ang3).max() * start.volume / 4 < 0.012
        assert ours.initial_energy_ev_per_atom == pytest.approx(first.energy_ev_per_atom)
        assert ours.energy_ev_per_atom == pytest.approx(last.energy_ev_per_atom)
        assert ours.energy_ev_per_atom < ours.initial_energy_ev_per_atom
        np.testing.assert_array_equal(ours.crystal.numbers, start.numbers)


def test_company_and_order_do_not_matter(chgnet: ChgnetPotential, oxides: list[Crystal]) -> None:
    queue = [oxides[0], oxides[2], oxides[3], oxides[0]]
    few = BatchRelaxer(chgnet, atoms_in_flight=3).relax(queue, fmax_ev_per_ang=0.1)
    many = BatchRelaxer(chgnet, atoms_in_flight=64).relax(queue[::-1], fmax_ev_per_ang=0.1)
    for one, other in zip(few, many[::-1], strict=True):
        ours, theirs = _relaxed(one), _relaxed(other)
        assert ours.crystal.formula == theirs.crystal.formula
        assert ours.energy_ev_per_atom == pytest.approx(theirs.energy_ev_per_atom, abs=1e-4)


def test_failures_are_values_in_place(
    chgnet: ChgnetPotential, oxides: list[Crystal], shapes: SimpleNamespace
) -> None:
    coincident = Crystal(4.0 * np.eye(3), [[0, 0, 0], [0, 0, 0]], [12, 8])
    unknown = Crystal(4.0 * np.eye(3), [[0, 0, 0]], [118])
    alone = Crystal(20.0 * np.eye(3), [[0, 0, 0]], [12])
    outcomes = BatchRelaxer(chgnet).relax(
        [coincident, oxides[0], unknown, alone], fmax_ev_per_ang=0.1
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Failed, Relaxed, Failed, Failed]


def test_step_cap(emt: EmtPotential, alloys: list[Crystal]) -> None:
    (outcome,) = BatchRelaxer(emt).relax(alloys[:1], fmax_ev_per_ang=1e-6, max_steps=2)
    ours = _relaxed(outcome)
    assert ours.steps == 2
    assert not ours.converged


def test_deadline(emt: EmtPotential, alloys: list[Crystal]) -> None:
    relaxer = BatchRelaxer(emt, deadline_s=0.05, atoms_in_flight=4)
    outcomes = relaxer.relax(alloys * 50, fmax_ev_per_ang=1e-9, max_steps=10_000)
    assert len(outcomes) == 100
    assert all(isinstance(outcome, Failed) for outcome in outcomes)
    assert isinstance(outcomes[-1], Failed)
    assert "deadline of 0.05 s" in outcomes[-1].reason


class _Broken(EmtPotential):
    """EMT whose forces become wrong after a few calls."""

    def __init__(self, force: float) -> None:
        super().__init__()
        self.calls = 0
        self.force = force

    def evaluate(self, crystals):
        self.calls += 1
        points = super().evaluate(crystals)
        if self.calls > 2:
            points[0] = SinglePoint(
                points[0].energy_ev_per_atom,
                np.full_like(points[0].forces_ev_per_ang, self.force),
                points[0].stress_ev_per_ang3 + self.force,
            )
        return points


@pytest.mark.parametrize("force", [np.nan, np.inf])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_numbers_that_are_not_finite_end_the_run(
    alloys: list[Crystal], optimizer: str, force: float
) -> None:
    (outcome,) = BatchRelaxer(_Broken(force), optimizer=optimizer).relax(alloys[:1])
    assert isinstance(outcome, Failed)
    assert "after 2 steps" in outcome.reason


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_explosion_ends_the_run(alloys: list[Crystal], optimizer: str) -> None:
    (outcome,) = BatchRelaxer(_Broken(-5.0), optimizer=optimizer).relax(alloys[:1])
    assert isinstance(outcome, Failed)
    assert "volume changed" in outcome.reason


def test_settings_are_checked(emt: EmtPotential) -> None:
    with pytest.raises(ValueError, match="optimizer 'newton'"):
        BatchRelaxer(emt, optimizer="newton")
    with pytest.raises(ValueError, match="atoms_in_flight"):
        BatchRelaxer(emt, atoms_in_flight=0)
    with pytest.raises(ValueError, match="deadline_s"):
        BatchRelaxer(emt, deadline_s=0.0)


@pytest.mark.parametrize("size", [1e-9, 0.1, 3.0])
def test_matrix_exponential_and_its_derivative(size: float) -> None:
    from scipy.linalg import expm, expm_frechet

    matrix, direction = size * np.random.default_rng(0).standard_normal((2, 3, 3))
    np.testing.assert_allclose(exp(matrix), expm(matrix), rtol=1e-10)
    expected = expm_frechet(matrix, direction, compute_expm=False)
    np.testing.assert_allclose(exp_derivative(matrix, direction), expected, rtol=1e-8)
