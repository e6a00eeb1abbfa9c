"""Symmetric crystals as padded tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from ray_matdesign.generators.diffusion.lattice import (
    free_strains,
    log_strain,
    pinned_strains,
)
from ray_matdesign.generators.diffusion.symmetry import CENTRINGS, Scaffold, SymmetricCrystal


@dataclass(frozen=True)
class ScaffoldBatch:
    """What stays as it is while crystals are noised and denoised.

    Attributes:
        group: Space group, shape ``(batch,)``.
        centring: Primitive in conventional vectors, shape ``(batch, 3, 3)``.
        strain_free: Which cell coordinates are free, shape ``(batch, 6)``.
        strain_pinned: The values of the others, shape ``(batch, 6)``.
        atoms: True where there is an atom, shape ``(batch, atoms)``.
        orbits: True where there is an orbit, shape ``(batch, orbits)``.
        orbit: Orbit of each atom, shape ``(batch, atoms)``.
        first: Representative atom of each orbit, shape ``(batch, orbits)``.
        basis: How free coordinates move atoms, shape ``(batch, atoms, 3, 3)``.
        offset: Shape ``(batch, atoms, 3)``.
        movable: Which free coordinates each orbit has, shape ``(batch, orbits, 3)``.
        drift: Orthonormal translations in free coordinates, shape ``(batch, orbits, 3, 3)``.
    """

    group: Tensor
    centring: Tensor
    strain_free: Tensor
    strain_pinned: Tensor
    atoms: Tensor
    orbits: Tensor
    orbit: Tensor
    first: Tensor
    basis: Tensor
    offset: Tensor
    movable: Tensor
    drift: Tensor

    def __len__(self) -> int:
        return len(self.group)

    @property
    def n_atoms(self) -> Tensor:
        """Atoms of the primitive cells, shape ``(batch,)``."""
        return self.atoms.sum(-1)

    @property
    def conventional_atoms(self) -> Tensor:
        """Atoms of the conventional cells, shape ``(batch,)``."""
        counts: Tensor = self.n_atoms / torch.linalg.det(self.centring)
        return counts

    @property
    def freedom(self) -> Tensor:
        """Coordinates to be decided, common translations not counted, shape ``(batch,)``."""
        translations = self.drift.square().sum((1, 2, 3)).round()
        return self.movable.sum((1, 2)) - translations

    @property
    def multiplicity(self) -> Tensor:
        """Atoms of each orbit in the primitive cell, shape ``(batch, orbits)``."""
        counts = torch.zeros_like(self.first)
        return counts.scatter_add(1, self.orbit, self.atoms.to(counts.dtype))

    def without_drift(self, vectors: Tensor) -> Tensor:
        """Vectors in free coordinates, less what would only translate the crystal."""
        along = torch.einsum("bmik,bmi->bk", self.drift, vectors)
        return (vectors - torch.einsum("bmik,bk->bmi", self.drift, along)) * self.movable

    def place(self, free: Tensor) -> Tensor:
        """Fractional coordinates of all atoms, shape ``(batch, atoms, 3)``; not wrapped."""
        of_atoms = torch.gather(free, 1, self.orbit.unsqueeze(-1).expand(-1, -1, 3))
        return torch.einsum("baij,baj->bai", self.basis, of_atoms) + self.offset

    def to(self, device: torch.device) -> ScaffoldBatch:
        """The batch on another device."""
        return ScaffoldBatch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def rows(self, index: Tensor) -> ScaffoldBatch:
        """Some scaffolds, padded no further than they need."""
        picked = {f.name: getattr(self, f.name)[index] for f in fields(self)}
        atoms, orbits = (int(picked[side].sum(-1).max()) for side in ("atoms", "orbits"))
        for name in ("atoms", "orbit", "basis", "offset"):
            picked[name] = picked[name][:, :atoms]
        for name in ("orbits", "first", "movable", "drift"):
            picked[name] = picked[name][:, :orbits]
        return ScaffoldBatch(**picked)


@dataclass(frozen=True)
class CrystalBatch:
    """A batch of crystals on their scaffolds.

    Attributes:
        scaffold: Their symmetry.
        strain: Cell coordinates of the conventional cells, shape ``(batch, 6)``, see
            :func:`~.lattice.log_strain`.
        free: Free coordinates, shape ``(batch, orbits, 3)``.
        types: Atomic numbers, shape ``(batch, orbits)``; 0 where hidden, or padding.
    """

    scaffold: ScaffoldBatch
    strain: Tensor
    free: Tensor
    types: Tensor

    def __len__(self) -> int:
        return len(self.strain)

    @property
    def n_atoms(self) -> Tensor:
        """Shape ``(batch,)``."""
        return self.scaffold.n_atoms

    def to(self, device: torch.device) -> CrystalBatch:
        """The batch on another device."""
        return CrystalBatch(
            self.scaffold.to(device),
            self.strain.to(device),
            self.free.to(device),
            self.types.to(device),
        )

    def rows(self, index: Tensor) -> CrystalBatch:
        """Some crystals, padded no further than they need."""
        scaffold = self.scaffold.rows(index)
        orbits = scaffold.orbits.shape[1]
        return replace(
            self,
            scaffold=scaffold,
            strain=self.strain[index],
            free=self.free[index, :orbits],
            types=self.types[index, :orbits],
        )


def collate_scaffolds(scaffolds: Sequence[Scaffold]) -> ScaffoldBatch:
    """Pads scaffolds into one batch."""
    batch = len(scaffolds)
    atoms = max(len(scaffold) for scaffold in scaffolds)
    orbits = max(len(scaffold.letters) for scaffold in scaffolds)
    basis = np.zeros((batch, atoms, 3, 3), dtype=np.float32)
    offset = np.zeros((batch, atoms, 3), dtype=np.float32)
    orbit = np.zeros((batch, atoms), dtype=np.int64)
    first = np.zeros((batch, orbits), dtype=np.int64)
    movable = np.zeros((batch, orbits, 3), dtype=bool)
    drift = np.zeros((batch, orbits, 3, 3), dtype=np.float32)
    for row, scaffold in enumerate(scaffolds):
        n, m = len(scaffold), len(scaffold.letters)
        basis[row, :n], offset[row, :n] = scaffold.basis, scaffold.offset
        orbit[row, :n], first[row, :m] = scaffold.orbit, scaffold.representatives
        movable[row, :m], drift[row, :m] = scaffold.movable, scaffold.drift
    n_atoms = torch.tensor([len(scaffold) for scaffold in scaffolds])
    n_orbits = torch.tensor([len(scaffold.letters) for scaffold in scaffolds])
    groups = [scaffold.group for scaffold in scaffolds]
    return ScaffoldBatch(
        group=torch.tensor(groups),
        centring=torch.tensor(
            [CENTRINGS[scaffold.centring] for scaffold in scaffolds], dtype=torch.float32
        ),
        strain_free=torch.tensor([free_strains(group) for group in groups]),
        strain_pinned=torch.tensor([pinned_strains(group) for group in groups]),
        atoms=torch.arange(atoms) < n_atoms.unsqueeze(-1),
        orbits=torch.arange(orbits) < n_orbits.unsqueeze(-1),
        orbit=torch.from_numpy(orbit),
        first=torch.from_numpy(first),
        basis=torch.from_numpy(basis),
        offset=torch.from_numpy(offset),
        movable=torch.from_numpy(movable),
        drift=torch.from_numpy(drift),
    )


def collate(crystals: Sequence[SymmetricCrystal]) -> CrystalBatch:
    """Pads symmetric crystals into one batch."""
    scaffold = collate_scaffolds([crystal.scaffold for crystal in crystals])
    free = torch.zeros(scaffold.movable.shape)
    types = torch.zeros(scaffold.first.shape, dtype=torch.long)
    for row, crystal in enumerate(crystals):
        free[row, : len(crystal.types)] = torch.tensor(crystal.free)
        types[row, : len(crystal.types)] = torch.tensor(crystal.types)
    cells = torch.from_numpy(np.stack([crystal.cell for crystal in crystals]))
    strain = log_strain(cells, scaffold.conventional_atoms).float()
    return CrystalBatch(scaffold, strain, free, types)
