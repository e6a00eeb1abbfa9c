from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ray_matdesign.agents.scenarios.elasticity import (
    ElasticityStudy,
    cubic_constants_gpa,
    determine_elasticity,
    write_elasticity,
)
from ray_matdesign.agents.scenarios.materials import CUBIC
from ray_matdesign.agents.scenarios.study_folder import StudyFailed
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.emt import EmtPotential
from ray_matdesign.potentials.protocol import SinglePoint

EV_PER_ANG3_IN_GPA = 160.21766


@pytest.fixture(scope="module")
def study() -> ElasticityStudy:
    return determine_elasticity(CUBIC["Cu"], EmtPotential(), strains=(0.002, 0.005, 0.01, 0.03))


def curvature_gpa(crystal: Crystal, direction: np.ndarray) -> float:
    """Second derivative of the energy by a strain, per volume, from energies alone."""
    step = 2e-3
    strained = [
        crystal.with_cell(crystal.lattice @ (np.eye(3) + k * step * direction), crystal.frac_coords)
        for k in (-1, 0, 1)
    ]
    points = EmtPotential().evaluate(strained)
    low, middle, high = (p.energy_ev_per_atom for p in points if isinstance(p, SinglePoint))
    return (low - 2 * middle + high) / step**2 / crystal.volume * EV_PER_ANG3_IN_GPA


def test_constants_are_the_curvatures_of_the_energy(study: ElasticityStudy) -> None:
    c11, c12, c44 = cubic_constants_gpa(study.tensor)
    stretch = np.diag([1.0, 0.0, 0.0])
    shear = np.array([[0.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert c11 == pytest.approx(curvature_gpa(study.crystal, stretch), rel=0.01)
    assert c44 == pytest.approx(curvature_gpa(study.crystal, shear), rel=0.01)
    biaxial = curvature_gpa(study.crystal, np.diag([1.0, 1.0, 0.0]))
    assert 2 * (c11 + c12) == pytest.approx(biaxial, rel=0.01)


def test_a_smooth_potential_passes_every_check(study: ElasticityStudy) -> None:
    checks = study.checks()
    assert len(checks) == 5
    assert all(check.passed for check in checks), [c for c in checks if not c.passed]
    bulk_error, shear_error = study.modulus_uncertainties_gpa
    assert bulk_error < 1.0
    assert shear_error < 1.0


def test_small_strains_agree_better_than_large_ones(study: ElasticityStudy) -> None:
    assert study.window == 0


def test_the_report_is_made_from_the_data(study: ElasticityStudy, tmp_path: Path) -> None:
    report = write_elasticity(study, tmp_path / "new").read_text()
    data = json.loads((tmp_path / "new" / "data.json").read_text())
    assert f"K = {data['bulk_modulus_gpa'][0]:.1f} ±" in report
    assert "passed all checks" in report
    assert data["potential"] == "emt"
    assert (tmp_path / "new" / "figure.png").stat().st_size > 5000


def test_what_cannot_be_computed_says_why() -> None:
    with pytest.raises(StudyFailed, match="Si: relaxation"):
        determine_elasticity(CUBIC["Si"], EmtPotential())
    with pytest.raises(ValueError, match="at least 3"):
        determine_elasticity(CUBIC["Cu"], EmtPotential(), strains=(0.01, 0.02))
