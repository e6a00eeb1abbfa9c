"""Passes that do not fit are split, and only what cannot be split fails."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.batching import (
    WithinMemory,
    atoms_in_flight,
    atoms_that_fit,
    batches_of_atoms,
)
from ray_matdesign.potentials.chgnet import ChgnetPotential
from ray_matdesign.potentials.emt import EmtPotential
from ray_matdesign.potentials.protocol import Failed, Relaxed, SinglePoint
from ray_matdesign.potentials.relaxation import ATOMS_IN_FLIGHT, BatchRelaxer


class Cramped(EmtPotential):
    """EMT on a card that holds so many atoms."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.passes: list[int] = []

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        atoms = sum(len(crystal) for crystal in crystals)
        if atoms > self.room:
            raise torch.OutOfMemoryError(f"{atoms} atoms tried to be allocated")
        self.passes.append(atoms)
        return super().evaluate(crystals)


def _energies(points: Sequence[SinglePoint | Failed]) -> list[float | str]:
    return [p.reason if isinstance(p, Failed) else p.energy_ev_per_atom for p in points]


def test_a_pass_that_does_not_fit_is_split(emt: EmtPotential, alloys: list[Crystal]) -> None:
    crystals = alloys * 8  # 64 atoms
    cramped = Cramped(room=20)
    potential = WithinMemory(cramped, atoms_per_pass=1000, device="cpu")
    assert _energies(potential.evaluate(crystals)) == _energies(emt.evaluate(crystals))
    # 64 atoms, then 32, then 16 fit; from then on none is tried that does not.
    assert cramped.passes == [16, 16, 16, 16]
    assert potential.atoms_per_pass == 16
    potential.evaluate(crystals)
    assert cramped.passes == [16] * 8


def test_a_crystal_too_large_fails_alone(emt: EmtPotential, alloys: list[Crystal]) -> None:
    large = Crystal(
        20.0 * torch.eye(3).numpy(), [[i / 30, i / 30, i / 30] for i in range(30)], [29] * 30
    )
    potential = WithinMemory(Cramped(room=20), atoms_per_pass=8, device="cpu")
    found = _energies(potential.evaluate([alloys[0], large, alloys[1]]))
    expected = _energies(emt.evaluate(alloys))
    assert found == [expected[0], "30 atoms do not fit into the device's memory", expected[1]]


def test_relaxation_goes_on_through_running_out(emt: EmtPotential, alloys: list[Crystal]) -> None:
    potential = WithinMemory(Cramped(room=10), atoms_per_pass=64, device="cpu")
    crystals = alloys * 3
    relaxer = BatchRelaxer(potential, atoms_in_flight=atoms_in_flight(potential))
    ours = relaxer.relax(crystals, fmax_ev_per_ang=0.05)
    theirs = BatchRelaxer(emt).relax(crystals, fmax_ev_per_ang=0.05)
    for one, other in zip(ours, theirs, strict=True):
        assert isinstance(one, Relaxed)
        assert isinstance(other, Relaxed)
        assert one.steps == other.steps
        assert one.energy_ev_per_atom == other.energy_ev_per_atom


def test_split_sessions_keep_what_potentials_keep(
    chgnet: ChgnetPotential, oxides: list[Crystal]
) -> None:
    whole = BatchRelaxer(chgnet).relax(oxides, fmax_ev_per_ang=0.1, max_steps=8)
    split = BatchRelaxer(WithinMemory(chgnet, atoms_per_pass=5, device="cpu")).relax(
        oxides, fmax_ev_per_ang=0.1, max_steps=8
    )
    for one, other in zip(whole, split, strict=True):
        assert isinstance(one, Relaxed)
        assert isinstance(other, Relaxed)
        assert one.energy_ev_per_atom == pytest.approx(other.energy_ev_per_atom, abs=1e-4)


def test_other_errors_are_not_taken_for_a_full_memory(alloys: list[Crystal]) -> None:
    class Broken(EmtPotential):
        def evaluate(self, crystals):
            raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="device-side assert"):
        WithinMemory(Broken(), atoms_per_pass=8, device="cpu").evaluate(alloys)


def test_passes_of_a_potential_that_splits_itself_follow() -> None:
    potential = EmtPotential()
    potential.atoms_per_batch = 64  # type: ignore[attr-defined]
    WithinMemory(potential, atoms_per_pass=4096, device="cpu")
    assert potential.atoms_per_batch == 4096  # type: ignore[attr-defined]


def test_atoms_that_fit_leave_room() -> None:
    # 139 GiB free and 4 MiB an atom: half of the 35,584 that would fit.
    assert atoms_that_fit(139 * 2**30, 4 * 2**20) == 17792
    assert atoms_that_fit(2**20, 4 * 2**20) == 1
    assert atoms_that_fit(2**50, 1.0) == 65_536
    with pytest.raises(ValueError, match="took no memory of the device"):
        atoms_that_fit(2**30, 0.0)


def test_sizes_must_be_given_where_they_cannot_be_measured(emt: EmtPotential) -> None:
    with pytest.raises(ValueError, match="must be given on device cpu"):
        WithinMemory(emt, device="cpu")
    with pytest.raises(ValueError, match="expected at least 1"):
        WithinMemory(emt, atoms_per_pass=0, device="cpu")
    assert atoms_in_flight(emt) == ATOMS_IN_FLIGHT


@given(sizes=st.lists(st.integers(1, 12), max_size=20), most=st.integers(1, 30))
def test_batches_hold_every_crystal_once_in_order_and_few_atoms(
    sizes: list[int], most: int
) -> None:
    crystals = {
        key: Crystal(9.0 * torch.eye(3).numpy(), torch.rand(n, 3).numpy(), [29] * n)
        for key, n in enumerate(sizes)
    }
    batches = list(batches_of_atoms(crystals, most))
    assert [key for batch in batches for key in batch] == list(crystals)
    for batch in batches:
        assert len(batch) == 1 or sum(map(len, batch.values())) <= most


@pytest.mark.gpu
def test_a_gpu_is_measured(oxides: list[Crystal]) -> None:
    from ray_matdesign.potentials import load_potential

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    potential = load_potential("chgnet", device="cuda")
    assert isinstance(potential, WithinMemory)
    assert potential.atoms_per_pass > 512
    assert all(isinstance(point, SinglePoint) for point in potential.evaluate(oxides * 50))
