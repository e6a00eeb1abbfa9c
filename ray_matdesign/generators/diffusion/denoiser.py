"""The network: messages from every atom to every orbit, blind to translation and orientation.

The DiffCSP denoiser (arXiv:2309.04475, Eq. 10-13) with four changes that make it fit two CPU
cores: only one atom of each orbit receives messages, since symmetry makes the others its copies;
the message has one layer, whose atom parts are computed once for each atom instead of once for each
pair; geometry enters through pair features computed once and shared by all layers; and these hold
real distances to periodic images beside the Fourier features of fractional offsets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ray_matdesign.generators.diffusion.batch import CrystalBatch, ScaffoldBatch
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
    conditions: tuple[str, ...] = ()
    """Properties the network can be told of."""


@dataclass(frozen=True)
class Denoised:
    """What the network says about a noisy batch.

    Attributes:
        strain: Velocity of the standardised cell coordinates, shape ``(batch, 6)``.
        free: Score of the free coordinates over its root mean square, ``(batch, orbits, 3)``.
        logits: Scores of each atomic number, shape ``(batch, orbits, 119)``.
    """

    strain: Tensor
    free: Tensor
    logits: Tensor


def nearest_image_distances(wrapped: Tensor, images: Tensor, lattice: Tensor) -> Tensor:
    """Distances to the six nearest periodic images of each pair, ascending, Angstrom.

    Six carry what bonding needs; all 27 would only cost time.

    Args:
        wrapped: Fractional offsets in [-0.5, 0.5), shape ``(batch, orbits, atoms, 3)``.
        images: Cell translations to look at, shape ``(27, 3)``.
        lattice: Shape ``(batch, 3, 3)``.
    """
    offsets = wrapped.flatten(1, 2) @ lattice
    translations = images @ lattice
    # |v + R|^2 expanded, so that the 27 images cost one small matrix product.
    squares = (
        offsets.square().sum(-1, keepdim=True)
        + 2.0 * offsets @ translations.mT
        + translations.square().sum(-1).unsqueeze(1)
    )
    nearest = torch.topk(squares, 6, dim=-1, largest=False, sorted=True).values
    return nearest.clamp(min=0.0).sqrt().view(*wrapped.shape[:3], 6)


class PairGeometry(nn.Module):
    """Features of every orbit's atom with every atom: how far apart, in cells and in Angstrom."""

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

    def forward(self, frac: Tensor, first: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
        """Pair features ``(batch, orbits, atoms, pair_width)`` and sines of the offsets' phases.

        The sines, ``(batch, orbits, atoms, 3, harmonics)``, serve the coordinate head as a basis.
        """
        receivers = torch.gather(frac, 1, first.unsqueeze(-1).expand(-1, -1, 3))
        offset = receivers.unsqueeze(2) - frac.unsqueeze(1)
        phase = offset.unsqueeze(-1) * self.frequencies
        sines = phase.sin()
        wrapped = offset - torch.round(offset)
        nearest = nearest_image_distances(wrapped, self.images, lattice)
        radial = torch.exp(-((nearest.unsqueeze(-1) - self.centres) / self.width).square()).sum(-2)
        features = torch.cat(
            [sines.flatten(-2), phase.cos().flatten(-2), radial, nearest / 7.0 - 1.0], dim=-1
        )
        return functional.silu(self.embed(features)), sines


class MessageLayer(nn.Module):
    """One round of messages; a residual update of every orbit."""

    def __init__(self, shape: DenoiserShape) -> None:
        super().__init__()
        width = shape.width
        self.norm = nn.LayerNorm(width)
        self.sender_receiver = nn.Linear(width, 2 * width, bias=False)
        self.pair = nn.Linear(shape.pair_width, width)
        self.update = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def messages(self, orbits: Tensor, pairs: Tensor, scaffold: ScaffoldBatch) -> Tensor:
        """Message of atom j to orbit i, shape ``(batch, i, j, width)``; 0 from padding."""
        receive, send = self.sender_receiver(orbits).chunk(2, dim=-1)
        of_atoms = scaffold.orbit.unsqueeze(-1).expand(-1, -1, send.shape[-1])
        # SiLU of a large negative number is zero: this silences padding without another pass
        # over the pairs.
        send = torch.gather(send, 1, of_atoms).masked_fill(~scaffold.atoms.unsqueeze(-1), -1e4)
        total = self.pair(pairs)
        total += receive.unsqueeze(2)
        total += send.unsqueeze(1)
        return functional.silu(total)

    def forward(
        self, orbits: Tensor, context: Tensor, pairs: Tensor, scaffold: ScaffoldBatch
    ) -> tuple[Tensor, Tensor]:
        """Updated orbits and the messages that did it.

        Args:
            orbits: Shape ``(batch, orbits, width)``.
            context: Time, cell and conditions, shape ``(batch, 1, width)``.
            pairs: Pair features.
            scaffold: Symmetry.
        """
        normed = self.norm(orbits) + context
        messages = self.messages(normed, pairs, scaffold)
        gathered = messages.sum(2) / scaffold.n_atoms[:, None, None]
        return orbits + self.update(torch.cat([normed, gathered], dim=-1)), messages


class Symmetry(nn.Module):
    """What the network is told of each orbit: group, sizes, freedom."""

    def __init__(self, shape: DenoiserShape) -> None:
        super().__init__()
        self.groups = nn.Embedding(231, shape.width)
        self.sizes = nn.Embedding(shape.max_atoms + 1, shape.width)
        self.multiplicities = nn.Embedding(shape.max_atoms + 1, shape.width)
        self.freedoms = nn.Embedding(4, shape.width)

    def forward(self, scaffold: ScaffoldBatch) -> Tensor:
        """Shape ``(batch, orbits, width)``."""
        crystal = self.groups(scaffold.group) + self.sizes(scaffold.n_atoms)
        freedom = self.freedoms(scaffold.movable.sum(-1))
        total: Tensor = crystal.unsqueeze(1) + self.multiplicities(scaffold.multiplicity) + freedom
        return total


class Denoiser(nn.Module):
    """Predicts the clean crystal behind a noisy one.

    Args:
        shape: Size of the network.
        strain_mean: Mean of the training cells' free coordinates, shape ``(6,)``.
        strain_std: Their standard deviation, shape ``(6,)``.
    """

    strain_mean: Tensor
    strain_std: Tensor
    condition_mean: Tensor
    condition_std: Tensor

    def __init__(self, shape: DenoiserShape, strain_mean: Tensor, strain_std: Tensor) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("strain_mean", strain_mean.clone())
        self.register_buffer("strain_std", strain_std.clone())
        width, conditions = shape.width, len(shape.conditions)
        self.types = nn.Embedding(N_TYPES, width)
        self.symmetry = Symmetry(shape)
        self.context = nn.Sequential(
            nn.Linear(6 + 32, width), nn.SiLU(), nn.Linear(width, width * shape.layers)
        )
        if conditions:
            self.register_buffer("condition_mean", torch.zeros(conditions))
            self.register_buffer("condition_std", torch.ones(conditions))
            # Told nothing yet, the network answers as it did without conditions.
            silent = nn.Linear(width, width * shape.layers)
            nn.init.zeros_(silent.weight)
            nn.init.zeros_(silent.bias)
            self.condition = nn.Sequential(nn.Linear(2 * conditions, width), nn.SiLU(), silent)
        self.geometry = PairGeometry(shape)
        self.layers = nn.ModuleList(MessageLayer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(width)
        self.strain_head = nn.Sequential(
            nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, 6)
        )
        self.free_head = nn.Linear(width, 3)
        self.pair_head = nn.Linear(width, 3 * _HEAD_HARMONICS)
        self.type_head = nn.Linear(width, N_TYPES)

    def cells(self, batch: CrystalBatch) -> Tensor:
        """Primitive cells of a batch whose ``strain`` is standardised, ``(batch, 3, 3)``."""
        scaffold = batch.scaffold
        free = batch.strain * self.strain_std + self.strain_mean
        strain = torch.where(scaffold.strain_free, free, scaffold.strain_pinned)
        conventional = lattice_from_log_strain(strain, scaffold.conventional_atoms)
        return scaffold.centring @ conventional

    def forward(
        self, batch: CrystalBatch, time: Tensor, condition: Tensor | None = None
    ) -> Denoised:
        """Denoises a batch.

        Args:
            batch: Noisy; ``batch.strain`` holds *standardised* noisy cell coordinates, 0 where
                the group pins them.
            time: Shape ``(batch,)``.
            condition: Property values in their own units, shape ``(batch, conditions)``; NaN where
                nothing is asked for. ``None`` asks for nothing at all.
        """
        scaffold = batch.scaffold
        frac = scaffold.place(batch.free)
        pairs, phases = self.geometry(frac, scaffold.first, self.cells(batch))
        context = self.context(torch.cat([batch.strain, _time_features(time)], dim=-1))
        if self.shape.conditions:
            context = context + self._told(condition, context)
        contexts = context.unsqueeze(1).chunk(len(self.layers), dim=-1)
        orbits = self.types(batch.types) + self.symmetry(scaffold)
        messages = pairs
        for layer, part in zip(self.layers, contexts, strict=True):
            orbits, messages = layer(orbits, part, pairs, scaffold)
        normed = self.norm(orbits)
        weight = scaffold.multiplicity / scaffold.n_atoms.unsqueeze(-1)
        pooled = (weight.to(normed.dtype).unsqueeze(1) @ normed).squeeze(1)
        velocity = self.strain_head(torch.cat([pooled, contexts[-1].squeeze(1)], dim=-1))
        return Denoised(
            strain=velocity * scaffold.strain_free,
            free=self._coordinates(normed, messages, phases, scaffold),
            logits=self.type_head(normed),
        )

    def _told(self, condition: Tensor | None, like: Tensor) -> Tensor:
        if condition is None:
            return torch.zeros_like(like)
        present = ~torch.isnan(condition)
        value = ((condition - self.condition_mean) / self.condition_std).nan_to_num(0.0)
        told: Tensor = self.condition(torch.cat([value, present.to(value.dtype)], dim=-1))
        # Nothing asked for is the unconditional network, exactly.
        return told * present.any(-1, keepdim=True)

    def _coordinates(
        self, orbits: Tensor, messages: Tensor, phases: Tensor, scaffold: ScaffoldBatch
    ) -> Tensor:
        """Score of each orbit: its own opinion plus pulls along the offsets to all atoms."""
        pulls = self.pair_head(messages).unflatten(-1, (3, _HEAD_HARMONICS))
        pulled = (pulls * phases[..., :_HEAD_HARMONICS]).sum(-1)
        # Padding sends no messages, but the head's bias would speak for it.
        share = scaffold.atoms / scaffold.n_atoms.unsqueeze(-1)
        vector = self.free_head(orbits) + (pulled * share[:, None, :, None]).sum(2)
        representatives = torch.gather(
            scaffold.basis, 1, scaffold.first[:, :, None, None].expand(-1, -1, 3, 3)
        )
        # A score is a gradient: it goes to free coordinates by the transposed basis.
        along = torch.einsum("bmji,bmj->bmi", representatives, vector.to(representatives.dtype))
        return scaffold.without_drift(along)


def _time_features(time: Tensor) -> Tensor:
    """Sines and cosines of the time, shape ``(batch, 32)``."""
    octaves = math.pi * 2.0 ** torch.linspace(-1.0, 5.0, 16, device=time.device)
    angles = time.unsqueeze(-1) * octaves
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
