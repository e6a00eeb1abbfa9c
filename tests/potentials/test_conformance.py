"""Every registered potential against the physics any potential obeys."""

from __future__ import annotations

from typing import Any

import pytest

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials import POTENTIALS, conformance, load_potential
from ray_matdesign.potentials.chgnet import ChgnetPotential
from ray_matdesign.potentials.conformance import (
    DOUBLE_PRECISION,
    SINGLE_PRECISION,
    TooFewCrystals,
    examine,
    violations,
)
from ray_matdesign.potentials.emt import EmtPotential
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.potentials.strained import strained_crystals

EMT = "ase.calculators.emt:EMT"


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a potential needs to be built here, by its name."""
    name = request.node.callspec.params["name"]
    if name == "sevennet":
        pytest.importorskip("sevenn", reason="SevenNet is not installed (extra 'sevennet')")
    if name == "mattersim":
        return {"model": str(request.getfixturevalue("mattersim_file"))}
    if name == "ase":
        return {"calculator": EMT, "elements": ["Al", "Cu", "Au", "Ni", "Pt"]}
    return {}


@pytest.mark.parametrize("name", POTENTIALS)
def test_every_registered_potential_conforms(name: str, settings: dict[str, Any]) -> None:
    potential = load_potential(name, **settings)
    crystals = strained_crystals(potential.elements, most=2)
    if name == "sevennet":  # the largest network here, also checked in double precision elsewhere
        crystals = strained_crystals(frozenset({12, 17, 47, 55}))
    assert violations(potential, crystals) == []


def test_chgnet_conforms_in_double_precision(chgnet_double: ChgnetPotential) -> None:
    crystals = strained_crystals(chgnet_double.elements, most=2)
    assert violations(chgnet_double, crystals, tolerances=DOUBLE_PRECISION) == []


def test_emt_conforms_in_double_precision(emt: EmtPotential, alloys: list[Crystal]) -> None:
    assert violations(emt, alloys, tolerances=DOUBLE_PRECISION) == []


class Wrong(EmtPotential):
    """EMT with one mistake that only a check of its own kind can see."""

    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake

    def evaluate(self, crystals):
        if self.mistake == "unknown element":
            known = [
                crystal
                if crystal.elements <= self.elements
                else Crystal(crystal.lattice, crystal.frac_coords, [29] * len(crystal))
                for crystal in crystals
            ]
            return super().evaluate(known)
        points = super().evaluate(crystals)
        for place, (crystal, point) in enumerate(zip(crystals, points, strict=True)):
            if isinstance(point, Failed):
                continue
            if self.mistake == "forces":
                point.forces_ev_per_ang[0, 0] += 0.1
            elif self.mistake == "stress":
                point.stress_ev_per_ang3[...] *= -1.0
            elif self.mistake == "batch" and place > 0:
                points[place] = points[0]
            elif self.mistake == "supercell":
                point.stress_ev_per_ang3[...] *= len(crystal)
        return points


@pytest.fixture(scope="module")
def pairs() -> list[Crystal]:
    """Two-atom cells, for speed."""
    lattice = [[3.0, 0.1, 0.0], [0.0, 3.1, 0.2], [0.1, 0.0, 2.9]]
    coords = [[0.0, 0.0, 0.0], [0.48, 0.51, 0.47]]
    return [Crystal(lattice, coords, [29, 79]), Crystal(lattice, coords, [13, 28])]


@pytest.mark.parametrize("mistake", ["forces", "stress", "batch", "supercell", "unknown element"])
def test_each_mistake_is_found_by_its_check(mistake: str, pairs: list[Crystal]) -> None:
    found = violations(Wrong(mistake), pairs)
    assert any(line.startswith(mistake) for line in found), found


def test_a_deviation_is_given_with_its_tolerance(alloys: list[Crystal]) -> None:
    with pytest.raises(AssertionError, match=r"forces deviates by 0\.1, tolerance 0\.001"):
        conformance.check_forces(Wrong("forces"), alloys[0])


def test_too_few_crystals_are_refused(emt: EmtPotential, alloys: list[Crystal]) -> None:
    with pytest.raises(TooFewCrystals, match="two crystals it knows"):
        violations(emt, alloys[:1])


def test_strained_crystals_hold_only_what_may_occur() -> None:
    elements = frozenset({13, 29, 79})
    crystals = strained_crystals(elements)
    assert len(crystals) == 2
    assert all(crystal.elements <= elements for crystal in crystals)
    assert strained_crystals(frozenset({2})) == []


def test_what_passes_is_measured_too(emt: EmtPotential, alloys: list[Crystal]) -> None:
    told: list[tuple[int, int]] = []
    findings = examine(emt, alloys, progress=lambda done, total: told.append((done, total)))
    assert told == [(k + 1, len(findings)) for k in range(len(findings))]
    assert not any(finding.problem for finding in findings)
    by_check = {(f.check, f.formula): f.deviation for f in findings}
    assert {check for check, _ in by_check} == {
        *("supercell", "permutation", "translation", "forces", "stress"),
        *("batch", "unknown element"),
    }
    assert by_check.pop(("unknown element", "")) is None
    for deviation in by_check.values():
        assert deviation is not None
        assert 0 <= deviation.value < deviation.tolerance
    forces = by_check["forces", "Al"]
    # Central differences err by the third derivative of the energy times the step squared, over
    # six; with steps of 0.005 Angstrom on bonds as stiff as aluminium's that is some 1e-4.
    assert forces is not None
    assert (forces.quantity, forces.unit) == ("forces", "eV/Angstrom")
    assert 1e-6 < forces.value < 1e-3
    assert forces.tolerance == SINGLE_PRECISION.force_ev_per_ang


class Fragile(EmtPotential):
    """EMT that raises where it should have returned a failure."""

    def evaluate(self, crystals):
        if len(crystals) > 6:
            raise RuntimeError("out of\nmemory")
        return super().evaluate(crystals)


def test_an_exception_fails_the_check_it_happens_in(pairs: list[Crystal]) -> None:
    findings = examine(Fragile(), pairs)
    raised = {finding.check for finding in findings if finding.problem}
    assert raised == {"forces", "stress"}  # which ask for many crystals at once
    assert violations(Fragile(), pairs)[0].endswith(": raised RuntimeError: out of memory")
