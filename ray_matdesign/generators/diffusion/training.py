"""Training the denoiser: from where it starts to the last step, with all it leaves behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ray_matdesign.config.schema import TrainSettings
from ray_matdesign.generators.diffusion.artifact import Artifact, CheckpointError, artifact_files
from ray_matdesign.generators.diffusion.data import TrainingSet
from ray_matdesign.generators.diffusion.outputs import CHECKPOINT_NAME, FolderOutputs, Outputs
from ray_matdesign.generators.diffusion.trainer import Trainer

Progress = Callable[[int, Mapping[str, float]], None]
"""Called with the number of a step, and its losses and ``crystals_per_s``."""


def train(
    data: TrainingSet,
    settings: TrainSettings,
    folder: Path,
    *,
    resume: bool = False,
    start_from: Artifact | None = None,
    notes: Mapping[str, Any] | None = None,
    progress: Progress = lambda step, figures: None,
) -> Artifact:
    """Trains a denoiser in this process and leaves it in ``folder``.

    Args:
        data: From :func:`~.data.prepare`.
        settings: Hyper-parameters.
        folder: Receives ``training.pt``, ``metrics.jsonl`` and, at every validation, the artifact
            that ``generator.checkpoint`` accepts.
        resume: Continue from ``training.pt``.
        start_from: Trained weights to begin with, say of a network without conditions.
        notes: Provenance beside that of the data, written into the artifact.
        progress: Called after each step.

    Raises:
        CheckpointError: ``resume`` without a usable checkpoint, or weights of another size.
        TrainingDiverged: The loss stopped being a number; the last checkpoint stays as it was.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = Trainer(data, settings, device)
    begin(trainer, folder, resume=resume, start_from=start_from)
    go_on(trainer, FolderOutputs(folder), notes=notes or {}, progress=progress)
    return trainer.artifact(notes or {})


def begin(trainer: Trainer, folder: Path, *, resume: bool, start_from: Artifact | None) -> None:
    """Puts a new trainer where it starts: at a checkpoint, at trained weights, or at random ones.

    Raises:
        CheckpointError: ``resume`` without a usable checkpoint, or weights of another size.
    """
    path = folder / CHECKPOINT_NAME
    if resume:
        if not path.is_file():
            raise CheckpointError(f"nothing to resume: no {CHECKPOINT_NAME} in {folder}")
        trainer.restore(path.read_bytes(), path)
    elif start_from is not None:
        trainer.take_weights(start_from)


def go_on(
    trainer: Trainer, outputs: Outputs, *, notes: Mapping[str, Any], progress: Progress
) -> None:
    """Trains to the end; the process of rank 0 keeps what comes of it.

    Raises:
        TrainingDiverged: On every process.
    """
    settings, writes = trainer.settings, trainer.peers.rank == 0
    clock, learning_s, learnt = time.monotonic(), 0.0, 0
    while trainer.step < settings.steps:
        began = time.monotonic()
        losses = trainer.train_step()
        step_s = time.monotonic() - began
        learning_s, learnt = learning_s + step_s, learnt + settings.batch_size
        progress(trainer.step, {**losses, "crystals_per_s": settings.batch_size / step_s})
        done = trainer.step == settings.steps
        checked = done or trainer.step % settings.validate_every == 0
        figures = trainer.validate() if checked else {}
        trainer.seconds, clock = trainer.seconds + time.monotonic() - clock, time.monotonic()
        if checked and writes:
            rate = {"crystals_per_s": learnt / learning_s}
            record = {"step": trainer.step, "seconds": trainer.seconds, **rate, **losses, **figures}
            record |= trainer.sample_quality()
            outputs.record(record)
            origin = {**trainer.data.origin, **notes}
            summary = {**origin, "settings": settings.model_dump(), "last": record}
            for name, content in artifact_files(trainer.artifact(summary)).items():
                outputs.store(name, content)
            learning_s, learnt = 0.0, 0
        if writes and (done or trainer.step % settings.checkpoint_every == 0):
            outputs.store(CHECKPOINT_NAME, trainer.state())
