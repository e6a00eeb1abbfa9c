"""The network: message passing between every pair of atoms, blind to translation and orientation.

The DiffCSP denoiser (arXiv:2309.04475, Eq. 10-13) with three changes that make it fit two CPU
cores: the pair message has one layer, whose atom parts are computed once for each atom instead of
once for each pair; geometry enters through pair features computed once and shared by all layers;
and these hold real distances to periodic images beside the Fourier features of fractional offsets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ray_matdesign.generators.diffusion.batch import CrystalBatch
from ray_matdesign.generators.diffusion.lattice import lattice_from_log_strain

N_TYPES = 119
"""Rows of the type table; 0 stands for a hidden type."""
_HEAD_HARMONICS = 4


@dataclass(frozen=True)
class DenoiserShape:
    """Size of the network."""

    width: int = 128
    layers: int = 5
    pair_width: int = 64
    harmonics: int = 6
    radial: int = 20
    cutoff_ang: float = 7.0
    max_atoms: int = 20


@dataclass(frozen=True)
class Denoised:
    """What the network says about a noisy batch.

    Attributes:
        strain: Velocity of the standardised cell coordinates, shape ``(batch, 6)``.
        frac: Coordinate score over its root mean square, shape ``(batch, atoms, 3)``.
        logits: Scores of each atomic number, shape ``(batch, atoms, 119)``.
    """

    strain: Tensor
    frac: Tensor
    logits: Tensor


def nearest_image_distances(wrapped: Tensor, images: Tensor, lattice: Tensor) -> Tensor:
    """Distances to the six nearest periodic images of each pair, ascending, Angstrom.

    Six carry what bonding needs; all 27 would only cost time.

    Args:
        wrapped: Fractional offsets in [-0.5, 0.5), shape ``(batch, atoms, atoms, 3)``.
        images: Cell translations to look at, shape ``(27, 3)``.
        lattice: Shape ``(batch, 3, 3)``.
    """
    batch, atoms = wrapped.shape[:2]
    offsets = wrapped.flatten(1, 2) @ lattice
    translations = images @ lattice
    # |v + R|^2 expanded, so that the 27 images cost one small matrix product.
    squares = (
        offsets.square().sum(-1, keepdim=True)
        + 2.0 * offsets @ translations.mT
        + translations.square().sum(-1).unsqueeze(1)
    )
    nearest = torch.topk(squares, 6, dim=-1, largest=False, sorted=True).values
    return nearest.clamp(min=0.0).sqrt().view(batch, atoms, atoms, 6)


class PairGeometry(nn.Module):
    """Features of every ordered pair of atoms: where they lie apart, in cells and in Angstrom."""

    images: Tensor
    centres: Tensor
    frequencies: Tensor

    def __init__(self, shape: DenoiserShape) -> None:
        super().__init__()
        grid = torch.cartesian_prod(*[torch.arange(-1.0, 2.0)] * 3)
        self.register_buffer("images", grid, persistent=False)
        centres = torch.linspace(0.5, shape.cutoff_ang, shape.radial)
        self.register_buffer("centres", centres, persistent=False)
        frequencies = 2.0 * math.pi * torch.arange(1.0, shape.harmonics + 1)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.width = float(centres[1] - centres[0])
        features = 6 * shape.harmonics + shape.radial + 6
        self.embed = nn.Linear(features, shape.pair_width)

    def forward(self, frac: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
        """Pair features ``(batch, atoms, atoms, pair_width)`` and phases of the offsets.

        The phases, ``(batch, atoms, atoms, 3, harmonics)``, serve the coordinate head as a basis.
        """
        offset = frac.unsqueeze(2) - frac.unsqueeze(1)
        phase = offset.unsqueeze(-1) * self.frequencies
        wrapped = offset - torch.round(offset)
        nearest = nearest_image_distances(wrapped, self.images, lattice)
        radial = torch.exp(-((nearest.unsqueeze(-1) - self.centres) / self.width).square()).sum(-2)
        features = torch.cat(
            [phase.sin().flatten(-2), phase.cos().flatten(-2), radial, nearest / 7.0 - 1.0], dim=-1
        )
        return functional.silu(self.embed(features)), phase.sin()


class MessageLayer(nn.Module):
    """One round of messages; a residual update of every atom."""

    def __init__(self, shape: DenoiserShape) -> None:
        super().__init__()
        width = shape.width
        self.norm = nn.LayerNorm(width)
        self.sender_receiver = nn.Linear(width, 2 * width, bias=False)
        self.pair = nn.Linear(shape.pair_width, width)
        self.update = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def messages(self, atoms: Tensor, pairs: Tensor, mask: Tensor) -> Tensor:
        """Message of atom j to atom i, shape ``(batch, i, j, width)``; 0 from padding."""
        receive, send = self.sender_receiver(atoms).chunk(2, dim=-1)
        # SiLU of a large negative number is zero: this silences padding without another pass
        # over the pairs.
        send = send.masked_fill(~mask.unsqueeze(-1), -1e4)
        total = self.pair(pairs)
        total += receive.unsqueeze(2)
        total += send.unsqueeze(1)
        return functional.silu(total)

    def forward(
        self, atoms: Tensor, cell: Tensor, pairs: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Updated atoms and the messages that did it.

        Args:
            atoms: Shape ``(batch, atoms, width)``.
            cell: Time, size and cell, shape ``(batch, 1, width)``.
            pairs: Pair features.
            mask: True where there is an atom, shape ``(batch, atoms)``.
        """
        normed = self.norm(atoms) + cell
        messages = self.messages(normed, pairs, mask)
        gathered = messages.sum(2) / mask.sum(-1)[:, None, None]
        return atoms + self.update(torch.cat([normed, gathered], dim=-1)), messages


class Denoiser(nn.Module):
    """Predicts the clean crystal behind a noisy one.

    Args:
        shape: Size of the network.
        strain_mean: Mean of the training cells' coordinates, shape ``(6,)``.
        strain_std: Their standard deviation, shape ``(6,)``.
    """

    strain_mean: Tensor
    strain_std: Tensor

    def __init__(self, shape: DenoiserShape, strain_mean: Tensor, strain_std: Tensor) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("strain_mean", strain_mean.clone())
        self.register_buffer("strain_std", strain_std.clone())
        width = shape.width
        self.types = nn.Embedding(N_TYPES, width)
        self.sizes = nn.Embedding(shape.max_atoms + 1, width)
        self.cell = nn.Sequential(
            nn.Linear(6 + 32, width), nn.SiLU(), nn.Linear(width, width * shape.layers)
        )
        self.geometry = PairGeometry(shape)
        self.layers = nn.ModuleList(MessageLayer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(width)
        self.strain_head = nn.Sequential(
            nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, 6)
        )
        self.frac_head = nn.Linear(width, 3)
        self.pair_head = nn.Linear(width, 3 * _HEAD_HARMONICS)
        self.type_head = nn.Linear(width, N_TYPES)

    def forward(self, batch: CrystalBatch, time: Tensor) -> Denoised:
        """Denoises a batch.

        Args:
            batch: Noisy; ``batch.strain`` holds *standardised* noisy cell coordinates.
            time: Shape ``(batch,)``.
        """
        n_atoms = batch.n_atoms
        strain = batch.strain * self.strain_std + self.strain_mean
        lattice = lattice_from_log_strain(strain, n_atoms)
        pairs, phases = self.geometry(batch.frac, lattice)
        context = self.cell(torch.cat([batch.strain, _time_features(time)], dim=-1))
        contexts = context.unsqueeze(1).chunk(len(self.layers), dim=-1)
        atoms = self.types(batch.types) + self.sizes(n_atoms).unsqueeze(1)
        share = batch.mask.to(atoms.dtype) / n_atoms.unsqueeze(-1)
        messages = pairs
        for layer, cell in zip(self.layers, contexts, strict=True):
            atoms, messages = layer(atoms, cell, pairs, batch.mask)
        normed = self.norm(atoms)
        pooled = (share.unsqueeze(1) @ normed).squeeze(1)
        return Denoised(
            strain=self.strain_head(torch.cat([pooled, contexts[-1].squeeze(1)], dim=-1)),
            frac=self._coordinates(normed, messages, phases, share, batch.mask),
            logits=self.type_head(normed),
        )

    def _coordinates(
        self, atoms: Tensor, messages: Tensor, phases: Tensor, share: Tensor, mask: Tensor
    ) -> Tensor:
        """Score of each atom: its own opinion plus pulls along the offsets to all others."""
        pulls = self.pair_head(messages).unflatten(-1, (3, _HEAD_HARMONICS))
        pulled = (pulls * phases[..., :_HEAD_HARMONICS]).sum(-1)
        score = self.frac_head(atoms) + (pulled * share[:, None, :, None]).sum(2)
        # A common translation is no part of the crystal: what moves all atoms alike is removed.
        centred: Tensor = score - share.unsqueeze(1) @ score
        return centred * mask.unsqueeze(-1)


def _time_features(time: Tensor) -> Tensor:
    """Sines and cosines of the time, shape ``(batch, 32)``."""
    octaves = math.pi * 2.0 ** torch.linspace(-1.0, 5.0, 16, device=time.device)
    angles = time.unsqueeze(-1) * octaves
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
