"""Trained predictors on disk: one safetensors file, with its card in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ray_matdesign.crystals.atomic import write_atomic

PACKAGED = "packaged"
"""Stands for the file that comes with this package."""


class PredictorError(ValueError):
    """A predictor's file that is missing or cannot be used."""


def save_predictor(path: Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Writes a predictor atomically, the networks' weights in half precision.

    Args:
        path: To be written; its folder must exist.
        tensors: By name; weights are those with a part called ``weights`` in their name.
        card: What else a reader must know, JSON-like: kind, format, shapes, data, figures.
    """
    stored = {
        name: (tensor.half() if "weights" in name.split(".") else tensor).contiguous().cpu()
        for name, tensor in tensors.items()
    }
    write_atomic(path, save(stored, metadata={"card": json.dumps(card)}))


def read_predictor(
    where: str | Path, *, kind: str, format_version: int
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads a predictor's tensors, in single precision, and its card.

    Args:
        where: A file, or ``packaged``.
        kind: What it must be, e.g. ``band_gap``; names the packaged file too.
        format_version: That its reader understands.

    Raises:
        PredictorError: No such file; a damaged one; one of another kind or format.
    """
    path = Path(where)
    if where == PACKAGED:
        path = Path(str(files("ray_matdesign.rewards.predictors") / "weights" / kind))
        path = path.with_suffix(".safetensors")
    if not path.is_file():
        raise PredictorError(f"{kind}: no weights at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {})["card"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise PredictorError(f"{path} is no file of a predictor: {error}") from error
    if (card.get("kind"), card.get("format")) != (kind, format_version):
        raise PredictorError(
            f"{path} holds {card.get('kind')!r} in format {card.get('format')!r}; "
            f"needed is {kind!r} in format {format_version}"
        )
    singles = {
        name: tensor.float() if tensor.dtype == torch.float16 else tensor
        for name, tensor in tensors.items()
    }
    return singles, card
