"""Checkpoints of the algorithm: the project's own files where RLlib would write pickles.

Names of files are RLlib's wherever it looks for them.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import msgpack
from pyarrow import fs
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.utils.typing import StateDict

from ray_matdesign.config.loading import ConfigError, load_run_config
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.rl import checkpoint, records
from ray_matdesign.rl.checkpoint import CheckpointError

VERSION = "2.1"
"""Of RLlib's checkpoint format, by which it knows one written on the new API stack."""

_CAMPAIGN = "campaign"
_STATE = f"{Algorithm.STATE_FILE_NAME}.msgpack"


def save(
    path: str | Path | None,
    filesystem: fs.FileSystem | None,
    algorithm: Algorithm,
    config: RunConfig,
    state: StateDict,
) -> str:
    """Writes a checkpoint and returns its path.

    ``algorithm_state.msgpack``, written last, names the folder of the campaign: until it is there,
    what was saved at the same path before stays valid.

    Args:
        path: Folder or URI; ``None`` for a new temporary folder.
        filesystem: To which ``path`` belongs, if it is not to be told from ``path`` itself.
        algorithm: Whose class is noted for ``Algorithm.from_checkpoint``.
        config: Of its campaign.
        state: ``training_iteration``, ``prior_digest`` and ``campaign``, a snapshot.

    Raises:
        CheckpointError: It cannot be written.
    """
    target = tempfile.mkdtemp(prefix="matinvent-") if path is None else str(path)
    remote, place = _placed(target, filesystem)
    try:
        if isinstance(remote, fs.LocalFileSystem):
            _write(Path(place), algorithm, config, state)
        else:
            with tempfile.TemporaryDirectory(prefix="matinvent-") as scratch:
                _write(Path(scratch), algorithm, config, state)
                _upload(Path(scratch), remote, place)
    except OSError as error:
        raise CheckpointError(
            f"cannot write checkpoint {target}: {error.strerror or error}"
        ) from error
    return target


def load_state(path: str | Path, filesystem: fs.FileSystem | None = None) -> StateDict:
    """Reads what :func:`save` was given as ``state``.

    Raises:
        CheckpointError: There is no checkpoint, or it cannot be read.
    """
    with _local(path, filesystem) as folder:
        try:
            state: StateDict = msgpack.unpackb((folder / _STATE).read_bytes())
            chosen = folder / Path(state[_CAMPAIGN]).name
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: no checkpoint of MatInvent: {error}") from error
        held, _ = checkpoint.load_latest(chosen)  # of one
        return {**state, _CAMPAIGN: held}


def load_config(path: str | Path, filesystem: fs.FileSystem | None = None) -> RunConfig:
    """Reads a checkpoint's settings.

    Raises:
        CheckpointError: There are none, or they are not valid any more.
    """
    with _local(path, filesystem) as folder:
        try:
            return load_run_config(folder / "config.yaml")
        except ConfigError as error:
            raise CheckpointError(f"{path}: no checkpoint of MatInvent: {error}") from error


def _write(folder: Path, algorithm: Algorithm, config: RunConfig, state: StateDict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    chosen = f"{_CAMPAIGN}-{uuid.uuid4().hex[:12]}"
    checkpoint.save(folder / chosen, state["campaign"])
    records.write_config(folder, config)
    _write_rllib_files(folder, algorithm)
    plain = {key: state[key] for key in ("training_iteration", "prior_digest")}
    write_atomic(folder / _STATE, msgpack.packb({**plain, _CAMPAIGN: chosen}))
    for earlier in folder.glob(f"{_CAMPAIGN}-*"):
        if earlier.name != chosen:
            shutil.rmtree(earlier)


def _write_rllib_files(folder: Path, algorithm: Algorithm) -> None:
    """What ``Algorithm.from_checkpoint`` needs to find the class. Nothing here reads the pickle."""
    metadata = {**algorithm.get_metadata(), "checkpoint_version": VERSION}
    records.write_json(folder / algorithm.METADATA_FILE_NAME, metadata)
    kind = type(algorithm)
    made_by = {
        # In an actor the class is Ray's, derived from the one that has its name.
        "class": getattr(import_module(kind.__module__), kind.__qualname__),
        "ctor_args_and_kwargs": algorithm.get_ctor_args_and_kwargs(),
    }
    write_atomic(folder / algorithm.CLASS_AND_CTOR_ARGS_FILE_NAME, pickle.dumps(made_by))


def _upload(folder: Path, remote: fs.FileSystem, place: str) -> None:
    with tempfile.TemporaryDirectory(prefix="matinvent-") as held:
        state = shutil.move(folder / _STATE, held)
        fs.copy_files(str(folder), place, destination_filesystem=remote)
        fs.copy_files(str(state), f"{place}/{_STATE}", destination_filesystem=remote)


@contextmanager
def _local(path: str | Path, filesystem: fs.FileSystem | None) -> Iterator[Path]:
    """The checkpoint as a folder of this machine, for as long as it is read."""
    remote, place = _placed(str(path), filesystem)
    if isinstance(remote, fs.LocalFileSystem):
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="matinvent-") as scratch:
        try:
            fs.copy_files(place, scratch, source_filesystem=remote)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read: {error}") from error
        yield Path(scratch)


def _placed(path: str, filesystem: fs.FileSystem | None) -> tuple[Any, str]:
    """Filesystem, and path within it."""
    if filesystem is not None:
        return filesystem, path
    if "://" not in path:
        return fs.LocalFileSystem(), str(Path(path).absolute())
    found: tuple[Any, str] = fs.FileSystem.from_uri(path)
    return found
