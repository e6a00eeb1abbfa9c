"""Heat capacity against measured ones, Dulong and Petit, and unstable springs."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from ray_matdesign.crystals.convert import from_ase
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_MASSES_AMU
from ray_matdesign.potentials.emt import EmtPotential
from ray_matdesign.potentials.phonons import GAS_CONSTANT
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.potentials.relaxation import BatchRelaxer
from ray_matdesign.rewards.scorer import Bench, Specimen
from ray_matdesign.rewards.scorers.heat_capacity import make
from tests.potentials.springs import Springs, rock_salt, simple_cubic


def score(crystals: list[Crystal], potential: object, **options: float) -> list[float | Failed]:
    scorer = make(Bench(potential, None), **options)  # type: ignore[arg-type]
    return scorer.score([Specimen(crystal, -3.0, 0.0, 0.0) for crystal in crystals])


def test_metals_are_near_their_measured_heat_capacities():
    # J/(g K), CRC Handbook, at constant pressure; at constant volume 3 % less.
    measured = {"Cu": 0.385, "Ag": 0.235, "Au": 0.129, "Pt": 0.133}
    potential = EmtPotential()
    starts = [from_ase(bulk(symbol)) for symbol in measured]
    relaxed = BatchRelaxer(potential).relax(starts, fmax_ev_per_ang=0.05, max_steps=100)
    found = score([outcome.crystal for outcome in relaxed], potential)
    for value, (symbol, expected) in zip(found, measured.items(), strict=True):
        assert value == pytest.approx(0.97 * expected, rel=0.035), symbol


def test_hot_crystals_obey_dulong_and_petit():
    (value,) = score([rock_salt(12, 8)], Springs(3.0), temperature_k=20_000.0)
    mass = ATOMIC_MASSES_AMU[12] + ATOMIC_MASSES_AMU[8]
    assert value == pytest.approx(6 * GAS_CONSTANT / mass, rel=1e-3)


def test_a_multiple_of_the_cell_has_the_same_value():
    cell = rock_salt(12, 8)
    doubled = Crystal(
        cell.lattice * [[1], [1], [2]],
        np.vstack([cell.frac_coords, cell.frac_coords + np.array([0, 0, 1])]) / [1, 1, 2],
        np.tile(cell.numbers, 2),
    )
    single, double = score([cell, doubled], Springs(3.0))
    assert double == pytest.approx(single, rel=1e-6)


def test_imaginary_modes_are_a_failure_that_says_how_many_and_how_low():
    # Springs that push apart: every mode but the translations is imaginary.
    unstable, stable = (
        score([simple_cubic(14)], Springs(-3.0)),
        score([simple_cubic(14)], Springs(3)),
    )
    assert isinstance(unstable[0], Failed)
    assert "dynamically unstable" in unstable[0].reason
    assert "100.0% of the modes are imaginary, the lowest at -17.60 THz" in unstable[0].reason
    assert isinstance(stable[0], float)


def test_few_imaginary_modes_are_let_through_on_demand():
    (value,) = score([simple_cubic(14)], Springs(-3.0), max_imaginary_share=1.0)
    assert value == pytest.approx(score([simple_cubic(14)], Springs(3.0))[0])


def test_a_failure_costs_only_its_own_crystal():
    results = score([simple_cubic(14), simple_cubic(2), rock_salt(12, 8)], Springs(3.0))
    assert [isinstance(result, float) for result in results] == [True, False, True]


@pytest.mark.parametrize(
    "option", ["temperature_k", "min_length_ang", "displacement_ang", "max_imaginary_share"]
)
def test_options_that_make_no_sense_are_named(option):
    with pytest.raises(ValueError, match=f"heat_capacity: {option} must be positive, got 0"):
        score([], Springs(3.0), **{option: 0.0})
