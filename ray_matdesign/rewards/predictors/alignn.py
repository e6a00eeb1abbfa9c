"""ALIGNN models (Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021)), through their package.

Written for ``alignn`` 2024.12.12, the release the MatInvent paper used. A model is loaded once; the
package's own ``get_prediction`` reads it anew for every crystal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.predictors.artifact import PredictorError

CUTOFF_ANG, MAX_NEIGHBORS = 8.0, 12
"""Of the graphs the published models were trained on."""
WEIGHTS_NAMES = ("best_model.pt", "checkpoint_300.pt")
"""Either is in the folder, next to ``config.json``, that a published archive unpacks to."""


class AlignnModel:
    """One published ALIGNN model.

    Args:
        name: E.g. ``mp_gappbe_alignn``: of the archive the package downloads if no weights are
            given.
        weights: Folder with ``config.json`` and the weights; empty to let the package download.

    Raises:
        PredictorError: The package is not installed, or the folder lacks a file.
    """

    def __init__(self, name: str, weights: str = "") -> None:
        if find_spec("alignn") is None or find_spec("jarvis") is None:
            raise PredictorError(
                f"{name}: the package 'alignn' is not installed (written for alignn==2024.12.12)"
            )
        self._network = _local(name, Path(weights)) if weights else _downloaded(name)
        self._device = next(self._network.parameters()).device

    def values(self, crystals: Sequence[Crystal]) -> list[float | Failed]:
        """The model's property of each crystal, in its own unit; same order and length."""
        return [self._value(crystal) for crystal in crystals]

    def _value(self, crystal: Crystal) -> float | Failed:
        from alignn.graphs import Graph
        from jarvis.core.atoms import Atoms

        atoms = Atoms(
            lattice_mat=crystal.lattice,
            coords=crystal.frac_coords,
            elements=[SYMBOLS[z] for z in crystal.numbers.tolist()],
            cartesian=False,
        )
        try:
            graph, line_graph = Graph.atom_dgl_multigraph(
                atoms, cutoff=CUTOFF_ANG, max_neighbors=MAX_NEIGHBORS
            )
        except (ValueError, IndexError, KeyError) as error:
            return Failed(f"ALIGNN makes no graph of it: {error}")
        lattice = torch.tensor(atoms.lattice_mat, dtype=torch.float32)
        inputs = [part.to(self._device) for part in (graph, line_graph, lattice)]
        with torch.inference_mode():
            return float(self._network(inputs))


def _downloaded(name: str) -> Any:
    from alignn.pretrained import get_figshare_model

    return get_figshare_model(name).eval()


def _local(name: str, folder: Path) -> Any:
    files = [folder / file for file in WEIGHTS_NAMES if (folder / file).is_file()]
    if not (folder / "config.json").is_file() or not files:
        raise PredictorError(
            f"{name}: {folder} must hold config.json and {' or '.join(WEIGHTS_NAMES)}"
        )
    from alignn.models.alignn import ALIGNN, ALIGNNConfig

    config = json.loads((folder / "config.json").read_text())
    network = ALIGNN(ALIGNNConfig(**config["model"]))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    state = torch.load(files[0], map_location=device, weights_only=True)
    network.load_state_dict(state["model"])
    return network.to(device).eval()
