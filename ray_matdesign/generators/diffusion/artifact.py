"""A trained denoiser on disk: safetensors for the weights, JSON for everything else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.generators.diffusion.denoiser import Denoiser, DenoiserShape

FORMAT = 1
WEIGHTS_NAME = "denoiser.safetensors"
CARD_NAME = "denoiser.json"


class CheckpointError(ValueError):
    """A generator checkpoint that is missing or cannot be used."""


@dataclass(frozen=True)
class Artifact:
    """A denoiser and what its sampler must know of the training data.

    Attributes:
        denoiser: In evaluation mode, on the CPU.
        size_counts: Training crystals of 0, 1, 2, ... atoms.
        elements: Atomic numbers the network was trained on, ascending.
        notes: Provenance: data, steps, figures.
    """

    denoiser: Denoiser
    size_counts: tuple[int, ...]
    elements: tuple[int, ...]
    notes: dict[str, Any] = field(default_factory=dict)


def save_artifact(artifact: Artifact, folder: Path) -> None:
    """Writes ``denoiser.safetensors`` and ``denoiser.json``, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().contiguous().cpu() for k, v in artifact.denoiser.state_dict().items()}
    write_atomic(folder / WEIGHTS_NAME, save(state))
    card = {
        "format": FORMAT,
        "shape": asdict(artifact.denoiser.shape),
        "size_counts": list(artifact.size_counts),
        "elements": list(artifact.elements),
        "notes": artifact.notes,
    }
    write_atomic(folder / CARD_NAME, json.dumps(card, indent=1) + "\n")


def load_artifact(where: str) -> Artifact:
    """Reads an artifact.

    Args:
        where: ``packaged``, or a folder that holds the two files.

    Raises:
        CheckpointError: A file is missing, damaged, or of another format.
    """
    folder = (
        Path(str(files("ray_matdesign.generators.diffusion") / "weights"))
        if where == "packaged"
        else Path(where)
    )
    for name in (WEIGHTS_NAME, CARD_NAME):
        if not (folder / name).is_file():
            raise CheckpointError(f"generator checkpoint: no {name} in {folder}")
    try:
        card = json.loads((folder / CARD_NAME).read_text())
        if card["format"] != FORMAT:
            raise CheckpointError(
                f"{folder / CARD_NAME}: format {card['format']}, this version reads {FORMAT}"
            )
        denoiser = Denoiser(DenoiserShape(**card["shape"]), torch.zeros(6), torch.ones(6))
        denoiser.load_state_dict(load((folder / WEIGHTS_NAME).read_bytes()))
        return Artifact(
            denoiser=denoiser.eval(),
            size_counts=tuple(card["size_counts"]),
            elements=tuple(card["elements"]),
            notes=card["notes"],
        )
    except (SafetensorError, RuntimeError, KeyError, TypeError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"generator checkpoint {folder} is damaged: {reason}") from error
