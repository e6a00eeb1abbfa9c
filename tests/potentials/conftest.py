"""Crystals and potentials the tests share."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.chgnet import ChgnetPotential
from ray_matdesign.potentials.emt import EmtPotential

# Calculators are found by import path, as a user's own would be.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def chgnet() -> ChgnetPotential:
    return ChgnetPotential()


@pytest.fixture(scope="session")
def chgnet_double() -> ChgnetPotential:
    return ChgnetPotential(dtype=torch.float64)


@pytest.fixture(scope="session")
def emt() -> EmtPotential:
    return EmtPotential()


@pytest.fixture(scope="session")
def mattersim_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small MatterSim network with random weights, written by the package itself."""
    pytest.importorskip("mattersim", reason="MatterSim is not installed (extra 'mattersim')")
    from mattersim.forcefield.m3gnet.m3gnet import M3Gnet
    from mattersim.forcefield.potential import Potential

    torch.manual_seed(0)
    network = M3Gnet(num_blocks=2, units=32, max_l=3, max_n=3, device="cpu")
    # Untrained forces are a few meV/Angstrom; scaled, they are of the size of real ones.
    network.normalizer.scale.fill_(300.0)
    network.normalizer.shift.copy_(torch.linspace(-8.0, 0.0, 95))
    path = tmp_path_factory.mktemp("mattersim") / "tiny.pth"
    Potential(network, device="cpu").save(str(path))
    return path


def rattled(crystal: Crystal, amplitude_ang: float, seed: int) -> Crystal:
    """The crystal with its atoms moved and its cell strained at random."""
    rng = np.random.default_rng(seed)
    lattice = crystal.lattice @ (np.eye(3) + 0.02 * rng.standard_normal((3, 3)))
    moves = amplitude_ang * rng.standard_normal((len(crystal), 3))
    return crystal.with_cell(lattice, crystal.frac_coords + moves @ np.linalg.inv(lattice))


def rock_salt(cation: int, anion: int, length_ang: float) -> Crystal:
    """The primitive cell."""
    lattice = 0.5 * length_ang * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return Crystal(lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [cation, anion])


def perovskite(a: int, b: int, x: int, length_ang: float) -> Crystal:
    """The cubic cell of five atoms."""
    coords = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return Crystal(length_ang * np.eye(3), coords, [a, b, x, x, x])


def fcc(elements: list[int], length_ang: float) -> Crystal:
    """The cubic cell of four atoms."""
    coords = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    return Crystal(length_ang * np.eye(3), coords, elements)


@pytest.fixture(scope="session")
def oxides() -> list[Crystal]:
    """Strained and rattled: MgO, BaTiO3, FeO; and iron, one atom."""
    return [
        rattled(rock_salt(12, 8, 4.2), 0.05, seed=1),
        rattled(perovskite(56, 22, 8, 4.0), 0.08, seed=2),
        rattled(rock_salt(26, 8, 4.3), 0.05, seed=3),
        Crystal(
            2.9 * np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
            [[0, 0, 0]],
            [26],
        ),
    ]


@pytest.fixture(scope="session")
def alloys() -> list[Crystal]:
    """Strained and rattled copper with gold, and aluminium."""
    return [
        rattled(fcc([29, 29, 29, 79], 3.75), 0.05, seed=4),
        rattled(fcc([13, 13, 13, 13], 4.05), 0.05, seed=5),
    ]


@pytest.fixture(scope="session")
def shapes() -> SimpleNamespace:
    """The functions above, for tests that make their own crystals."""
    return SimpleNamespace(rattled=rattled, rock_salt=rock_salt, perovskite=perovskite, fcc=fcc)
