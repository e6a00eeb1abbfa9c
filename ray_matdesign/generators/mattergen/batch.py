"""Crystals as MatterGen's batches and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from ray_matdesign.generators.mattergen.compat import mattergen_modules

MASK_TYPE = 101
"""MatterGen's number for an atom whose type is not known yet."""


def to_batch(
    crystals: Sequence[Crystal], properties: Mapping[str, Sequence[float | str]] | None = None
) -> Any:
    """Crystals as one ``ChemGraph`` batch, as MatterGen's own data sets make it.

    Each cell is rotated so that its matrix is symmetric and positive definite (for a left-handed
    cell: its mirror image), which is the only form in which MatterGen knows cells.

    Args:
        crystals: In the cells they are to be learned in.
        properties: Labels by name, one for each crystal; NaN where unknown.
    """
    modules = mattergen_modules()
    graphs = [
        _graph(
            pos=torch.remainder(torch.tensor(crystal.frac_coords), 1.0).float(),
            cell=modules.data_utils.compute_lattice_polar_decomposition(
                torch.tensor(crystal.lattice)[None]
            ).float(),
            atomic_numbers=torch.tensor(crystal.numbers),
            properties={name: values[k] for name, values in (properties or {}).items()},
        )
        for k, crystal in enumerate(crystals)
    ]
    return modules.collate.collate(graphs)


def blank_batch(n_atoms: Sequence[int], condition: Mapping[str, float | str]) -> Any:
    """A batch that says only how many atoms each crystal has and what it is conditioned on."""
    graphs = [
        _graph(
            pos=torch.full((n, 3), torch.nan),
            cell=torch.full((1, 3, 3), torch.nan),
            atomic_numbers=torch.full((n,), MASK_TYPE),
            properties=condition,
        )
        for n in n_atoms
    ]
    return mattergen_modules().collate.collate(graphs)


def some(batch: Any, rows: slice) -> Any:
    """A batch of some of a batch's crystals."""
    graphs = [batch.get_example(k) for k in range(batch.num_graphs)[rows]]
    return mattergen_modules().collate.collate(graphs)


def to_crystals(batch: Any) -> list[Crystal | None]:
    """Crystals of a batch; ``None`` where the arrays are none, or a type was left undecided."""
    bounds = torch.cumsum(batch["num_atoms"], 0).cpu()[:-1]
    cells = batch["cell"].double().cpu().numpy()
    parts = zip(
        cells,
        torch.tensor_split(batch["pos"].double().cpu(), bounds),
        torch.tensor_split(batch["atomic_numbers"].cpu(), bounds),
        strict=True,
    )
    crystals: list[Crystal | None] = []
    for cell, pos, types in parts:
        try:
            decided = bool((types < MASK_TYPE).all())
            crystals.append(Crystal(cell, pos.numpy(), types.numpy()) if decided else None)
        except InvalidCrystal:
            # The contract of ``sample``: arrays that are no crystal are left out.
            crystals.append(None)
    return crystals


def _graph(
    pos: Tensor, cell: Tensor, atomic_numbers: Tensor, properties: Mapping[str, float | str]
) -> Any:
    labels = {
        name: value if isinstance(value, str) else torch.tensor(value, dtype=torch.float32)
        for name, value in properties.items()
    }
    count = torch.tensor(len(pos))
    return mattergen_modules().chemgraph.ChemGraph(
        pos=pos,
        cell=cell,
        atomic_numbers=atomic_numbers,
        num_atoms=count,
        num_nodes=count,  # PyTorch Geometric's own name, by which it batches
        **labels,
    )
