"""Mixtures whose composition is known, through the simulated diffractometer."""

from __future__ import annotations

import numpy as np
import pytest
from lab_fixtures import NO_MISHAPS, mixture

from ray_matdesign.agents.laboratory.analysis import Analysis, identify
from ray_matdesign.agents.laboratory.diffraction import (
    WAVELENGTH_ANGSTROM,
    powder,
    profile,
    reflections,
    widths,
)
from ray_matdesign.agents.laboratory.instruments import Content, Instruments
from ray_matdesign.agents.laboratory.messages import Pattern, Xrd
from ray_matdesign.agents.laboratory.phases import PHASES, within

TITANATES = [phase.name for phase in within({"Ba", "Ti", "O", "C"})]
GRID = np.arange(12.0, 80.0, 0.04)


def measured(content: Content, key: str = "k", seconds: float = 1.0) -> Pattern:
    xrd = Xrd(sample="sample-1", seconds_per_step=seconds)
    result = Instruments(0, NO_MISHAPS).diffract(key, xrd, content).result
    assert isinstance(result, Pattern)
    return result


def assert_cells(analysis: Analysis, content: Content, phase: str, tolerance: float) -> None:
    (share,) = (one for one in analysis.shares if one.phase == phase)
    true = np.asarray(PHASES[phase].lengths) * (1.0 + np.asarray(content.stretches[phase]))
    assert np.abs(np.asarray(share.lengths_angstrom) / true - 1.0).max() < tolerance


def test_reflections_lie_where_bragg_says() -> None:
    """LiCl, a = 5.130: 2 theta of 200 is 2 asin(lambda / a)."""
    lines = reflections("LiCl")
    index = (
        lines.hkl.tolist().index([0.0, 0.0, 2.0])
        if [0.0, 0.0, 2.0] in lines.hkl.tolist()
        else (lines.hkl.tolist().index([2.0, 0.0, 0.0]))
    )
    bragg = 2.0 * np.degrees(np.arcsin(WAVELENGTH_ANGSTROM / 5.130))
    assert lines.angles()[index] == pytest.approx(bragg, abs=1e-3)
    stretched = 2.0 * np.degrees(np.arcsin(WAVELENGTH_ANGSTROM / (5.130 * 1.01)))
    assert lines.angles([1.01] * 3)[index] == pytest.approx(stretched, abs=1e-3)


def test_angles_follow_the_cell_as_pymatgen_has_it() -> None:
    """A stretched monoclinic cell, against pymatgen's own d spacings."""
    from pymatgen.core import Lattice

    lines = reflections("Li2CO3")
    a, b, c = np.asarray(PHASES["Li2CO3"].lengths) * [1.01, 0.99, 1.02]
    lattice = Lattice.from_parameters(a, b, c, 90.0, PHASES["Li2CO3"].beta, 90.0)
    spacings = np.array([lattice.d_hkl(hkl) for hkl in lines.hkl])
    expected = 2.0 * np.degrees(np.arcsin(WAVELENGTH_ANGSTROM / 2.0 / spacings))
    assert np.abs(lines.angles([1.01, 0.99, 1.02]) - expected).max() < 1e-6


def test_areas_of_reflections_are_kept_by_the_profile() -> None:
    angles, strengths = np.array([30.0, 41.003]), np.array([2.0, 5.0])
    seen = profile(GRID, angles, strengths, widths(angles, 500.0))
    # A tenth of the Lorentzian's area lies in the tails that are cut off, at most.
    assert seen.sum() * 0.04 == pytest.approx(7.0, rel=0.03)
    assert GRID[int(np.argmax(seen))] == pytest.approx(41.003, abs=0.03)


@pytest.mark.parametrize(
    "masses",
    [
        {"BaTiO3": 1.0},
        {"BaTiO3": 0.9, "BaCO3": 0.1},
        {"BaTiO3": 0.7, "Ba2TiO4": 0.2, "TiO2": 0.1},
        {"BaCO3": 0.5, "TiO2-anatase": 0.3, "BaTiO3": 0.2},
    ],
    ids=lambda masses: "-".join(masses),
)
def test_known_mixtures_are_read(masses: dict[str, float]) -> None:
    content = mixture(masses, seed=len(masses))
    analysis = identify(measured(content), TITANATES)
    assert {share.phase for share in analysis.shares} == set(masses)
    for phase, mass in masses.items():
        assert analysis.fraction(phase) == pytest.approx(mass, abs=0.02)
        assert_cells(analysis, content, phase, 0.001)
    assert analysis.unexplained < 0.02
    assert analysis.purity("BaTiO3") == pytest.approx(masses["BaTiO3"], abs=0.03)


def test_orientation_and_the_zero_of_the_angles_are_told_apart_from_the_cell() -> None:
    grid_counts = 3000.0 * powder(GRID, "LiCoO2", scales=[1.002, 1.002, 0.998], march=0.8,
                                  shift_deg=0.08, size_angstrom=400.0)  # fmt: skip
    pattern = Pattern(
        sample="plates",
        wavelength_angstrom=WAVELENGTH_ANGSTROM,
        two_theta_deg=tuple(GRID.tolist()),
        counts=tuple((grid_counts + 50.0).tolist()),
    )
    analysis = identify(pattern, ["LiCoO2", "Co3O4", "CoO"])
    (share,) = analysis.shares
    assert share.march == pytest.approx(0.8, abs=0.02)
    assert analysis.shift_deg == pytest.approx(0.08, abs=0.01)
    assert share.size_angstrom == pytest.approx(400.0, rel=0.05)
    lengths = np.asarray(share.lengths_angstrom) / PHASES["LiCoO2"].lengths
    assert lengths == pytest.approx([1.002, 1.002, 0.998], abs=3e-4)


def test_what_no_reference_explains_counts_against_purity() -> None:
    masses = {"BaTiO3": 0.3, "TiO2": 0.1, "NH4H2PO4": 0.6}  # no reference is at hand for the last
    analysis = identify(measured(mixture(masses)), TITANATES)
    assert len(analysis.unknown_peaks_deg) >= 4
    assert analysis.unexplained > 0.05
    assert analysis.purity("BaTiO3") < analysis.fraction("BaTiO3")


def test_a_pattern_of_background_alone_shows_nothing() -> None:
    counts = np.random.default_rng(0).poisson(100.0, len(GRID)).astype(float)
    pattern = Pattern(
        sample="glass",
        wavelength_angstrom=WAVELENGTH_ANGSTROM,
        two_theta_deg=tuple(GRID.tolist()),
        counts=tuple(counts.tolist()),
    )
    assert identify(pattern, TITANATES).shares == ()


def test_patterns_that_cannot_be_read_are_named() -> None:
    pattern = Pattern(
        sample="s1", wavelength_angstrom=1.5406, two_theta_deg=(1.0, 2.0, 5.0), counts=(1.0,) * 3
    )
    with pytest.raises(ValueError, match="s1: the angles of the pattern are not evenly spaced"):
        identify(pattern, TITANATES)
    with pytest.raises(ValueError, match="no reference phase"):
        identify(pattern, [])
