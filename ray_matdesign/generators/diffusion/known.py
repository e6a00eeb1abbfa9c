"""Which crystals the training data held, told by space group, orbits and elements alone.

A crystal is known half-way through its making: once its types are decided, before its geometry is.
Of 768 crystals drawn from the packaged weights, nine in ten of those whose structure pymatgen's
matcher finds in the reference set are recognised by that, and one in twenty of the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save

from ray_matdesign.generators.diffusion.batch import CrystalBatch


@dataclass(frozen=True, eq=False)
class KnownCrystals:
    """A set of crystals by their keys.

    Attributes:
        keys: One 64-bit number for each space group with its occupied orbits, ascending.
    """

    keys: NDArray[np.int64]

    @staticmethod
    def of(batches: Iterable[CrystalBatch]) -> KnownCrystals:
        """The crystals of some batches."""
        found = {key for batch in batches for key in crystal_keys(batch)}
        return KnownCrystals(np.array(sorted(found), dtype=np.int64))

    def holds(self, batch: CrystalBatch) -> torch.Tensor:
        """Whether each crystal is one of them, shape ``(batch,)``."""
        asked = np.fromiter(crystal_keys(batch), dtype=np.int64, count=len(batch))
        return torch.from_numpy(np.isin(asked, self.keys))

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        return save({"keys": self.keys})

    @staticmethod
    def from_bytes(stored: bytes) -> KnownCrystals:
        """Inverse of :meth:`to_bytes`."""
        return KnownCrystals(load(stored)["keys"])


def crystal_keys(batch: CrystalBatch) -> Iterator[int]:
    """A number for each crystal that depends on its group and on which elements fill what orbits.

    Wyckoff letters do not enter, because another choice of origin may permute them.
    """
    scaffold = batch.scaffold
    rows = zip(
        scaffold.group.tolist(),
        scaffold.multiplicity.tolist(),
        batch.types.tolist(),
        scaffold.orbits.tolist(),
        strict=True,
    )
    for group, multiplicities, types, orbits in rows:
        occupied = sorted(
            (atoms, number)
            for atoms, number, real in zip(multiplicities, types, orbits, strict=True)
            if real
        )
        text = f"{group}:" + ",".join(f"{atoms}x{number}" for atoms, number in occupied)
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        yield int.from_bytes(digest, "little", signed=True)
