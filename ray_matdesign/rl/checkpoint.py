"""Checkpoints: a folder for each, complete or absent.

``checkpoints/loop-00012/`` holds ``policy.safetensors``, ``optimizer.safetensors`` where Adam's
moments are carried, and ``state.json`` with the replay buffer and the long-term memory. Where loops
are sampled ahead, ``policy-v00011.safetensors`` and the like are earlier weights, with which loops
under way were sampled, or will be. Random states need no place in it: every seed follows from the
run's seed and the loop (``rl.seeds``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.generators.protocol import Weights
from ray_matdesign.rl import plain_json

FORMAT = 1
KEEP = 3
"""Checkpoints kept."""


@dataclass(frozen=True)
class Issue:
    """The policy as it was after some loop.

    Attributes:
        version: How often it had been updated.
        weights: Its weights.
    """

    version: int
    weights: Weights


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written or read."""


@dataclass(frozen=True)
class Snapshot:
    """A campaign as plain values and arrays.

    Attributes:
        loop: Loops finished.
        version: Of the policy.
        weights: The policy's.
        optimizer: Adam's moments, if carried.
        replay: State of the replay buffer.
        memory: State of the long-term memory.
        earlier: The policy after earlier loops, by loop: what loops sampled ahead still need.
    """

    loop: int
    version: int
    weights: Weights
    optimizer: Weights | None
    replay: Mapping[str, Any]
    memory: Mapping[str, Any]
    earlier: Mapping[int, Issue] = field(default_factory=dict)


def save(folder: Path, snapshot: Snapshot) -> int:
    """Writes a checkpoint beside the earlier ones, then removes all but the newest few.

    Args:
        folder: ``checkpoints/`` of the run.
        snapshot: What to write.

    Returns:
        The loop of the oldest checkpoint kept.

    Raises:
        CheckpointError: The disk is full, say. Earlier checkpoints are untouched.
    """
    target = folder / _name(snapshot.loop)
    scratch = folder / f".{target.name}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        _write(scratch, snapshot)
        if target.exists():
            shutil.rmtree(target)
        os.replace(scratch, target)
        _sync_folder(folder)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        held = _folders(folder)
        last = f"the last good one is {held[-1].name}" if held else "there is no earlier one"
        raise CheckpointError(
            f"cannot write checkpoint {target}: {error.strerror or error}; {last}: make room, then "
            f"go on with --resume"
        ) from error
    for old in _folders(folder)[:-KEEP]:
        shutil.rmtree(old)
    return _loop(_folders(folder)[0])


def load_latest(folder: Path) -> tuple[Snapshot, list[str]]:
    """Reads the newest readable checkpoint.

    Returns:
        The snapshot, and a line on each newer checkpoint that had to be passed over.

    Raises:
        CheckpointError: None can be read.
    """
    problems: list[str] = []
    for path in reversed(_folders(folder)):
        try:
            return _read(path), problems
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            problems.append(f"checkpoint {path} cannot be read ({error}); trying an earlier one")
    detail = f": {problems[0]}" if problems else ""
    raise CheckpointError(f"{folder} holds no readable checkpoint{detail}")


def save_weights(path: Path, weights: Mapping[str, NDArray[np.generic]]) -> None:
    """Writes arrays as safetensors, atomically."""
    arrays = {name: np.asarray(array, order="C") for name, array in weights.items()}
    write_atomic(path, safetensors.numpy.save(arrays))


def load_weights(path: Path) -> Weights:
    """Reads arrays from a safetensors file."""
    return dict(safetensors.numpy.load(path.read_bytes()))


def same_weights(
    a: Mapping[str, NDArray[np.generic]], b: Mapping[str, NDArray[np.generic]]
) -> bool:
    """Whether two sets of weights are equal bit for bit."""
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def _write(folder: Path, snapshot: Snapshot) -> None:
    save_weights(folder / "policy.safetensors", snapshot.weights)
    if snapshot.optimizer is not None:
        save_weights(folder / "optimizer.safetensors", snapshot.optimizer)
    for version, weights in {i.version: i.weights for i in snapshot.earlier.values()}.items():
        if version != snapshot.version:
            save_weights(folder / _earlier_name(version), weights)
    state = {
        "format": FORMAT,
        "loop": snapshot.loop,
        "version": snapshot.version,
        "replay": snapshot.replay,
        "memory": snapshot.memory,
        "earlier": {str(loop): issue.version for loop, issue in snapshot.earlier.items()},
    }
    write_atomic(folder / "state.json", plain_json.dumps(state))


def _read(folder: Path) -> Snapshot:
    state = plain_json.loads((folder / "state.json").read_text())
    if state["format"] != FORMAT:
        raise ValueError(f"format {state['format']}, this version reads {FORMAT}")
    moments = folder / "optimizer.safetensors"
    versions = {int(k): v for k, v in state.get("earlier", {}).items()}  # absent in older ones
    weights = {state["version"]: load_weights(folder / "policy.safetensors")}
    for version in sorted(set(versions.values()) - weights.keys()):
        weights[version] = load_weights(folder / _earlier_name(version))
    return Snapshot(
        loop=state["loop"],
        version=state["version"],
        weights=weights[state["version"]],
        optimizer=load_weights(moments) if moments.exists() else None,
        replay=state["replay"],
        memory=state["memory"],
        earlier={loop: Issue(v, weights[v]) for loop, v in versions.items()},
    )


def _folders(folder: Path) -> list[Path]:
    return sorted(folder.glob("loop-*"))


def _name(loop: int) -> str:
    return f"loop-{loop:05d}"


def _earlier_name(version: int) -> str:
    return f"policy-v{version:05d}.safetensors"


def _loop(folder: Path) -> int:
    return int(folder.name.removeprefix("loop-"))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
