"""Our driving of SevenNet against the published calculator, and against physics."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("sevenn", reason="SevenNet is not installed (extra 'sevennet')")

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials import conformance
from ray_matdesign.potentials.protocol import EnergyScale, Failed, Relaxed, SinglePoint
from ray_matdesign.potentials.relaxation import BatchRelaxer
from ray_matdesign.potentials.sevennet import SevennetPotential


@pytest.fixture(scope="module")
def sevennet() -> SevennetPotential:
    return SevennetPotential()


@pytest.fixture(scope="module")
def sevennet_double() -> SevennetPotential:
    return SevennetPotential(dtype=torch.float64)


@pytest.fixture(scope="module")
def published():
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator("7net-l3i5", device="cpu")


CASES = {
    "BaTiO3, rattled": lambda make: make.rattled(make.perovskite(56, 22, 8, 4.0), 0.1, seed=1),
    "Cu3Au, dilated": lambda make: make.rattled(make.fcc([29, 29, 29, 79], 4.6), 0.05, seed=2),
    "iron, one atom": lambda make: Crystal(
        2.9 * np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]), [[0, 0, 0]], [26]
    ),
    "skewed cell, far coordinates": lambda make: Crystal(
        [[4.0, 0, 0], [3.5, 4.0, 0], [7.0, 1.0, 4.1]], [[0, 5, 0], [-3.5, 0.52, 7.5]], [11, 17]
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_published_calculator(
    published, sevennet: SevennetPotential, shapes: SimpleNamespace, name: str
) -> None:
    from ase import Atoms

    crystal = CASES[name](shapes)
    atoms = Atoms(
        crystal.numbers,
        scaled_positions=crystal.frac_coords,
        cell=crystal.lattice,
        pbc=True,
        calculator=published,
    )
    (ours,) = sevennet.evaluate([crystal])
    assert isinstance(ours, SinglePoint)
    energy = atoms.get_potential_energy() / len(crystal)
    np.testing.assert_allclose(ours.energy_ev_per_atom, energy, atol=1e-5)
    np.testing.assert_allclose(ours.forces_ev_per_ang, atoms.get_forces(), atol=3e-4)
    theirs = atoms.get_stress(voigt=False)
    np.testing.assert_allclose(ours.stress_ev_per_ang3, theirs, atol=3e-5)


def test_agrees_with_itself(sevennet: SevennetPotential, oxides: list[Crystal]) -> None:
    conformance.check_supercell(sevennet, oxides[0])
    conformance.check_permutation(sevennet, oxides[1])
    conformance.check_translation(sevennet, oxides[2])


def test_derivatives(sevennet_double: SevennetPotential, oxides: list[Crystal]) -> None:
    conformance.check_forces(sevennet_double, oxides[0], step_ang=1e-4, tol_ev_per_ang=1e-5)
    conformance.check_stress(sevennet_double, oxides[0], tol_ev_per_ang3=1e-6)


def test_batch_and_unknown_element(sevennet: SevennetPotential, oxides: list[Crystal]) -> None:
    conformance.check_batch(sevennet, oxides)
    conformance.check_unknown_element(sevennet, oxides[0])


def test_batches_of_any_size_say_the_same(
    sevennet: SevennetPotential, oxides: list[Crystal]
) -> None:
    small, together = copy.copy(sevennet), copy.copy(sevennet)
    small.atoms_per_batch, together.atoms_per_batch = 3, 1000
    for one, other in zip(small.evaluate(oxides), together.evaluate(oxides), strict=True):
        assert isinstance(one, SinglePoint)
        assert isinstance(other, SinglePoint)
        assert one.energy_ev_per_atom == pytest.approx(other.energy_ev_per_atom, abs=1e-5)
    with pytest.raises(ValueError, match="atoms_per_batch is 0"):
        SevennetPotential(atoms_per_batch=0)


def test_turns_down_what_it_cannot_stand_for(
    sevennet: SevennetPotential, shapes: SimpleNamespace
) -> None:
    good = shapes.fcc([13, 13, 13, 13], 4.05)
    crystals = {
        "": good,
        "0.00 Angstrom": Crystal(4.0 * np.eye(3), [[0, 0, 0], [1, 1, 1]], [12, 8]),
        "0.40 Angstrom": Crystal(4.0 * np.eye(3), [[0, 0, 0], [0.1, 0, 0]], [12, 8]),
        "without a neighbour": Crystal(20.0 * np.eye(3), [[0, 0, 0]], [12]),
        "too small": Crystal(np.diag([1e-3, 40.0, 40.0]), [[0, 0, 0]], [12]),
        "Ra": Crystal(4.0 * np.eye(3), [[0, 0, 0]], [88]),
    }
    outcomes = sevennet.evaluate(list(crystals.values()))
    for expected, outcome in zip(crystals, outcomes, strict=True):
        reason = outcome.reason if isinstance(outcome, Failed) else ""
        assert expected in reason
        assert bool(reason) == bool(expected)
    assert sevennet.evaluate([]) == []


def test_relaxes_in_batches(sevennet: SevennetPotential, shapes: SimpleNamespace) -> None:
    """MgO's lattice constant in PBE is 4.26 Angstrom; a neighbour list outlived must not matter."""
    start = shapes.rattled(shapes.rock_salt(12, 8, 4.5), 0.1, seed=4)
    unknown = Crystal(4.0 * np.eye(3), [[0, 0, 0]], [88])
    results = BatchRelaxer(sevennet).relax([start, unknown], fmax_ev_per_ang=0.01, max_steps=100)
    relaxed, failed = results
    assert isinstance(failed, Failed)
    assert isinstance(relaxed, Relaxed)
    assert relaxed.converged
    assert (4.0 * relaxed.crystal.volume) ** (1 / 3) == pytest.approx(4.26, abs=0.02)
    (afresh,) = sevennet.evaluate([relaxed.crystal])
    assert isinstance(afresh, SinglePoint)
    assert relaxed.energy_ev_per_atom == pytest.approx(afresh.energy_ev_per_atom, abs=1e-5)


def test_says_that_its_energies_are_uncorrected(sevennet: SevennetPotential) -> None:
    assert sevennet.energy_scale is EnergyScale.MP_UNCORRECTED
