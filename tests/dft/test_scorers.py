from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ray_matdesign.config.loading import ConfigError, load_run_config
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.dft.references import elemental_crystal, read_references
from ray_matdesign.dft.result import DftError
from ray_matdesign.dft.settings import DftSettings
from ray_matdesign.potentials.emt import EmtPotential
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen
from ray_matdesign.rewards.scorers.dft import make_band_gap, make_formation_energy

pytestmark = pytest.mark.usefixtures("helpers")

BENCH = Bench(EmtPotential(), None)  # type: ignore[arg-type]


def specimen(crystal: Crystal) -> Specimen:
    return Specimen(crystal, 0.0, 0.0, 0.0)


def copper_gold() -> Crystal:
    places = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return Crystal(np.eye(3) * 3.75, places, [79, 29, 29, 29])


def test_gaps_come_from_the_code(tmp_path: Path, silicon: Crystal) -> None:
    scorer = make_band_gap(BENCH, code="toy_codes:succeeds", folder=str(tmp_path))
    assert scorer.cost is CostClass.DFT
    assert (scorer.name, scorer.unit, scorer.version) == ("dft_band_gap", "eV", "1")
    assert scorer.score([specimen(silicon)]) == [2.0]
    assert scorer.score([]) == []


def test_failures_stay_failures(tmp_path: Path, silicon: Crystal) -> None:
    scorer = make_band_gap(BENCH, code="toy_codes:never_converges", folder=str(tmp_path))
    (value,) = scorer.score([specimen(silicon)])
    assert isinstance(value, Failed)


def test_formation_energies_are_against_elements_by_the_same_code(tmp_path: Path) -> None:
    scorer = make_formation_energy(BENCH, code="toy_codes:adds_up", folder=str(tmp_path))
    # The toy code gives each atom minus its atomic number, and each crystal of two elements 0.25
    # eV/atom less than that.
    (value,) = scorer.score([specimen(copper_gold())])
    assert value == pytest.approx(-0.25)
    assert len(list(tmp_path.glob("Cu-*"))) == 1


def test_a_missing_reference_is_a_failure_of_those_that_need_it(tmp_path: Path) -> None:
    scorer = make_formation_energy(BENCH, code="toy_codes:adds_up", folder=str(tmp_path))
    boride = Crystal(np.eye(3) * 3.0, [[0, 0, 0], [0.5] * 3], [29, 5])
    bad, good = scorer.score([specimen(boride), specimen(copper_gold())])
    assert isinstance(bad, Failed)
    assert bad.reason.startswith("reference B: no reference crystal of B: give a CIF")
    assert good == pytest.approx(-0.25)


def test_wrong_options_are_named() -> None:
    with pytest.raises(ConfigError, match="options of dft_band_gap: kpoints"):
        make_band_gap(BENCH, kpoints=4)
    with pytest.raises(ConfigError, match="smearing_ev"):
        make_band_gap(BENCH, smearing_ev=-0.1)


def test_a_reference_must_hold_its_element(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'Xx' is no chemical element"):
        read_references({"Xx": "Xx.cif"})
    with pytest.raises(ValueError, match=r"S\.cif"):
        read_references({"S": str(tmp_path / "S.cif")})


@pytest.mark.parametrize(
    ("number", "density_g_cm3"), [(29, 8.93), (34, 4.81), (52, 6.24), (14, 2.33), (26, 7.87)]
)
def test_elements_have_their_measured_density(number: int, density_g_cm3: float) -> None:
    # CRC Handbook of Chemistry and Physics.
    assert elemental_crystal(number).density == pytest.approx(density_g_cm3, rel=0.02)


def test_gases_are_molecules_with_their_measured_bond() -> None:
    oxygen = elemental_crystal(8)
    bond = np.linalg.norm(oxygen.positions[1] - oxygen.positions[0])
    assert bond == pytest.approx(1.208)
    with pytest.raises(DftError, match="no reference crystal of S"):
        elemental_crystal(16)


def test_the_recipe_asks_for_settings_that_exist() -> None:
    (term,) = load_run_config("dft-band-gap").objective.terms
    assert DftSettings(**term.options).code == "gpaw"
