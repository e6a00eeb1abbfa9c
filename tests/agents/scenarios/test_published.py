"""Copper in effective medium theory and phonons of silicon, against what others found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ray_matdesign.agents.scenarios.copper import CopperStudy, study_copper, write_copper
from ray_matdesign.agents.scenarios.equation_of_state import fit_equation_of_state
from ray_matdesign.agents.scenarios.materials import CUBIC
from ray_matdesign.agents.scenarios.silicon import SiliconStudy, study_silicon, write_silicon
from ray_matdesign.agents.scenarios.study_folder import StudyFailed
from ray_matdesign.potentials.chgnet import ChgnetPotential
from ray_matdesign.potentials.elasticity import ElasticitySettings, ElasticTensor, elastic_tensors
from ray_matdesign.potentials.emt import EmtPotential
from ray_matdesign.potentials.phonons import PhononSettings


@pytest.fixture(scope="module")
def copper() -> CopperStudy:
    return study_copper(EmtPotential(), repeats=2)


@pytest.fixture(scope="module")
def silicon() -> SiliconStudy:
    return study_silicon(ChgnetPotential(), settings=PhononSettings(min_length_ang=7.0))


def test_the_equation_of_state_is_the_one_ase_fits(copper: CopperStudy) -> None:
    from ase.eos import EquationOfState
    from ase.units import GPa

    fit = copper.equation_of_state
    volume, energy, bulk = EquationOfState(
        fit.volumes_ang3, fit.energies_ev, eos="birchmurnaghan"
    ).fit()
    assert fit.volume_ang3 == pytest.approx(volume, rel=1e-5)
    assert fit.energy_ev == pytest.approx(energy, abs=1e-6)
    assert fit.bulk_modulus_gpa == pytest.approx(bulk / GPa, rel=1e-3)


def test_energies_and_stresses_agree_on_the_bulk_modulus(copper: CopperStudy) -> None:
    length = copper.equation_of_state.fcc_lattice_constant_ang
    crystal = CUBIC["Cu"].with_cell(length / 3.61 * CUBIC["Cu"].lattice, [[0.0, 0.0, 0.0]])
    (tensor,) = elastic_tensors(EmtPotential(), [crystal], ElasticitySettings(strain=0.005))
    assert isinstance(tensor, ElasticTensor)
    assert copper.equation_of_state.bulk_modulus_gpa == pytest.approx(
        tensor.bulk_modulus_gpa, rel=0.01
    )


def test_copper_is_what_effective_medium_theory_was_published_to_give(copper: CopperStudy) -> None:
    assert all(check.passed for check in copper.checks())
    by_name = {c.what: c for c in copper.comparisons()}
    assert abs(by_name["adatom hop on (100) (eV)"].deviation_percent) < 5.0
    assert abs(by_name["lattice constant (Å)"].deviation_percent) < 1.0
    assert abs(by_name["vacancy formation (eV)"].deviation_percent) < 10.0


def test_a_path_between_equal_sites_is_symmetric(copper: CopperStudy) -> None:
    for barrier in (copper.vacancy, copper.adatom):
        assert barrier.energies_ev == pytest.approx(barrier.energies_ev[::-1], abs=0.01)
        assert int(barrier.energies_ev.argmax()) == len(barrier.energies_ev) // 2


def test_copper_leaves_its_folder(copper: CopperStudy, tmp_path: Path) -> None:
    report = write_copper(copper, tmp_path).read_text()
    data = json.loads((tmp_path / "data.json").read_text())
    assert f"{data['adatom']['height_ev']:.3f} eV" in report
    assert "**failed**" not in report


def test_an_equation_of_state_needs_a_minimum_inside() -> None:
    with pytest.raises(StudyFailed, match="no minimum"):
        fit_equation_of_state(EmtPotential(), CUBIC["Cu"], np.linspace(1.02, 1.08, 7).tolist())


def test_silicon_obeys_what_theory_demands(silicon: SiliconStudy) -> None:
    outcomes = {check.what: check.passed for check in silicon.checks()}
    assert outcomes["rigid shifts cost nothing"]
    assert outcomes["the optical modes at Γ are one"]
    assert outcomes["no mode is unstable"]
    at_x = silicon.frequencies_thz["X"]
    # Diamond's structure pairs all branches at X.
    assert at_x[0::2] == pytest.approx(at_x[1::2], abs=0.02)
    at_l = silicon.frequencies_thz["L"]
    assert at_l[0] == pytest.approx(at_l[1], abs=0.02)
    assert at_l[4] == pytest.approx(at_l[5], abs=0.02)


def test_chgnet_makes_silicon_too_soft_but_orders_it_rightly(silicon: SiliconStudy) -> None:
    comparisons = silicon.comparisons()[1:]
    found = [c.found for c in comparisons]
    known = [c.known for c in comparisons]
    assert np.corrcoef(found, known)[0, 1] > 0.95
    assert np.mean([c.deviation_percent for c in comparisons]) < 0.0


def test_silicon_leaves_its_folder(silicon: SiliconStudy, tmp_path: Path) -> None:
    report = write_silicon(silicon, tmp_path).read_text()
    data = json.loads((tmp_path / "data.json").read_text())
    assert f"{data['frequencies_thz']['Γ'][-1]:.2f} THz" in report
    assert len(data["branches"]) == 3
