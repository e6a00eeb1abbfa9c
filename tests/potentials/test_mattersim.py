"""MatterSim against the package's own way of evaluating, on a small network with random weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ray_matdesign.crystals.convert import to_ase
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import EnergyScale, Failed, Relaxed, SinglePoint
from ray_matdesign.potentials.relaxation import BatchRelaxer

pytest.importorskip("mattersim", reason="MatterSim is not installed (extra 'mattersim')")

from ray_matdesign.potentials import mattersim_weights
from ray_matdesign.potentials.mattersim import MattersimPotential
from ray_matdesign.potentials.mattersim_weights import InvalidWeights, WeightsNotFound


@pytest.fixture(scope="module")
def potential(mattersim_file: Path) -> MattersimPotential:
    return MattersimPotential(model=str(mattersim_file))


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch, of the package's own code
def test_is_what_the_package_computes(
    potential: MattersimPotential, mattersim_file: Path, oxides: list[Crystal]
) -> None:
    from mattersim.datasets.utils.build import build_dataloader
    from mattersim.forcefield.potential import Potential, batch_to_dict

    published = Potential.from_checkpoint(
        str(mattersim_file), device="cpu", load_training_state=False
    )
    graphs = build_dataloader(
        [to_ase(crystal) for crystal in oxides], only_inference=True, batch_size=1
    )
    for crystal, graph, ours in zip(oxides, graphs, potential.evaluate(oxides), strict=True):
        theirs = published.forward(batch_to_dict(graph, device="cpu"))
        assert isinstance(ours, SinglePoint)
        energy = float(theirs["total_energy"].detach()) / len(crystal)
        assert ours.energy_ev_per_atom == pytest.approx(energy, abs=1e-5)
        forces = theirs["forces"].detach().numpy()
        assert np.abs(forces).max() > 0.005 or len(crystal) == 1
        np.testing.assert_allclose(ours.forces_ev_per_ang, forces, atol=2e-5)
        stress_gpa = theirs["stresses"][0].detach().numpy()
        np.testing.assert_allclose(ours.stress_ev_per_ang3 * 160.21766208, stress_gpa, atol=1e-3)


def test_batches_of_any_size_say_the_same(
    mattersim_file: Path, oxides: list[Crystal], alloys: list[Crystal]
) -> None:
    # In version 1.2.5 a crystal's triples were counted wrongly unless it came first in its batch.
    crystals = [*oxides, *alloys, oxides[0]]
    answers = [
        MattersimPotential(model=str(mattersim_file), atoms_per_batch=n).evaluate(crystals)
        for n in (1, 7, 1000)
    ]
    for points in zip(*answers, strict=True):
        energies = [point.energy_ev_per_atom for point in points]
        assert max(energies) - min(energies) < 1e-5
        spread = np.ptp([point.forces_ev_per_ang for point in points], axis=0)
        assert spread.max() < 1e-4


def test_triples_are_every_ordered_pair_of_near_edges(
    potential: MattersimPotential, shapes: SimpleNamespace
) -> None:
    from ray_matdesign.potentials.neighbors import find_pairs

    copper = shapes.fcc([29] * 4, 3.6)
    pairs = find_pairs(copper.lattice, copper.frac_coords, cutoff=5.0, skin=0.5)
    graph = potential.graph(copper, pairs)
    assert not isinstance(graph, Failed)
    # Within 5 Angstrom an atom of fcc copper has 12 + 6 + 24 neighbours, within 4 it has 12 + 6.
    assert graph.edges.shape == (2, 4 * 42)
    assert len(graph.triples) == 4 * 18 * 17
    assert graph.triples_per_edge.sum() == len(graph.triples)


def test_moving_crystals_keep_their_neighbour_lists_right(
    potential: MattersimPotential, oxides: list[Crystal]
) -> None:
    session = potential.session()
    rng = np.random.default_rng(0)
    crystals = oxides[:2]
    for _ in range(4):
        kept, fresh = session.evaluate([0, 1], crystals), potential.evaluate(crystals)
        for one, other in zip(kept, fresh, strict=True):
            assert one.energy_ev_per_atom == pytest.approx(other.energy_ev_per_atom, abs=1e-5)
        crystals = [
            c.with_cell(c.lattice * 0.99, c.frac_coords + 0.03 * rng.standard_normal((len(c), 3)))
            for c in crystals
        ]


def test_a_left_handed_cell_has_the_same_stress(
    potential: MattersimPotential, oxides: list[Crystal]
) -> None:
    crystal = oxides[1]
    swapped = crystal.with_cell(crystal.lattice[[1, 0, 2]], crystal.frac_coords[:, [1, 0, 2]])
    one, other = potential.evaluate([crystal, swapped])
    np.testing.assert_allclose(one.stress_ev_per_ang3, other.stress_ev_per_ang3, atol=1e-6)


def test_failures_are_values_in_place(potential: MattersimPotential, oxides: list[Crystal]) -> None:
    flat = Crystal([[1e3, 0, 0], [0, 1e3, 0], [999.0, 0.0, 1e-3]], [[0, 0, 0]], [12])
    strangers = {
        "unknown element: Og": Crystal(4.0 * np.eye(3), [[0, 0, 0]], [118]),
        "unknown element: Rn": Crystal(4.0 * np.eye(3), [[0, 0, 0]], [86]),
        "without a neighbour within 5 Angstrom": Crystal(20.0 * np.eye(3), [[0, 0, 0]], [12]),
        "0.40 Angstrom apart": Crystal(4.0 * np.eye(3), [[0, 0, 0], [0, 0, 0.1]], [12, 8]),
        "too small for a neighbour search": flat,
    }
    outcomes = potential.evaluate([*strangers.values(), oxides[0]])
    for reason, outcome in zip(strangers, outcomes, strict=False):
        assert isinstance(outcome, Failed)
        assert reason in outcome.reason
    assert isinstance(outcomes[-1], SinglePoint)


def test_a_pair_without_triples_can_be_evaluated(
    potential: MattersimPotential, oxides: list[Crystal]
) -> None:
    dimer = Crystal(12.0 * np.eye(3), [[0, 0, 0], [0, 0, 0.1]], [8, 8])
    alone, _ = potential.evaluate([dimer, oxides[0]]), None
    (single,) = potential.evaluate([dimer])
    assert isinstance(single, SinglePoint)
    assert alone[0].energy_ev_per_atom == pytest.approx(single.energy_ev_per_atom, abs=1e-5)
    np.testing.assert_allclose(single.forces_ev_per_ang.sum(axis=0), 0.0, atol=1e-4)


def test_relaxes(potential: MattersimPotential, oxides: list[Crystal]) -> None:
    outcomes = BatchRelaxer(potential).relax(oxides[:2], fmax_ev_per_ang=0.05, max_steps=15)
    for outcome in outcomes:
        assert isinstance(outcome, Relaxed)
        assert outcome.energy_ev_per_atom < outcome.initial_energy_ev_per_atom


def test_says_what_it_is(potential: MattersimPotential, mattersim_file: Path) -> None:
    assert potential.name.startswith("mattersim-tiny-")
    assert potential.energy_scale is EnergyScale.MP_UNCORRECTED
    assert len(potential.elements) == 89


def test_two_files_of_one_name_are_two_potentials(mattersim_file: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(mattersim_file, weights_only=True)
    checkpoint["model"]["final.g.2.linear.bias"] += 1.0
    other = tmp_path / mattersim_file.name
    torch.save(checkpoint, other)
    names = {MattersimPotential(model=str(path)).name for path in (mattersim_file, other)}
    assert len(names) == 2


def test_files_that_are_no_checkpoints_are_named(mattersim_file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pth"
    bad.write_text("weights")
    with pytest.raises(InvalidWeights, match=r"cannot read .*bad\.pth"):
        MattersimPotential(model=str(bad))
    torch.save({"state_dict": {}}, bad)
    with pytest.raises(InvalidWeights, match="no 'model' and 'model_args'"):
        MattersimPotential(model=str(bad))
    checkpoint = torch.load(mattersim_file, weights_only=True)
    del checkpoint["model"]["final.g.0.linear.bias"]
    torch.save(checkpoint, bad)
    with pytest.raises(InvalidWeights, match=r"lacks 1 weights, e\.g\. final\.g\.0\.linear\.bias"):
        MattersimPotential(model=str(bad))
    torch.save({**checkpoint, "model_name": "graphormer"}, bad)
    with pytest.raises(InvalidWeights, match="holds a 'graphormer'"):
        MattersimPotential(model=str(bad))


def test_weights_that_are_nowhere_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsNotFound, match=r"give the path of a \.pth file, or one of"):
        MattersimPotential(model=str(tmp_path / "none.pth"))
    folder = tmp_path / "pretrained_models"
    monkeypatch.setattr(mattersim_weights, "FOLDER", folder)
    # A proxy nobody listens at: no test talks to the network.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(WeightsNotFound, match=f"put it into {folder}, or set the option model"):
        MattersimPotential(model="MatterSim-v1.0.0-1M.pth")
    assert list(folder.iterdir()) == []


def test_a_published_name_is_found_where_the_package_keeps_it(
    mattersim_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mattersim_weights, "FOLDER", tmp_path)
    (tmp_path / "mattersim-v1.0.0-1M.pth").write_bytes(mattersim_file.read_bytes())
    assert MattersimPotential(model="mattersim-v1.0.0-1m").name == "mattersim-v1.0.0-1M"
