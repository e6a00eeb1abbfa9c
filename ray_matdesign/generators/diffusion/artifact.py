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
from ray_matdesign.generators.diffusion.known import KnownCrystals
from ray_matdesign.generators.diffusion.scaffolds import ScaffoldLibrary

FORMAT = 3
WEIGHTS_NAME = "denoiser.safetensors"
CARD_NAME = "denoiser.json"
SCAFFOLDS_NAME = "scaffolds.json"
KNOWN_NAME = "known.safetensors"


class CheckpointError(ValueError):
    """A generator checkpoint that is missing or cannot be used."""


@dataclass(frozen=True)
class Artifact:
    """A denoiser and what its sampler must know of the training data.

    Attributes:
        denoiser: In evaluation mode, on the CPU.
        scaffolds: Scaffolds to draw crystals on.
        known: The crystals of its data.
        elements: Atomic numbers the network was trained on, ascending.
        notes: Provenance: data, steps, figures.
    """

    denoiser: Denoiser
    scaffolds: ScaffoldLibrary
    known: KnownCrystals
    elements: tuple[int, ...]
    notes: dict[str, Any] = field(default_factory=dict)


def artifact_files(artifact: Artifact) -> dict[str, bytes]:
    """Contents of the files of an artifact by name, in the order in which to write them."""
    state = {k: v.detach().contiguous().cpu() for k, v in artifact.denoiser.state_dict().items()}
    card = {
        "format": FORMAT,
        "shape": asdict(artifact.denoiser.shape),
        "elements": list(artifact.elements),
        "notes": artifact.notes,
    }
    scaffolds = json.dumps(artifact.scaffolds.to_json(), separators=(",", ":"))
    return {
        WEIGHTS_NAME: save(state),
        SCAFFOLDS_NAME: f"{scaffolds}\n".encode(),
        KNOWN_NAME: artifact.known.to_bytes(),
        CARD_NAME: (json.dumps(card, indent=1) + "\n").encode(),
    }


def save_artifact(artifact: Artifact, folder: Path) -> None:
    """Writes weights, scaffolds, known crystals and, last, the card; each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in artifact_files(artifact).items():
        write_atomic(folder / name, content)


def load_artifact(where: str) -> Artifact:
    """Reads an artifact.

    Args:
        where: ``packaged``, or a folder that holds the four files.

    Raises:
        CheckpointError: A file is missing, damaged, or of another format.
    """
    folder = (
        Path(str(files("ray_matdesign.generators.diffusion") / "weights"))
        if where == "packaged"
        else Path(where)
    )
    for name in (WEIGHTS_NAME, SCAFFOLDS_NAME, KNOWN_NAME, CARD_NAME):
        if not (folder / name).is_file():
            raise CheckpointError(f"generator checkpoint: no {name} in {folder}")
    try:
        card = json.loads((folder / CARD_NAME).read_text())
        if card["format"] != FORMAT:
            raise CheckpointError(
                f"{folder / CARD_NAME}: format {card['format']}, this version reads {FORMAT}"
            )
        shape = {**card["shape"], "conditions": tuple(card["shape"]["conditions"])}
        denoiser = Denoiser(DenoiserShape(**shape), torch.zeros(6), torch.ones(6))
        denoiser.load_state_dict(load((folder / WEIGHTS_NAME).read_bytes()))
        return Artifact(
            denoiser=denoiser.eval(),
            scaffolds=ScaffoldLibrary.from_json(json.loads((folder / SCAFFOLDS_NAME).read_text())),
            known=KnownCrystals.from_bytes((folder / KNOWN_NAME).read_bytes()),
            elements=tuple(card["elements"]),
            notes=card["notes"],
        )
    except (SafetensorError, RuntimeError, KeyError, TypeError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"generator checkpoint {folder} is damaged: {reason}") from error
