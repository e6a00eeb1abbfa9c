"""Packaged predictors against published ones, on the same rows that ours never saw.

    python bench/predictor_peers.py gap CRYSTALS MODELS        # CGCNN
    python bench/predictor_peers.py synthesizability CRABNET MODELS   # SynthNN

``CRYSTALS`` is ``crystals_le20.csv.gz``, ``CRABNET`` the wheel crabnet-2.0.8 unpacked, and
``MODELS`` a folder with ``cgcnn_con_cdvae/`` (MIT) and ``synthnn/`` (MIT). The published ones were
trained on data that overlap with these rows. Writes ``bench/results/predictor_peers_WHAT.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from record import write_results
from torch import Tensor
from torch.nn import functional

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.dataset import split_by_composition
from ray_matdesign.potentials.neighbors import find_pairs
from ray_matdesign.rewards.predictors import train_band_gap, train_synthesizability
from ray_matdesign.rewards.predictors.band_gap import BandGap, BandGapModel
from ray_matdesign.rewards.predictors.composition import composition_features
from ray_matdesign.rewards.predictors.formulas import held_back, read_formulas
from ray_matdesign.rewards.predictors.synthesizability import SynthesizabilityModel

CUTOFF_ANG, NEIGHBORS, STEP_ANG = 8.0, 12, 0.2


class Cgcnn:
    """CGCNN (Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018)) from a checkpoint."""

    def __init__(self, checkpoint: Path, atoms: Path) -> None:
        loaded = torch.load(checkpoint, map_location="cpu", weights_only=True)
        self._w: dict[str, Tensor] = loaded["state_dict"]
        self._mean, self._std = (float(loaded["normalizer"][k]) for k in ("mean", "std"))
        table = json.loads(atoms.read_text())
        self._atoms = {int(z): torch.tensor(row, dtype=torch.float32) for z, row in table.items()}

    def gap(self, crystal: Crystal) -> float:
        """Band gap, eV."""
        neighbors, distances = nearest(crystal)
        centers = torch.arange(0.0, CUTOFF_ANG + STEP_ANG / 2, STEP_ANG)
        bonds = torch.exp(-(((distances[..., None] - centers) / STEP_ANG) ** 2))
        x = self._linear("embedding", torch.stack([self._atoms[int(z)] for z in crystal.numbers]))
        for k in range(3):
            pair = torch.cat([x[:, None].expand(-1, NEIGHBORS, -1), x[neighbors], bonds], dim=2)
            gated = self._norm(f"convs.{k}.bn1", self._linear(f"convs.{k}.fc_full", pair))
            gate, core = gated.chunk(2, dim=2)
            message = (torch.sigmoid(gate) * functional.softplus(core)).sum(dim=1)
            x = functional.softplus(x + self._norm(f"convs.{k}.bn2", message))
        pooled = functional.softplus(x.mean(dim=0))
        hidden = functional.softplus(self._linear("conv_to_fc", pooled))
        return float(self._linear("fc_out", hidden)) * self._std + self._mean

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self._w[f"{name}.weight"], self._w[f"{name}.bias"])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        w = {k: self._w[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")}
        scale = w["weight"] / torch.sqrt(w["running_var"] + 1e-5)
        return (x - w["running_mean"]) * scale + w["bias"]


def nearest(crystal: Crystal) -> tuple[Tensor, Tensor]:
    """The 12 nearest neighbours within 8 Angstrom; where there are fewer, atom 0 at 9 Angstrom."""
    pairs = find_pairs(crystal.lattice, crystal.frac_coords, cutoff=CUTOFF_ANG, skin=0.0)
    coords = crystal.frac_coords
    vectors = (coords[pairs.second] - coords[pairs.first] + pairs.images) @ crystal.lattice
    lengths = np.tile(np.linalg.norm(vectors, axis=1), 2)
    centers = np.concatenate([pairs.first, pairs.second])
    others = np.concatenate([pairs.second, pairs.first])
    neighbors = np.zeros((len(crystal), NEIGHBORS), dtype=np.int64)
    distances = np.full((len(crystal), NEIGHBORS), CUTOFF_ANG + 1.0)
    for atom in range(len(crystal)):
        own = np.flatnonzero((centers == atom) & (lengths <= CUTOFF_ANG))
        chosen = own[np.argsort(lengths[own], kind="stable")][:NEIGHBORS]
        neighbors[atom, : len(chosen)] = others[chosen]
        distances[atom, : len(chosen)] = lengths[chosen]
    return torch.from_numpy(neighbors), torch.from_numpy(distances).float()


def compare_gaps(table: Path, models: Path) -> list[dict[str, Any]]:
    """Errors of ours and of CGCNN's two checkpoints on the held-back crystals."""
    data = train_band_gap.labelled_crystals(table)
    _, tested = split_by_composition(
        data.crystals,
        validation_fraction=train_band_gap.HELD_BACK,
        seed=train_band_gap.SPLIT_SEED,
    )
    data = data.subset(tested)
    found = BandGapModel.load().predict(data.crystals)
    described = [k for k, result in enumerate(found) if isinstance(result, BandGap)]
    data = data.subset(described)
    ours = [result for result in found if isinstance(result, BandGap)]
    labels = data.labels["band_gap"]
    gaps = np.array([result.gap_ev for result in ours])
    probabilities = np.array([result.nonmetal_probability for result in ours])
    figures = {"packaged": train_band_gap.figures(labels, gaps, probabilities)}
    folder = models / "cgcnn_con_cdvae"
    for name in ("mpall20_bg", "mpall40_bg"):
        network = Cgcnn(folder / f"{name}.pth.tar", folder / "atom_init.json")
        with torch.inference_mode():
            theirs = np.array([network.gap(crystal) for crystal in data.crystals])
        # A regression has no probability of a gap: how large it is stands for how likely.
        figures[name] = train_band_gap.figures(labels, np.maximum(theirs, 0.0), theirs)
    return _entries(figures)


def compare_synthesizability(crabnet: Path, models: Path) -> list[dict[str, Any]]:
    """Ours and SynthNN on held-back known compounds, and on formulas of other kinds."""
    tables = crabnet / "crabnet" / "data" / "matbench"
    known = set()
    for path in (crabnet / "crabnet/data/benchmark_data/aflow__energy_atom").glob("*.csv"):
        known |= read_formulas(path)
    known |= read_formulas(tables / "expt_gap.csv")
    project = read_formulas(tables / "mp_e_form.csv")
    made_up = train_synthesizability.made_up(3000, known | project, seed=12345)
    changed = train_synthesizability.altered(
        3000, sorted(known), known | project | set(made_up), seed=12345
    )
    kinds = {
        "known": [f for f in sorted(known) if held_back(f, 0.1, seed=0)],
        "Materials Project, rest": [
            f for f in sorted(project - known) if held_back(f, 0.1, seed=0)
        ],
        "hypothetical perovskites": sorted(
            read_formulas(tables / "castelli.csv") - known - project
        )[::3],
        "made up": made_up,
        "altered": changed,
    }
    formulas = [dict(f) for kind in kinds.values() for f in kind]
    labels = np.repeat(list(kinds), [len(kind) for kind in kinds.values()])
    model = SynthesizabilityModel.load()
    scores = {
        "packaged": model.votes(formulas).mean(axis=0),
        "SynthNN": synthnn(composition_features(formulas, model.table), models / "synthnn"),
    }
    return _entries(
        {
            f"{who}; {kind}": values
            for who, score in scores.items()
            for kind, values in train_synthesizability.figures(score, labels).items()
        }
    )


def synthnn(features: NDArray[np.float32], folder: Path) -> NDArray[np.float32]:
    """SynthNN (Antoniuk et al., npj Comput. Mater. 9, 155 (2023)): probability of being made."""
    w = {
        name: np.loadtxt(folder / f"{name}_30M_synth_v3_semi14112.txt")
        for name in ("W1", "F1", "b1", "F2", "b2", "F3", "b3")
    }
    hidden = np.tanh(features[:, :94] @ w["W1"] @ w["F1"] + w["b1"])
    logits = np.tanh(hidden @ w["F2"] + w["b2"]) @ w["F3"] + w["b3"]
    return np.asarray(1.0 / (1.0 + np.exp(logits[:, 1] - logits[:, 0])), dtype=np.float32)


def _entries(figures: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    return [
        {"name": f"{who}; {name}", "value": value, "unit": "", "baseline": None, "ratio": None}
        for who, values in figures.items()
        for name, value in values.items()
    ]


def main() -> None:
    """Compares, prints and records."""
    torch.set_num_threads(1)
    what, table, models = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    compare = {"gap": compare_gaps, "synthesizability": compare_synthesizability}[what]
    entries = compare(table, models)
    for entry in entries:
        print(f"{entry['name']}: {entry['value']}")
    write_results(f"predictor_peers_{what}", entries)


if __name__ == "__main__":
    main()
