"""Numbers, text and arrays as files: how data enters a sandbox and leaves it.

JSON and npz without pickle. What comes out was written by nobody one trusts: sizes are checked
before anything is unpacked.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = Any
"""JSON values, and arrays of numbers, booleans or text."""

INPUTS = "inputs"
RESULT = "result"
"""Stems of the files: ``inputs.json`` and ``inputs.npz``, ``result.json`` and ``result.npz``."""


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class BadExchange(ValueError):
    """Values that cannot be written, or a file that does not hold what it should."""


def write_values(stem: str, values: Mapping[str, Value]) -> dict[str, bytes]:
    """Encodes values: arrays into an npz file, all else into a JSON file.

    Args:
        stem: Name of the files without ending.
        values: By name.

    Returns:
        Contents by name of file.

    Raises:
        BadExchange: A value is neither JSON nor an array of numbers, booleans or text.
    """
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in values.items() if name not in arrays}
    try:
        files = {f"{stem}.json": json.dumps(plain).encode()}
    except (TypeError, ValueError, RecursionError) as error:
        raise BadExchange(f"{stem}.json: {error}") from error
    if arrays:
        packed = io.BytesIO()
        objects = [name for name, array in arrays.items() if array.dtype.hasobject]
        if objects:
            raise BadExchange(f"{stem}.npz: {objects[0]} is an array of objects")
        np.savez(packed, allow_pickle=False, **arrays)
        files[f"{stem}.npz"] = packed.getvalue()
    return files


def read_values(stem: str, files: Mapping[str, bytes], *, most_bytes: int) -> dict[str, Value]:
    """Decodes what :func:`write_values` wrote, or something else that pretends to be it.

    Args:
        stem: Name of the files without ending.
        files: Contents by name of file; either may be missing.
        most_bytes: Largest sum of unpacked arrays.

    Returns:
        Values by name.

    Raises:
        BadExchange: A file is damaged, of another form, or unpacks to too much.
    """
    values: dict[str, Value] = {}
    if f"{stem}.json" in files:
        values.update(_read_json(f"{stem}.json", files[f"{stem}.json"]))
    if f"{stem}.npz" in files:
        values.update(_read_arrays(f"{stem}.npz", files[f"{stem}.npz"], most_bytes))
    return values


def _read_json(name: str, text: bytes) -> dict[str, Value]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadExchange(f"{name}: not JSON: {error}") from error
    if not isinstance(values, dict):
        raise BadExchange(f"{name}: not a JSON object")
    return values


def _read_arrays(name: str, packed: bytes, most_bytes: int) -> dict[str, NDArray[np.generic]]:
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > most_bytes:
                raise BadExchange(f"{name}: unpacks to more than {most_bytes} bytes")
            return {
                member.filename.removesuffix(".npy"): _read_array(archive, member)
                for member in members
            }
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise BadExchange(f"{name}: not an npz file: {error}") from error


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.generic]:
    # ``read`` unpacks no more than the size that was counted above, or fails.
    content = io.BytesIO(archive.read(member))
    try:
        read_header = _HEADERS[np.lib.format.read_magic(content)]
        shape, _, dtype = read_header(content)
    except (ValueError, KeyError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise BadExchange(f"{member.filename}: not an array: {error}") from error
    if dtype.hasobject:
        raise BadExchange(f"{member.filename}: an array of objects")
    if int(np.prod(shape, dtype=object)) * dtype.itemsize != member.file_size - content.tell():
        raise BadExchange(f"{member.filename}: shape {shape} does not fit its size")
    content.seek(0)
    try:
        return np.asarray(np.lib.format.read_array(content, allow_pickle=False))
    except (ValueError, MemoryError) as error:
        raise BadExchange(f"{member.filename}: {error}") from error
