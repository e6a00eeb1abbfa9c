"""Phonons against closed forms, phonopy's thermodynamics and ASE's phonons."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.crystals.convert import from_ase, to_ase
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_MASSES_AMU
from ray_matdesign.potentials.emt import EmtPotential
from ray_matdesign.potentials.phonons import (
    GAS_CONSTANT,
    KELVIN_IN_THZ,
    Phonons,
    PhononSettings,
    heat_capacity,
    phonons_of,
)
from ray_matdesign.potentials.polarity import (
    ROOT_EV_PER_SQUARE_ANG_AMU_IN_THZ,
    optical_frequencies,
)
from ray_matdesign.potentials.protocol import Failed
from tests.potentials.springs import Springs, rock_salt, simple_cubic

K = 3.0


def one(crystal: Crystal, potential: object, **settings: float) -> Phonons:
    (result,) = phonons_of([crystal], potential, PhononSettings(**settings))  # type: ignore[arg-type]
    assert isinstance(result, Phonons)
    return result


def test_the_spectrum_of_springs_is_the_closed_form():
    phonons = one(simple_cubic(14), Springs(K), min_length_ang=6.0)
    frequencies, weights = phonons.spectrum(40.0)
    highest = np.sqrt(12 * K / ATOMIC_MASSES_AMU[14]) * ROOT_EV_PER_SQUARE_ANG_AMU_IN_THZ
    assert frequencies.max() == pytest.approx(highest, rel=1e-3)
    # The mean over the zone of 2 k (3 - sum cos) is 6 k.
    second_moment = weights @ np.square(frequencies).mean(axis=1)
    assert second_moment == pytest.approx(highest**2 / 2, rel=1e-3)
    assert weights.sum() == pytest.approx(1.0)
    assert phonons.supercells == 1


def test_optical_modes_of_two_kinds_of_atoms():
    phonons = one(rock_salt(12, 8), Springs(K), min_length_ang=0.0)
    masses = ATOMIC_MASSES_AMU[phonons.crystal.numbers]
    expected = np.sqrt(6 * K * (1 / masses).sum()) * ROOT_EV_PER_SQUARE_ANG_AMU_IN_THZ
    found = optical_frequencies(phonons.gamma_force_constants, masses)
    assert found == pytest.approx([expected] * 3, rel=1e-6)
    assert phonons.gamma_force_constants[0, 0] == pytest.approx(6 * K)
    assert phonons.gamma_force_constants.sum(axis=0) == pytest.approx(np.zeros(6), abs=1e-9)


def test_force_constants_at_gamma_do_not_depend_on_the_supercell():
    small = one(rock_salt(12, 8), Springs(K), min_length_ang=0.0)
    large = one(rock_salt(12, 8), Springs(K), min_length_ang=7.0)
    assert large.supercell_atoms > small.supercell_atoms
    assert large.gamma_force_constants == pytest.approx(small.gamma_force_constants, abs=1e-8)


def test_forces_that_were_there_before_a_displacement_are_subtracted():
    free = one(rock_salt(12, 8), Springs(K))
    pushed = one(rock_salt(12, 8), Springs(K, push_ev_per_ang=0.3), fmax_ev_per_ang=1.0)
    assert pushed.spectrum(20.0)[0] == pytest.approx(free.spectrum(20.0)[0], abs=1e-6)


def test_a_crystal_that_finds_no_rest_fails():
    (result,) = phonons_of(
        [rock_salt(12, 8)], Springs(0.0, push_ev_per_ang=0.3), PhononSettings(max_steps=2)
    )
    assert isinstance(result, Failed)
    assert result.reason == "not at rest after 2 steps: 0.3 eV/A left"


def test_all_supercells_of_all_crystals_are_evaluated_in_one_call():
    springs = Springs(K)
    crystals = [simple_cubic(14), rock_salt(12, 8), rock_salt(20, 8)]
    results = phonons_of(crystals, springs, PhononSettings())
    alone = [phonons_of([c], Springs(K), PhononSettings())[0] for c in crystals]
    assert springs.calls == 2  # one for the relaxation, in which all are at rest already
    for together, single in zip(results, alone, strict=True):
        assert isinstance(together, Phonons)
        assert isinstance(single, Phonons)
        assert together.spectrum(20.0)[0] == pytest.approx(single.spectrum(20.0)[0], abs=1e-9)


def test_supercells_are_as_long_as_asked_for():
    for length in (5.0, 7.0, 9.0):
        springs = Springs(K)
        phonons = one(rock_salt(12, 8), springs, min_length_ang=length)
        last = springs.evaluated[-1]
        assert last.lengths.min() >= length - 1e-6
        assert len(last) == phonons.supercell_atoms


def test_a_bad_crystal_costs_only_itself():
    noble = simple_cubic(2)
    huge = Crystal(
        np.diag([2.0, 2.0, 2.0 * 500]),
        [[0, 0, k / 500] for k in range(500)],
        [12 + k % 7 * (k % 3) for k in range(500)],
    )
    results = phonons_of(
        [simple_cubic(14), noble, huge, rock_salt(12, 8)], Springs(K), PhononSettings()
    )
    assert [isinstance(result, Phonons) for result in results] == [True, False, False, True]
    assert "helium is unknown" in results[1].reason  # type: ignore[union-attr]
    assert results[2].reason == (  # type: ignore[union-attr]
        "a primitive cell of 500 atoms: phonons are limited to 100"
    )


def test_work_is_limited():
    (result,) = phonons_of([rock_salt(12, 8)], Springs(K), PhononSettings(max_atoms=20))
    assert isinstance(result, Failed)
    assert result.reason == "its displaced supercells would have more than 20 atoms in all"


def test_noise_in_the_symmetry_costs_no_displacements():
    rng = np.random.default_rng(0)
    noisy = rock_salt(12, 8)
    noisy = noisy.with_cell(noisy.lattice, noisy.frac_coords + 1e-4 * rng.standard_normal((2, 3)))
    assert one(noisy, Springs(K)).supercells == one(rock_salt(12, 8), Springs(K)).supercells == 2


@pytest.mark.parametrize("symbol", ["Cu", "Al"])
def test_frequencies_are_those_of_ases_phonons(symbol, tmp_path):
    from ase.calculators.emt import EMT
    from ase.phonons import Phonons as AsePhonons

    potential = EmtPotential()
    phonons = one(from_ase(bulk(symbol)), potential, min_length_ang=10.0, displacement_ang=0.01)
    atoms = to_ase(phonons.crystal)
    theirs = AsePhonons(atoms, EMT(), supercell=(4, 4, 4), delta=0.01, name=str(tmp_path / "ph"))
    theirs.run()
    theirs.read(acoustic=True)
    points = [[0.5, 0.5, 0.0], [0.5, 0.0, 0.0], [0.25, 0.25, 0.0]]
    electron_volts_in_thz = 241.79893
    expected = np.sort(theirs.band_structure(points) * electron_volts_in_thz, axis=1)
    phonons.solver.run_qpoints(points)
    assert phonons.solver.qpoints.frequencies == pytest.approx(expected, rel=0.02)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of acoustic modes at Gamma
def test_heat_capacity_is_phonopys():
    phonons = one(from_ase(bulk("Cu")), EmtPotential())
    frequencies, weights = phonons.spectrum(40.0)
    for temperature in (50.0, 100.0, 300.0):
        phonons.solver.run_thermal_properties(temperatures=[temperature])
        expected = phonons.solver.thermal_properties.heat_capacity[0]
        assert heat_capacity(frequencies, weights, temperature) == pytest.approx(expected, rel=1e-3)


def test_heat_capacity_of_one_einstein_mode():
    # At h nu = k T: e / (e - 1)^2.
    found = heat_capacity(np.array([[300.0 * KELVIN_IN_THZ]]), np.array([1.0]), 300.0)
    assert found == pytest.approx(GAS_CONSTANT * 0.9206735942, rel=1e-9)


@given(
    st.lists(st.floats(-80.0, 80.0), min_size=1, max_size=6),
    st.floats(1.0, 3000.0),
)
def test_heat_capacity_lies_between_nothing_and_dulong_and_petit(frequencies, temperature):
    found = heat_capacity(np.array([frequencies]), np.array([1.0]), temperature)
    assert 0.0 <= found <= GAS_CONSTANT * len(frequencies) * (1 + 1e-12)
    hotter = heat_capacity(np.array([frequencies]), np.array([1.0]), 2 * temperature)
    assert hotter >= found * (1 - 1e-12)
