"""Our CHGNet against the published one, and the crystals it turns down."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.chgnet import ChgnetPotential
from ray_matdesign.potentials.protocol import Failed, SinglePoint

EV_PER_ANG3_IN_GPA = 160.21766208


@pytest.fixture(scope="module")
def published():
    from chgnet.model import CHGNet

    return CHGNet.load(use_device="cpu", verbose=False)


CASES = {
    "BaTiO3, rattled": lambda make: make.rattled(make.perovskite(56, 22, 8, 4.0), 0.1, seed=1),
    "Cu3Au, dilated": lambda make: make.rattled(make.fcc([29, 29, 29, 79], 4.6), 0.05, seed=2),
    "MoS2, layered": lambda make: Crystal(
        [[3.2, 0, 0], [-1.6, 2.77, 0], [0, 0, 12.3]],
        [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.377], [2 / 3, 1 / 3, 0.123]],
        [42, 16, 16],
    ),
    "hydrogen, one short bond and no angle": lambda make: Crystal(
        5.0 * np.eye(3), [[0, 0, 0], [0.15, 0, 0]], [1, 1]
    ),
    "left-handed cell": lambda make: Crystal(
        np.diag([4.0, 4.1, -4.2]), make.perovskite(38, 22, 8, 4.0).frac_coords, [38, 22, 8, 8, 8]
    ),
    "skewed cell, far coordinates": lambda make: Crystal(
        [[4.0, 0, 0], [3.5, 4.0, 0], [7.0, 1.0, 4.1]], [[0, 5, 0], [-3.5, 0.52, 7.5]], [11, 17]
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_published_code(
    published, chgnet: ChgnetPotential, shapes: SimpleNamespace, name: str
) -> None:
    from pymatgen.core import Lattice, Structure

    crystal = CASES[name](shapes)
    theirs = published.predict_structure(
        Structure(Lattice(crystal.lattice), crystal.numbers, crystal.frac_coords)
    )
    (ours,) = chgnet.evaluate([crystal])
    assert isinstance(ours, SinglePoint)
    handedness = np.sign(np.linalg.det(crystal.lattice))
    stress_gpa = ours.stress_ev_per_ang3 * EV_PER_ANG3_IN_GPA
    np.testing.assert_allclose(ours.energy_ev_per_atom, theirs["e"], atol=1e-5)
    np.testing.assert_allclose(ours.forces_ev_per_ang, theirs["f"], atol=3e-4)
    # The published code divides by the signed volume.
    np.testing.assert_allclose(stress_gpa, handedness * theirs["s"], atol=5e-3)
    np.testing.assert_allclose(ours.magmoms_mu_b, theirs["m"], atol=1e-4)


def test_turns_down_what_it_cannot_stand_for(
    chgnet: ChgnetPotential, shapes: SimpleNamespace
) -> None:
    good = shapes.fcc([13, 13, 13, 13], 4.05)
    coincident = Crystal(4.0 * np.eye(3), [[0, 0, 0], [1, 1, 1]], [12, 8])
    close = Crystal(4.0 * np.eye(3), [[0, 0, 0], [0.1, 0, 0]], [12, 8])
    alone = Crystal(20.0 * np.eye(3), [[0, 0, 0]], [12])
    flat = Crystal(np.diag([1e-3, 40.0, 40.0]), [[0, 0, 0]], [12])
    radium = Crystal(4.0 * np.eye(3), [[0, 0, 0]], [88])
    outcomes = chgnet.evaluate([good, coincident, close, alone, flat, radium, good])
    reasons = [outcome.reason if isinstance(outcome, Failed) else "" for outcome in outcomes]
    for reason, expected in zip(
        reasons,
        ["", "0.00 Angstrom", "0.40 Angstrom", "without a neighbour", "too small", "Ra", ""],
        strict=True,
    ):
        assert expected in reason
        assert bool(reason) == bool(expected)
    assert isinstance(outcomes[0], SinglePoint)
    assert isinstance(outcomes[6], SinglePoint)
    assert outcomes[0].energy_ev_per_atom == pytest.approx(outcomes[6].energy_ev_per_atom)


def test_only_isolated_atoms(chgnet: ChgnetPotential) -> None:
    (outcome,) = chgnet.evaluate([Crystal(20.0 * np.eye(3), [[0, 0, 0]], [12])])
    assert isinstance(outcome, Failed)


def test_nothing_in_nothing_out(chgnet: ChgnetPotential) -> None:
    assert chgnet.evaluate([]) == []


def test_strained_copies_follow_the_first_order_energy(
    chgnet: ChgnetPotential, shapes: SimpleNamespace
) -> None:
    crystal = shapes.rattled(shapes.perovskite(56, 22, 8, 4.0), 0.05, seed=3)
    strains = np.linspace(-0.002, 0.002, 5)
    copies = [
        crystal.with_cell(crystal.lattice * (1.0 + strain), crystal.frac_coords)
        for strain in strains
    ]
    points = [point for point in chgnet.evaluate(copies) if isinstance(point, SinglePoint)]
    slope = np.polyfit(strains, [point.energy_ev_per_atom * 5 for point in points], 2)[1]
    expected = np.trace(points[2].stress_ev_per_ang3) * crystal.volume
    assert slope == pytest.approx(expected, rel=5e-3)


def test_network_derivatives_match_autograd(
    chgnet_double: ChgnetPotential, shapes: SimpleNamespace
) -> None:
    """The hand-written derivatives of the three layers, entry by entry."""
    from ray_matdesign.potentials.bond_graph import GraphBuilder

    crystal = shapes.rattled(shapes.fcc([29, 8, 29, 8], 3.6), 0.1, seed=7)
    builder = GraphBuilder([crystal.numbers], [None], device=torch.device("cpu"), skin_ang=0.0)
    graph = builder.build(crystal.lattice[None], [crystal.frac_coords])
    vectors = graph.vectors.clone().requires_grad_(True)
    energies, _ = chgnet_double.network.energies(graph, vectors)
    (gradient,) = torch.autograd.grad(energies.sum(), vectors)
    rng = np.random.default_rng(0)
    for _ in range(4):
        direction = torch.as_tensor(rng.standard_normal(vectors.shape))
        ends = [
            chgnet_double.network.energies(graph, graph.vectors + sign * 1e-5 * direction)[0]
            for sign in (1, -1)
        ]
        numerical = float((ends[0] - ends[1]).sum()) / 2e-5
        assert float((gradient * direction).sum()) == pytest.approx(numerical, rel=1e-5, abs=1e-6)
