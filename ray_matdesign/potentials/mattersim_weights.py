"""MatterSim's networks from files: names it publishes, where they are kept, how they are read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

PUBLISHED = ("mattersim-v1.0.0-1M", "mattersim-v1.0.0-5M")
"""Checkpoints that MatterSim's authors offer for download."""
FOLDER = Path("~/.local/mattersim/pretrained_models")
"""Where the ``mattersim`` package keeps its downloads, and this one too."""

_ARCHITECTURE = "m3gnet"


class WeightsNotFound(FileNotFoundError):
    """No weights under the name or path given, and none to be had by download."""


class InvalidWeights(ValueError):
    """A file that is no checkpoint of MatterSim."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its weights.

    Attributes:
        name: Of the published checkpoint, or the file's with eight digits of its SHA-256: two
            fine-tunings of the same file name are two potentials.
        network: MatterSim's ``M3Gnet``, in evaluation mode on the device.
        max_number: Largest atomic number it has an embedding for.
        cutoff_ang: Reach of pairs, Angstrom.
        threebody_cutoff_ang: Reach of the pairs that make triples, Angstrom.
    """

    name: str
    network: torch.nn.Module
    max_number: int
    cutoff_ang: float
    threebody_cutoff_ang: float


def load_network(model: str, device: torch.device) -> LoadedNetwork:
    """Reads a network from a published checkpoint or a local one.

    Args:
        model: A name in :data:`PUBLISHED`, downloaded on first use into :data:`FOLDER`, or the
            path of a ``.pth`` file in the layout of MatterSim's ``Potential.save``.
        device: Where to put it.

    Raises:
        ModuleNotFoundError: The ``mattersim`` package is not installed.
        WeightsNotFound: No such file, or the download failed.
        InvalidWeights: The file is something else.
    """
    from mattersim.forcefield.m3gnet.m3gnet import M3Gnet

    published = _published_name(model)
    path = Path(model).expanduser() if published is None else _published_file(published)
    if not path.is_file():
        raise WeightsNotFound(
            f"mattersim: no file {model}; give the path of a .pth file, or one of "
            f"{', '.join(PUBLISHED)}"
        )
    arguments, weights = _read(path)
    try:
        network = M3Gnet(device=str(device), **arguments)
        missing = network.load_state_dict(weights, strict=False).missing_keys
    except (RuntimeError, TypeError) as error:
        raise InvalidWeights(
            f"mattersim: {path} does not fit MatterSim's M3GNet: {error}"
        ) from None
    learnt = dict(network.named_parameters()).keys() | {"normalizer.scale", "normalizer.shift"}
    # What else the network holds are constants of its bases, made anew from the arguments.
    if absent := sorted(learnt & set(missing)):
        raise InvalidWeights(f"mattersim: {path} lacks {len(absent)} weights, e.g. {absent[0]}")
    network.requires_grad_(False)
    return LoadedNetwork(
        name=published or _name_of(path),
        network=network.to(device).eval(),
        max_number=int(network.model_args["max_z"]),
        cutoff_ang=float(network.model_args["cutoff"]),
        threebody_cutoff_ang=float(network.model_args["threebody_cutoff"]),
    )


def _published_name(model: str) -> str | None:
    """The published name meant, whatever its case and with or without ``.pth``."""
    wanted = model.lower().removesuffix(".pth")
    return next((name for name in PUBLISHED if name.lower() == wanted), None)


def _published_file(name: str) -> Path:
    """The file of a published checkpoint, downloaded if it is not there yet.

    The package's own function writes in place, so that an interrupted download would pass for a
    checkpoint ever after; here the file appears when it is complete.
    """
    folder = FOLDER.expanduser()
    path = folder / f"{name}.pth"
    if path.is_file():
        return path
    import requests
    from loguru import logger
    from mattersim.utils.download_utils import download_checkpoint

    logger.disable("mattersim")  # it reports its download on standard output
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        try:
            download_checkpoint(path.name, save_folder=unfinished)
        except requests.RequestException as error:
            raise WeightsNotFound(
                f"mattersim: cannot download {path.name} ({type(error).__name__}); fetch it from "
                f"pretrained_models/ of github.com/microsoft/mattersim and put it into {folder}, "
                f"or set the option model to its path"
            ) from None
        arrived = Path(unfinished) / path.name
        with arrived.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(arrived, path)
    return path


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The network's arguments and weights."""
    try:
        checkpoint = torch.load(path, weights_only=True, map_location="cpu")
    except (UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidWeights(f"mattersim: cannot read {path}: {reason}") from None
    if not isinstance(checkpoint, dict) or not {"model", "model_args"} <= set(checkpoint):
        raise InvalidWeights(f"mattersim: {path} has no 'model' and 'model_args': no checkpoint")
    if checkpoint.get("model_name") != _ARCHITECTURE:
        raise InvalidWeights(
            f"mattersim: {path} holds a {checkpoint.get('model_name')!r}, expected "
            f"{_ARCHITECTURE!r}"
        )
    return dict(checkpoint["model_args"]), checkpoint["model"]


def _name_of(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:8]
    stem = path.stem if path.stem.startswith("mattersim") else f"mattersim-{path.stem}"
    return f"{stem}-{digest}"
