"""Training the denoiser: resumable, seeded, with a running average of the weights."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ray_matdesign.config.schema import PrefilterSettings, TrainSettings
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.dataset import split_by_composition
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.crystals.validity import check
from ray_matdesign.generators.diffusion.artifact import Artifact, CheckpointError, save_artifact
from ray_matdesign.generators.diffusion.batch import CrystalBatch, collate
from ray_matdesign.generators.diffusion.cells import niggli
from ray_matdesign.generators.diffusion.denoiser import Denoised, Denoiser, DenoiserShape
from ray_matdesign.generators.diffusion.losses import LossWeights, add_noise, crystal_losses
from ray_matdesign.generators.diffusion.policy import DiffusionPolicy
from ray_matdesign.generators.diffusion.sampler import SamplerOptions

CHECKPOINT_NAME = "training.pt"
METRICS_NAME = "metrics.jsonl"
_NOISE_LEVELS = 5
_VALIDATION_CRYSTALS = 500


@dataclass(frozen=True)
class TrainingSet:
    """Crystals ready for the network, in memory as one padded batch on each side."""

    train: CrystalBatch
    validation: CrystalBatch


def select_crystals(crystals: Sequence[Crystal], settings: TrainSettings) -> list[Crystal]:
    """Crystals small enough and free of excluded elements, in Niggli-reduced cells."""
    excluded = {ATOMIC_NUMBERS[symbol] for symbol in settings.excluded_elements}
    return [
        niggli(crystal)
        for crystal in crystals
        if len(crystal) <= settings.max_atoms and not (crystal.elements & excluded)
    ]


def split(crystals: Sequence[Crystal], settings: TrainSettings) -> TrainingSet:
    """Holds back a share of the formulas for validation.

    Raises:
        ValueError: One side would be empty.
    """
    train, validation = split_by_composition(
        crystals, validation_fraction=settings.validation_fraction, seed=settings.seed
    )
    if len(train) < settings.batch_size or not len(validation):
        raise ValueError(
            f"training needs at least {settings.batch_size} crystals and one to validate on, "
            f"got {len(train)} and {len(validation)} of {len(crystals)} that qualify"
        )
    held_back = [crystals[i] for i in validation][:_VALIDATION_CRYSTALS]
    return TrainingSet(collate([crystals[i] for i in train]), collate(held_back))


class Trainer:
    """The state of a training run and its one step.

    Args:
        data: Crystals.
        settings: Hyper-parameters.
        device: Where the network lives.
    """

    def __init__(self, data: TrainingSet, settings: TrainSettings, device: torch.device) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.data, self.device = settings, data, device
        shape = DenoiserShape(
            width=settings.width,
            layers=settings.layers,
            pair_width=settings.pair_width,
            max_atoms=settings.max_atoms,
        )
        strain = data.train.strain
        # Data of one shape only (all cubic, say) has no spread to divide by.
        mean, spread = strain.mean(0), strain.std(0).clamp(min=0.02)
        self.denoiser = Denoiser(shape, mean, spread).to(device)
        self.average = Denoiser(shape, mean, spread).to(device).eval()
        self.average.load_state_dict(self.denoiser.state_dict())
        self.optimizers = _optimizers(self.denoiser, settings)
        self.rng = torch.Generator().manual_seed(settings.seed)
        self.step = 0
        self.seconds = 0.0
        self._order = self._batches()

    def _batches(self) -> Iterator[Tensor]:
        """Endless shuffled batches; the same crystals follow step k in every run of a seed."""
        count, size = len(self.data.train), self.settings.batch_size
        while True:
            epoch = self.step * size // count
            shuffle = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + epoch)
            order = torch.randperm(count, generator=shuffle)
            start = self.step * size - epoch * count
            for first in range(start, count - size + 1, size):
                yield order[first : first + size]
            if start > count - size:
                yield order[-size:]

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns mean losses."""
        settings = self.settings
        rate = settings.lr * _schedule(self.step, settings)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = rate
        chosen = next(self._order)
        chosen = chosen[torch.argsort(self.data.train.n_atoms[chosen], stable=True)]
        sums: dict[str, float] = {}
        for part in chosen.chunk(settings.micro_batches):
            times = 1.0 - 0.99 * torch.rand(len(part), generator=self.rng)
            losses = self._losses(self.denoiser, rows(self.data.train, part), times, self.rng)
            (losses["total"].sum() / len(chosen)).backward()
            for name, values in losses.items():
                sums[name] = sums.get(name, 0.0) + float(values.detach().sum()) / len(chosen)
        norm = torch.nn.utils.clip_grad_norm_(self.denoiser.parameters(), settings.clip_norm)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"training diverged at step {self.step}: gradient {norm}")
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self._update_average()
        return sums

    @torch.no_grad()
    def _update_average(self) -> None:
        # A fixed decay would remember the random start for thousands of steps.
        decay = min(self.settings.ema_decay, (1.0 + self.step) / (10.0 + self.step))
        for kept, new in zip(self.average.parameters(), self.denoiser.parameters(), strict=True):
            kept.lerp_(new, 1.0 - decay)

    def _losses(
        self, network: Denoiser, clean: CrystalBatch, times: Tensor, rng: torch.Generator
    ) -> dict[str, Tensor]:
        noisy = add_noise(clean.to(self.device), times.to(self.device), network, rng)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            answer = network(noisy.crystals, noisy.time)
        answer = Denoised(answer.strain.float(), answer.frac.float(), answer.logits.float())
        return crystal_losses(noisy, answer, LossWeights())

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Losses of the averaged weights on held-back crystals, in all and by noise level."""
        rng = torch.Generator().manual_seed(0)
        count = len(self.data.validation)
        order = torch.argsort(self.data.validation.n_atoms, stable=True)
        by_level: dict[str, float] = {}
        for level in range(_NOISE_LEVELS):
            times = (level + (torch.arange(count) + 0.5) / count) / _NOISE_LEVELS
            sums: dict[str, float] = {}
            for part, when in zip(
                order.chunk(8), times[torch.randperm(count, generator=rng)].chunk(8), strict=True
            ):
                clean = rows(self.data.validation, part)
                losses = self._losses(self.average, clean, when, rng)
                for name, values in losses.items():
                    sums[name] = sums.get(name, 0.0) + float(values.sum()) / count
            for name, value in sums.items():
                by_level[f"val_{name}_t{(level + 0.5) / _NOISE_LEVELS:.1f}"] = value
                by_level[f"val_{name}"] = by_level.get(f"val_{name}", 0.0) + value / _NOISE_LEVELS
        return by_level

    def artifact(self, notes: Mapping[str, Any]) -> Artifact:
        """The averaged weights, ready to sample."""
        sizes = torch.bincount(self.data.train.n_atoms, minlength=self.settings.max_atoms + 1)
        elements = torch.unique(self.data.train.types[self.data.train.mask])
        return Artifact(self.average, tuple(sizes.tolist()), tuple(elements.tolist()), dict(notes))

    def sample_quality(self) -> dict[str, float]:
        """Validity and variety of crystals drawn from the averaged weights."""
        policy = DiffusionPolicy(self.artifact({}), SamplerOptions(steps=50))
        crystals = policy.sample(self.settings.samples_scored, seed=0)
        geometric = PrefilterSettings(smact=False)
        wanted = self.settings.samples_scored
        return {
            "structural_validity": sum(check(c, geometric) is None for c in crystals) / wanted,
            "validity": sum(check(c, PrefilterSettings()) is None for c in crystals) / wanted,
            "distinct_formulas": len({c.formula for c in crystals}) / wanted,
        }

    def save(self, folder: Path) -> None:
        """Writes a checkpoint from which training continues bit by bit, atomically."""
        buffer = io.BytesIO()
        state = {
            "settings": self.settings.model_dump_json(),
            "step": self.step,
            "seconds": self.seconds,
            "denoiser": self.denoiser.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "rng": self.rng.get_state(),
        }
        torch.save(state, buffer)
        write_atomic(folder / CHECKPOINT_NAME, buffer.getvalue())

    def restore(self, folder: Path) -> None:
        """Continues from a checkpoint.

        Raises:
            CheckpointError: There is none, or it belongs to a network of another size.
        """
        path = folder / CHECKPOINT_NAME
        if not path.is_file():
            raise CheckpointError(f"nothing to resume: no {CHECKPOINT_NAME} in {folder}")
        state = torch.load(path, map_location=self.device, weights_only=True)
        try:
            self.denoiser.load_state_dict(state["denoiser"])
        except RuntimeError as error:
            raise CheckpointError(f"{path}: trained with other settings: {error}") from error
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.rng.set_state(state["rng"].cpu())
        self.step, self.seconds = state["step"], state["seconds"]
        self._order = self._batches()


def rows(batch: CrystalBatch, index: Tensor) -> CrystalBatch:
    """Some crystals of a batch, padded no further than they need."""
    mask = batch.mask[index]
    width = int(mask.sum(-1).max())
    return CrystalBatch(
        batch.strain[index],
        batch.frac[index, :width],
        batch.types[index, :width],
        mask[:, :width],
    )


def _optimizers(denoiser: Denoiser, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Muon for the message layers' matrices, AdamW for embeddings, heads, norms and biases."""
    matrices = [p for p in denoiser.layers.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in denoiser.parameters() if id(p) not in chosen]
    decay = settings.weight_decay
    return [
        torch.optim.Muon(
            matrices, lr=settings.lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=settings.lr, weight_decay=decay, betas=(0.9, 0.98)),
    ]


def _schedule(step: int, settings: TrainSettings) -> float:
    """Linear warm-up, plateau, linear decay to zero over the last ``decay_fraction``."""
    decay_steps = max(1, int(settings.steps * settings.decay_fraction))
    return min(
        1.0, (step + 1) / settings.warmup_steps, max(0.0, (settings.steps - step) / decay_steps)
    )


def train(
    crystals: Sequence[Crystal],
    settings: TrainSettings,
    folder: Path,
    *,
    resume: bool = False,
    notes: Mapping[str, Any] | None = None,
    progress: Callable[[int, Mapping[str, float]], None] = lambda step, losses: None,
) -> Artifact:
    """Trains a denoiser and leaves it in ``folder``.

    Args:
        crystals: Of which those that qualify are used, see :func:`select_crystals`.
        settings: Hyper-parameters.
        folder: Receives ``training.pt``, ``metrics.jsonl`` and, at every validation, the artifact
            that ``generator.checkpoint`` accepts.
        resume: Continue from ``training.pt``.
        notes: Provenance, written into the artifact.
        progress: Called after each step with the step and its losses.

    Raises:
        CheckpointError: ``resume`` without a usable checkpoint.
        FloatingPointError: The loss stopped being a number.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = Trainer(split(select_crystals(crystals, settings), settings), settings, device)
    folder.mkdir(parents=True, exist_ok=True)
    if resume:
        trainer.restore(folder)
    clock = time.monotonic()
    while trainer.step < settings.steps:
        losses = trainer.train_step()
        now = time.monotonic()
        trainer.seconds, clock = trainer.seconds + now - clock, now
        progress(trainer.step, losses)
        done = trainer.step == settings.steps
        if trainer.step % settings.validate_every == 0 or done:
            record = {"step": trainer.step, "seconds": trainer.seconds, **losses}
            record |= trainer.validate() | trainer.sample_quality()
            with (folder / METRICS_NAME).open("a") as log:
                log.write(json.dumps(record) + "\n")
            summary = {**(notes or {}), "settings": settings.model_dump(), "last": record}
            save_artifact(trainer.artifact(summary), folder)
        if trainer.step % settings.checkpoint_every == 0 or done:
            trainer.save(folder)
    return trainer.artifact(notes or {})
