"""MatterGen checkpoints in the official layout: ``config.yaml`` and ``checkpoints/last.ckpt``.

A checkpoint comes from outside, and both of its files are programs in disguise: the one names
Python callables to build, the other is a pickle. MatterGen's own loader runs both. Here the
configuration may name MatterGen's building blocks and nothing else, and of the pickle only tensors
and plain containers are read.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.generators.mattergen.compat import mattergen_modules

CONFIG_NAME = "config.yaml"
WEIGHTS_NAME = "checkpoints/last.ckpt"
PREFIX = "diffusion_module."
"""What Lightning puts before the name of each weight."""

OFFICIAL = (
    "mattergen_base",
    "mp_20_base",
    "chemical_system",
    "space_group",
    "dft_mag_density",
    "dft_band_gap",
    "ml_bulk_modulus",
    "dft_mag_density_hhi_score",
    "chemical_system_energy_above_hull",
)
"""Checkpoints that MatterGen's authors publish on the Hugging Face Hub."""

BUILDING_BLOCKS = frozenset(
    f"mattergen.{name}"
    for name in (
        "adapter.GemNetTAdapter",
        "common.diffusion.corruption.LatticeVPSDE.from_vpsde_config",
        "common.diffusion.corruption.NumAtomsVarianceAdjustedWrappedVESDE",
        "common.gemnet.gemnet.GemNetT",
        "common.gemnet.gemnet_ctrl.GemNetTCtrl",
        "common.gemnet.layers.embedding_block.AtomEmbedding",
        "common.loss.MaterialsLoss",
        "common.utils.data_utils.StandardScalerTorch",
        "denoiser.GemNetTDenoiser",
        "diffusion.corruption.d3pm_corruption.D3PMCorruption",
        "diffusion.corruption.multi_corruption.MultiCorruption",
        "diffusion.d3pm.d3pm.MaskDiffusion",
        "diffusion.d3pm.d3pm.create_discrete_diffusion_schedule",
        "diffusion.diffusion_module.DiffusionModule",
        "diffusion.model_utils.NoiseLevelEncoding",
        "property_embeddings.ChemicalSystemMultiHotEmbedding",
        "property_embeddings.EmbeddingVector",
        "property_embeddings.PropertyEmbedding",
        "property_embeddings.SetEmbeddingType",
        "property_embeddings.SpaceGroupEmbeddingVector",
        "property_embeddings.ZerosEmbedding",
    )
) | {"torch.nn.Identity"}
"""All that a configuration may ask to be built."""


_DAMAGE = (RuntimeError, ValueError, TypeError, KeyError, EOFError, OSError)
"""What ``torch.load`` raises over a file that is not, or no longer, a checkpoint."""


class CheckpointError(ValueError):
    """A MatterGen checkpoint that is missing or cannot be used."""


@dataclass(frozen=True)
class Checkpoint:
    """A MatterGen model and the configuration it was built from.

    Attributes:
        module: MatterGen's ``DiffusionModule``, on the CPU.
        config: ``config.yaml`` as read, to be written back with fine-tuned weights.
    """

    module: Any
    config: dict[str, Any]


def load_checkpoint(where: str) -> Checkpoint:
    """Loads a model.

    Args:
        where: A published name (see ``OFFICIAL``), or a folder in the official layout.

    Raises:
        CheckpointError: It cannot be had, or is damaged, or asks for more than a model.
        MatterGenMissing: MatterGen is not installed.
    """
    folder = _download(where) if where in OFFICIAL else Path(where)
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"generator.checkpoint: no {name} in {folder}; give a folder in MatterGen's layout "
                f"or one of {', '.join(OFFICIAL)}"
            )
    config = _read_config(folder / CONFIG_NAME)
    module = build_module(config, folder / CONFIG_NAME)
    state = read_weights(folder / WEIGHTS_NAME)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{folder / WEIGHTS_NAME} does not fit {folder / CONFIG_NAME}: {reason}"
        ) from error
    return Checkpoint(module, config)


def save_checkpoint(folder: Path, module: torch.nn.Module, config: Mapping[str, Any]) -> None:
    """Writes a model so that ``mattergen-generate --model_path`` reads it; each file atomically.

    The optimiser is not written: Lightning can start a fine-tuning from this, not resume one.
    """
    (folder / WEIGHTS_NAME).parent.mkdir(parents=True, exist_ok=True)
    state = {PREFIX + name: value.detach().cpu() for name, value in module.state_dict().items()}
    buffer = io.BytesIO()
    torch.save({"state_dict": state, "config": dict(config)}, buffer)
    write_atomic(folder / CONFIG_NAME, yaml.safe_dump(dict(config), sort_keys=True))
    write_atomic(folder / WEIGHTS_NAME, buffer.getvalue())


def build_module(config: Mapping[str, Any], source: Path | str) -> Any:
    """Builds the ``DiffusionModule`` of a configuration, with random weights.

    Args:
        config: As in ``config.yaml``.
        source: Where it is from, for errors.

    Raises:
        CheckpointError: It names something other than ``BUILDING_BLOCKS``, lacks the diffusion
            module, diffuses no atom types, or its values do not fit together.
    """
    try:
        recipe = config["lightning_module"]["diffusion_module"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{source}: no lightning_module.diffusion_module") from error
    _check(recipe, f"{source}: lightning_module.diffusion_module")
    mattergen_modules()
    from hydra.errors import HydraException
    from hydra.utils import instantiate

    try:
        module = instantiate(recipe)
    except HydraException as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{source}: cannot build the model: {reason}") from error
    fields = set(module.corruption.corrupted_fields)
    if fields != {"pos", "cell", "atomic_numbers"}:
        raise CheckpointError(
            f"{source}: the model diffuses {', '.join(sorted(fields))}; a crystal generator must "
            "diffuse pos, cell and atomic_numbers (structure prediction models do not)"
        )
    return module


def read_weights(path: Path) -> dict[str, Tensor]:
    """Weights of a Lightning checkpoint by name, without Lightning's prefix.

    Lightning stores Python objects beside the weights (of its callbacks, say). They are not made:
    ``torch.load(weights_only=True)`` refuses classes it does not know, so that each is mapped to an
    empty one, which ignores whatever the pickle gives it.

    Raises:
        CheckpointError: Not such a file, damaged, or weights that are no tensors.
    """
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(_ignored(name), name) for name in names]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        state = dict(content["state_dict"])
    except (*_DAMAGE, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path} is not a MatterGen checkpoint: {reason}") from error
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: holds weights that are not tensors")
    return {name.removeprefix(PREFIX): value for name, value in state.items()}


def _ignored(name: str) -> type:
    """A class that stands for another and keeps nothing of what it is given."""

    def new(cls: type, *_: Any, **__: Any) -> Any:
        return object.__new__(cls)

    def ignore(self: Any, *_: Any, **__: Any) -> None:
        """Nothing is kept."""

    members = {"__new__": new, "__init__": ignore, "__setstate__": ignore, "__setitem__": ignore}
    return type(name.rpartition(".")[2], (), members)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} is not a YAML file: {reason}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds no mapping")
    return config


def _check(node: Any, where: str) -> None:
    """Refuses callables other than the building blocks, and anything evaluated on reading."""
    if isinstance(node, str) and "${" in node:
        raise CheckpointError(f"{where}: {node!r} would be evaluated; write its value instead")
    if isinstance(node, dict):
        target = node.get("_target_", "torch.nn.Identity")
        if not isinstance(target, str) or target not in BUILDING_BLOCKS:
            raise CheckpointError(f"{where}: {target!r} is not a part of a MatterGen model")
        for key, value in node.items():
            _check(value, f"{where}.{key}")
    elif isinstance(node, list):
        for place, value in enumerate(node):
            _check(value, f"{where}.{place}")


def _download(name: str) -> Path:
    info = mattergen_modules().data_classes.MatterGenCheckpointInfo
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(info.from_hf_hub(name).model_path)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(
            f"generator.checkpoint: cannot fetch MatterGen's {name!r} from the Hugging Face Hub "
            f"({reason}); download it elsewhere and give the folder"
        ) from error
