"""Both potentials against the physics any potential obeys."""

from __future__ import annotations

import pytest

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials import conformance
from ray_matdesign.potentials.chgnet import ChgnetPotential
from ray_matdesign.potentials.emt import EmtPotential


@pytest.mark.parametrize("index", [0, 1, 2])
def test_chgnet_agrees_with_itself(
    chgnet: ChgnetPotential, oxides: list[Crystal], index: int
) -> None:
    conformance.check_supercell(chgnet, oxides[index])
    conformance.check_permutation(chgnet, oxides[index])
    conformance.check_translation(chgnet, oxides[index])


@pytest.mark.parametrize("index", [0, 1])
def test_chgnet_derivatives(
    chgnet_double: ChgnetPotential, oxides: list[Crystal], index: int
) -> None:
    conformance.check_forces(chgnet_double, oxides[index], step_ang=1e-4, tol_ev_per_ang=1e-5)
    conformance.check_stress(chgnet_double, oxides[index], tol_ev_per_ang3=1e-6)


def test_chgnet_batch_and_unknown_element(chgnet: ChgnetPotential, oxides: list[Crystal]) -> None:
    conformance.check_batch(chgnet, oxides)
    conformance.check_unknown_element(chgnet)


@pytest.mark.parametrize("index", [0, 1])
def test_emt(emt: EmtPotential, alloys: list[Crystal], index: int) -> None:
    conformance.check_supercell(emt, alloys[index])
    conformance.check_permutation(emt, alloys[index])
    conformance.check_translation(emt, alloys[index])
    conformance.check_forces(emt, alloys[index])
    conformance.check_stress(emt, alloys[index])


def test_emt_batch_and_unknown_element(emt: EmtPotential, alloys: list[Crystal]) -> None:
    conformance.check_batch(emt, alloys)
    conformance.check_unknown_element(emt)


def test_a_wrong_force_is_noticed(emt: EmtPotential, alloys: list[Crystal]) -> None:
    class Wrong(EmtPotential):
        def evaluate(self, crystals):
            points = super().evaluate(crystals)
            points[0].forces_ev_per_ang[0, 0] += 0.1
            return points

    with pytest.raises(AssertionError, match="forces deviates"):
        conformance.check_forces(Wrong(), alloys[0])
