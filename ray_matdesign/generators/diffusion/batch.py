"""Crystals as padded tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.diffusion.lattice import log_strain


@dataclass(frozen=True)
class CrystalBatch:
    """A batch of crystals, padded to the largest.

    Attributes:
        strain: Cell coordinates, shape ``(batch, 6)``, see :func:`~.lattice.log_strain`.
        frac: Fractional coordinates, shape ``(batch, atoms, 3)``.
        types: Atomic numbers, shape ``(batch, atoms)``; 0 where hidden, or padding.
        mask: True where there is an atom, shape ``(batch, atoms)``.
    """

    strain: Tensor
    frac: Tensor
    types: Tensor
    mask: Tensor

    @property
    def n_atoms(self) -> Tensor:
        """Shape ``(batch,)``."""
        return self.mask.sum(-1)

    def __len__(self) -> int:
        return len(self.strain)

    def to(self, device: torch.device) -> CrystalBatch:
        """The batch on another device."""
        return CrystalBatch(
            self.strain.to(device),
            self.frac.to(device),
            self.types.to(device),
            self.mask.to(device),
        )


def collate(crystals: Sequence[Crystal]) -> CrystalBatch:
    """Pads crystals into one batch; their cells should be Niggli-reduced, as in training."""
    largest = max(len(crystal) for crystal in crystals)
    frac = np.zeros((len(crystals), largest, 3), dtype=np.float32)
    types = np.zeros((len(crystals), largest), dtype=np.int64)
    for row, crystal in enumerate(crystals):
        frac[row, : len(crystal)] = crystal.frac_coords
        types[row, : len(crystal)] = crystal.numbers
    lattice = torch.from_numpy(np.stack([crystal.lattice for crystal in crystals]))
    n_atoms = torch.tensor([len(crystal) for crystal in crystals])
    type_tensor = torch.from_numpy(types)
    return CrystalBatch(
        strain=log_strain(lattice, n_atoms).float(),
        frac=torch.from_numpy(frac),
        types=type_tensor,
        mask=type_tensor > 0,
    )
