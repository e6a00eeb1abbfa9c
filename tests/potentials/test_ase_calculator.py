"""ASE calculators as potentials: right numbers, and failures that cost one crystal."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

from ray_matdesign.config.import_path import UnknownName
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.ase_calculator import AseCalculatorPotential, UnfitCalculator
from ray_matdesign.potentials.emt import EmtPotential
from ray_matdesign.potentials.protocol import EnergyScale, Failed, Relaxed, SinglePoint
from ray_matdesign.potentials.relaxation import BatchRelaxer

EMT = "ase.calculators.emt:EMT"


@pytest.mark.parametrize("deadline_s", [None, 30.0])
def test_gives_what_the_calculator_gives(
    emt: EmtPotential, alloys: list[Crystal], deadline_s: float | None
) -> None:
    potential = AseCalculatorPotential(calculator=EMT, deadline_s=deadline_s)
    for ours, theirs in zip(potential.evaluate(alloys), emt.evaluate(alloys), strict=True):
        assert isinstance(ours, SinglePoint)
        assert isinstance(theirs, SinglePoint)
        assert ours.energy_ev_per_atom == theirs.energy_ev_per_atom
        np.testing.assert_array_equal(ours.forces_ev_per_ang, theirs.forces_ev_per_ang)
        np.testing.assert_array_equal(ours.stress_ev_per_ang3, theirs.stress_ev_per_ang3)
        assert ours.magmoms_mu_b is None


def test_moments_are_passed_on(alloys: list[Crystal]) -> None:
    potential = AseCalculatorPotential(calculator="faulty_calculators:Moments")
    (point,) = potential.evaluate(alloys[:1])
    assert isinstance(point, SinglePoint)
    assert point.magmoms_mu_b is not None
    assert point.magmoms_mu_b.tolist() == [2.0] * 4


def test_relaxes_like_any_potential(emt: EmtPotential, alloys: list[Crystal]) -> None:
    potential = AseCalculatorPotential(calculator=EMT)
    (ours,) = BatchRelaxer(potential).relax(alloys[1:], fmax_ev_per_ang=0.02)
    (theirs,) = BatchRelaxer(emt).relax(alloys[1:], fmax_ev_per_ang=0.02)
    assert isinstance(ours, Relaxed)
    assert isinstance(theirs, Relaxed)
    assert ours.energy_ev_per_atom == pytest.approx(theirs.energy_ev_per_atom, abs=1e-9)


def test_names_and_scales() -> None:
    default = AseCalculatorPotential(calculator=EMT)
    assert (default.name, default.energy_scale) == ("ase-emt", EnergyScale.OWN)
    assert len(default.elements) == 118
    named = AseCalculatorPotential(
        calculator=EMT, name="pbe", energy_scale="mp-uncorrected", elements=["Cu", "Au"]
    )
    assert (named.name, named.energy_scale) == ("pbe", EnergyScale.MP_UNCORRECTED)
    assert named.elements == {29, 79}


def test_a_stuck_a_dying_and_a_complaining_crystal_cost_themselves(
    shapes: SimpleNamespace,
) -> None:
    potential = AseCalculatorPotential(
        calculator="faulty_calculators:Faulty", deadline_s=1.0, elements=["Cu", "Au", "Pt", "Ni"]
    )
    copper, gold, platinum, nickel, tin = (
        shapes.fcc([z] * 4, a) for z, a in [(29, 3.6), (79, 4.1), (78, 3.9), (28, 3.5), (50, 4.6)]
    )
    start = time.monotonic()
    outcomes = potential.evaluate([copper, gold, copper, platinum, nickel, tin, copper])
    assert time.monotonic() - start < 40.0
    reasons = [outcome.reason if isinstance(outcome, Failed) else "" for outcome in outcomes]
    assert reasons == [
        "",
        "deadline of 1 s passed",
        "",
        "the calculator's process ended with exit code 17",
        "the calculator raised KeyError: 'no nickel today'",
        "unknown element: Sn",
        "",
    ]


@pytest.mark.parametrize("deadline_s", [None, 30.0])
def test_calculators_that_do_not_fit_are_refused_at_once(deadline_s: float | None) -> None:
    with pytest.raises(UnfitCalculator, match="gives no forces and no stress"):
        AseCalculatorPotential(calculator="faulty_calculators:EnergyOnly", deadline_s=deadline_s)


def test_bad_settings_are_named() -> None:
    with pytest.raises(UnfitCalculator, match=r"ase\.calculators\.lj:LennardJones refused"):
        AseCalculatorPotential(
            calculator="ase.calculators.lj:LennardJones", options={"bogus()": 1, "sigma": None}
        ).evaluate([])
    with pytest.raises(UnknownName, match="has no 'Emt'"):
        AseCalculatorPotential(calculator="ase.calculators.emt:Emt")
    with pytest.raises(ValueError, match="no chemical elements: 'Xx'"):
        AseCalculatorPotential(calculator=EMT, elements=["Cu", "Xx"])
    with pytest.raises(ValueError, match="deadline_s"):
        AseCalculatorPotential(calculator=EMT, deadline_s=0.0)
    with pytest.raises(ValueError, match="kcal"):
        AseCalculatorPotential(calculator=EMT, energy_scale="kcal")
