"""CHGNet inside TorchSim."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.chgnet import ChgnetPotential
from ray_matdesign.potentials.protocol import SinglePoint

torch_sim = pytest.importorskip("torch_sim")


@pytest.fixture(scope="module")
def model():
    from ray_matdesign.potentials.chgnet_torchsim import ChgnetTorchSimModel

    return ChgnetTorchSimModel()


def _state(crystals: list[Crystal]):
    from ase import Atoms

    atoms = [
        Atoms(numbers=c.numbers, cell=c.lattice, scaled_positions=c.frac_coords, pbc=True)
        for c in crystals
    ]
    return torch_sim.io.atoms_to_state(atoms, torch.device("cpu"), torch.float32)


def test_passes_torchsims_own_validation(model) -> None:
    from torch_sim.models.interface import validate_model_outputs

    validate_model_outputs(model, torch.device("cpu"), torch.float32)


def test_gives_what_the_potential_gives(
    model, chgnet: ChgnetPotential, oxides: list[Crystal]
) -> None:
    results = model(_state(oxides))
    start = 0
    for k, (crystal, point) in enumerate(zip(oxides, chgnet.evaluate(oxides), strict=True)):
        assert isinstance(point, SinglePoint)
        atoms = slice(start, start + len(crystal))
        start = atoms.stop
        energy = float(results["energy"][k]) / len(crystal)
        assert energy == pytest.approx(point.energy_ev_per_atom, abs=1e-5)
        np.testing.assert_allclose(
            results["forces"][atoms].numpy(), point.forces_ev_per_ang, atol=2e-4
        )
        np.testing.assert_allclose(
            results["stress"][k].numpy(), point.stress_ev_per_ang3, atol=2e-5
        )


def test_relaxes_with_torchsims_optimiser(model, oxides: list[Crystal]) -> None:
    final = torch_sim.optimize(
        system=_state(oxides[:2]),
        model=model,
        optimizer=torch_sim.frechet_cell_fire,
        max_steps=20,
    )
    before, after = model(_state(oxides[:2]))["energy"], model(final)["energy"]
    assert bool((after < before).all())
