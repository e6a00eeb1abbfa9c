"""One step of training: seeded, shared among processes, with a running average of the weights.

What a step does follows from the seed and the number of the step alone: which crystals it takes,
and what noise each of them gets. Any number of processes, cutting the batch among them, and any
process that takes over from a checkpoint, therefore come to the same losses.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ray_matdesign.config.schema import PrefilterSettings, TrainSettings
from ray_matdesign.crystals.validity import check
from ray_matdesign.generators.diffusion.artifact import Artifact, CheckpointError
from ray_matdesign.generators.diffusion.batch import CrystalBatch
from ray_matdesign.generators.diffusion.buckets import buckets
from ray_matdesign.generators.diffusion.data import LabelledCrystals, TrainingSet
from ray_matdesign.generators.diffusion.denoiser import Denoised, Denoiser, DenoiserShape
from ray_matdesign.generators.diffusion.losses import (
    LossWeights,
    Noise,
    apply_noise,
    crystal_losses,
    draw_noise,
)
from ray_matdesign.generators.diffusion.optimization import optimizers, set_rate
from ray_matdesign.generators.diffusion.parallel import Alone, Peers, SharedGradients
from ray_matdesign.generators.diffusion.policy import DiffusionPolicy
from ray_matdesign.generators.diffusion.sampler import SamplerOptions

logger = logging.getLogger(__name__)

LOSSES = ("total", "strain", "free", "types")
_NOISE_LEVELS = 5
_VALIDATION_PARTS = 16
_SHAPE_SETTINGS = ("width", "layers", "pair_width", "max_atoms")
_OPTIONAL = ("pymatgen", "smact", "spglib")
"""Packages that sampling and judging need, and learning does not."""


class TrainingDiverged(FloatingPointError):
    """A loss or gradient is no number any more."""


class _Draw(IntEnum):
    """What random numbers are for. The values enter the seeds: never renumber."""

    EPOCH = 0
    STEP = 1
    VALIDATION = 2


class Trainer:
    """The state of a training run and its one step.

    Args:
        data: Crystals.
        settings: Hyper-parameters.
        device: Where the network lives.
        peers: The processes that share every batch.
    """

    def __init__(
        self,
        data: TrainingSet,
        settings: TrainSettings,
        device: torch.device,
        peers: Peers | None = None,
    ) -> None:
        self.settings, self.data, self.device = settings, data, device
        self.peers = peers or Alone()
        shape = DenoiserShape(
            width=settings.width,
            layers=settings.layers,
            pair_width=settings.pair_width,
            max_atoms=settings.max_atoms,
            conditions=data.conditions,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            denoiser = Denoiser(shape, *_strain_moments(data))
        self.denoiser = _standardised(denoiser, data).to(device)
        self.average = copy.deepcopy(self.denoiser).eval()
        self.optimizers = optimizers(self.denoiser, settings)
        self.step = 0
        self.seconds = 0.0
        self._gradients = SharedGradients(self.denoiser.parameters(), len(LOSSES))
        self._train, self._validation = _Side(data.train, device), _Side(data.validation, device)

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns mean losses.

        Raises:
            TrainingDiverged: On every process; the weights are still those before the step.
        """
        settings = self.settings
        set_rate(self.optimizers, self.step, settings)
        chosen = self._batch()
        rng = self._rng(_Draw.STEP, self.step)
        times = 1.0 - 0.99 * torch.rand(len(chosen), generator=rng)
        # Labels are hidden from some crystals, so that the network also learns to do without.
        forgotten = torch.rand(len(chosen), 1, generator=rng) < settings.condition_dropout
        noise = draw_noise(len(chosen), self._train.most_orbits, rng).to(self.device)
        self._gradients.clear()
        for places in self._share(self._train, chosen, settings.micro_batches):
            clean, labels = self._train.rows(chosen[places])
            labels = torch.where(forgotten[places].to(self.device), torch.nan, labels)
            part = noise.rows(places.to(self.device), clean.types.shape[1])
            losses = self._losses(self.denoiser, clean, times[places], part, labels)
            (losses["total"].sum() / len(chosen)).backward()
            self._gradients.sums.add_(_sums(losses).detach() / len(chosen))
        self.peers.add_up(self._gradients.vector)
        norm = self._gradients.clip(settings.clip_norm)
        *means, length = [*self._gradients.sums.tolist(), float(norm)]
        if not np.isfinite([*means, length]).all():
            raise TrainingDiverged(
                f"training diverged at step {self.step}: loss {means[0]:g}, gradient {length:g}; "
                f"the last checkpoint is good: go on from it with a lower lr"
            )
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self._update_average()
        return dict(zip(LOSSES, means, strict=True))

    def _batch(self) -> Tensor:
        """Crystals of this step; epochs, each in an order of its own, follow without a seam."""
        count, size = len(self.data.train), self.settings.batch_size
        places = torch.arange(self.step * size, (self.step + 1) * size)
        epochs = places // count
        orders = [
            torch.randperm(count, generator=self._rng(_Draw.EPOCH, epoch))
            for epoch in range(int(epochs[0]), int(epochs[-1]) + 1)
        ]
        return torch.stack(orders)[epochs - epochs[0], places % count]

    def _rng(self, draw: _Draw, number: int) -> torch.Generator:
        state = np.random.SeedSequence([self.settings.seed, int(draw), number])
        return torch.Generator().manual_seed(int(state.generate_state(1, np.uint64)[0]))

    def _share(self, side: _Side, chosen: Tensor, parts: int) -> list[Tensor]:
        """Places in a batch that this process computes, in parts of crystals of like size."""
        orbits, atoms = side.n_orbits[chosen], side.n_atoms[chosen]
        # Every process gets crystals of all sizes: none has to wait long for the others.
        order = torch.argsort(orbits * atoms, stable=True)
        mine = order[self.peers.rank :: self.peers.size]
        return [mine[part] for part in buckets(orbits[mine], atoms[mine], parts)]

    @torch.no_grad()
    def _update_average(self) -> None:
        # A fixed decay would remember the random start for thousands of steps.
        decay = min(self.settings.ema_decay, (1.0 + self.step) / (10.0 + self.step))
        for kept, new in zip(self.average.parameters(), self.denoiser.parameters(), strict=True):
            kept.lerp_(new, 1.0 - decay)

    def _losses(
        self, network: Denoiser, clean: CrystalBatch, times: Tensor, noise: Noise, labels: Tensor
    ) -> dict[str, Tensor]:
        noisy = apply_noise(clean, times.to(self.device), network, noise)
        halved = self.settings.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=halved):
            answer = network(noisy.crystals, noisy.time, labels)
        answer = Denoised(answer.strain.float(), answer.free.float(), answer.logits.float())
        return crystal_losses(noisy, answer, LossWeights())

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Losses of the averaged weights on held-back crystals, in all and by noise level."""
        side, figures = self._validation, {}
        count = len(self.data.validation)
        everyone = torch.arange(count)
        sums = torch.zeros(_NOISE_LEVELS, len(LOSSES), device=self.device)
        shares = self._share(side, everyone, _VALIDATION_PARTS)
        for level in range(_NOISE_LEVELS):
            rng = self._rng(_Draw.VALIDATION, level)
            within = (torch.randperm(count, generator=rng) + 0.5) / count
            times = (level + within) / _NOISE_LEVELS
            noise = draw_noise(count, side.most_orbits, rng).to(self.device)
            for places in shares:
                clean, labels = side.rows(places)
                part = noise.rows(places.to(self.device), clean.types.shape[1])
                losses = self._losses(self.average, clean, times[places], part, labels)
                sums[level] += _sums(losses) / count
        self.peers.add_up(sums)
        for level, means in enumerate(sums.tolist()):
            for name, mean in zip(LOSSES, means, strict=True):
                figures[f"val_{name}_t{(level + 0.5) / _NOISE_LEVELS:.1f}"] = mean
        means = sums.mean(0).tolist()
        return figures | {f"val_{name}": mean for name, mean in zip(LOSSES, means, strict=True)}

    def artifact(self, notes: Mapping[str, Any]) -> Artifact:
        """The averaged weights, ready to sample."""
        batch = self.data.train.crystals
        elements = torch.unique(batch.types[batch.scaffold.orbits])
        return Artifact(
            denoiser=self.average,
            scaffolds=self.data.scaffolds,
            known=self.data.known,
            elements=tuple(elements.tolist()),
            notes=dict(notes),
        )

    def sample_quality(self) -> dict[str, float]:
        """Validity and variety of crystals drawn from the averaged weights.

        Returns:
            Nothing where a package that sampling or judging needs is not installed.
        """
        wanted = self.settings.samples_scored
        geometric = PrefilterSettings(smact=False)
        try:
            policy = DiffusionPolicy(self.artifact({}), SamplerOptions(steps=50))
            crystals = policy.sample(wanted, seed=0)
            return {
                "structural_validity": sum(check(c, geometric) is None for c in crystals) / wanted,
                "validity": sum(check(c, PrefilterSettings()) is None for c in crystals) / wanted,
                "distinct_formulas": len({c.formula for c in crystals}) / wanted,
            }
        except ModuleNotFoundError as missing:
            package = str(missing.name).split(".")[0]
            if package not in _OPTIONAL:
                raise
            logger.warning("no figures of sampled crystals: %s is not installed", package)
            return {}

    def take_weights(self, artifact: Artifact) -> None:
        """Begins with trained weights; what is particular to other conditions is not taken.

        Raises:
            CheckpointError: They belong to a network of another size.
        """
        alike = artifact.denoiser.shape.conditions == self.data.conditions
        taken = artifact.denoiser.state_dict().items()
        for network in (self.denoiser, self.average):
            own = network.state_dict().items()
            kept = {name: value for name, value in own if name.startswith("condition")}
            new = {n: value for n, value in taken if alike or not n.startswith("condition")}
            try:
                network.load_state_dict({**kept, **new})
            except RuntimeError as error:
                reason = " ".join(str(error).splitlines()[1:2]).strip()
                raise CheckpointError(f"weights to start from do not fit: {reason}") from error

    def state(self) -> bytes:
        """A checkpoint, from which training continues bit by bit."""
        buffer = io.BytesIO()
        state = {
            "settings": self.settings.model_dump_json(),
            "data": self.data.digest,
            "step": self.step,
            "seconds": self.seconds,
            "denoiser": self.denoiser.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        torch.save(state, buffer)
        return buffer.getvalue()

    def restore(self, checkpoint: bytes, where: object) -> None:
        """Continues from a checkpoint.

        Args:
            checkpoint: From :meth:`state`.
            where: Its file, for messages.

        Raises:
            CheckpointError: It is damaged, or of another network or other crystals.
        """
        try:
            state = torch.load(io.BytesIO(checkpoint), map_location=self.device, weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"{where} is damaged: {str(error).splitlines()[0]}") from error
        then, now = json.loads(state["settings"]), self.settings.model_dump()
        for name in _SHAPE_SETTINGS:
            if then[name] != now[name]:
                raise CheckpointError(
                    f"{where} was trained with {name}={then[name]}, not {now[name]}"
                )
        if state["data"] != self.data.digest:
            raise CheckpointError(f"{where} was trained on other crystals")
        self.denoiser.load_state_dict(state["denoiser"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]


class _Side:
    """One side of a training set on the device, and the sizes of its crystals on the CPU."""

    def __init__(self, data: LabelledCrystals, device: torch.device) -> None:
        scaffold = data.crystals.scaffold
        self.n_atoms, self.n_orbits = scaffold.n_atoms, scaffold.orbits.sum(-1)
        self.most_orbits = scaffold.orbits.shape[1]
        self._crystals, self._labels = data.crystals.to(device), data.labels.to(device)

    def rows(self, index: Tensor) -> tuple[CrystalBatch, Tensor]:
        """Some crystals and their labels."""
        there = index.to(self._labels.device)
        return self._crystals.rows(there), self._labels[there]


def _sums(losses: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([losses[name].sum() for name in LOSSES])


def _strain_moments(data: TrainingSet) -> tuple[Tensor, Tensor]:
    """Mean and spread of each cell coordinate over the crystals in which it is free."""
    batch = data.train.crystals
    free = batch.scaffold.strain_free
    count = free.sum(0).clamp(min=1)
    mean = (batch.strain * free).sum(0) / count
    spread = ((batch.strain - mean).square() * free).sum(0).div(count).sqrt()
    # Data of one shape only (all cubic, say) has no spread to divide by.
    return mean, spread.clamp(min=0.02)


def _standardised(denoiser: Denoiser, data: TrainingSet) -> Denoiser:
    """Tells the network the scale of the properties it will be conditioned on."""
    for k in range(len(data.conditions)):
        known = data.train.labels[:, k]
        known = known[~torch.isnan(known)]
        denoiser.condition_mean[k] = known.mean()
        denoiser.condition_std[k] = known.std(correction=0).clamp(min=1e-6)
    return denoiser
