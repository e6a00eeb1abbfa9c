"""Crystals as bytes: what crosses processes and goes into checkpoints.

Layout, little-endian throughout::

    magic     4 bytes   b"RMDC"
    version   uint16
    reserved  uint16    zero
    crystals  uint32    n
    checksum  uint32    CRC-32 of everything after the header
    n_atoms   uint32    (n,)
    lattices  float64   (n, 3, 3)   Angstrom
    coords    float64   (sum n_atoms, 3)
    numbers   uint8     (sum n_atoms,)

Plain arrays rather than pickles, so that processes with different NumPy or pymatgen versions can
exchange crystals, and so that reading bytes from elsewhere never runs code.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal

_MAGIC = b"RMDC"
_VERSION = 1
_HEADER = struct.Struct("<4sHHII")


class CodecError(ValueError):
    """Bytes that are not crystals encoded by this package."""


def encode_crystals(crystals: Sequence[Crystal]) -> bytes:
    """Encodes crystals; :func:`decode_crystals` returns them bit for bit.

    Args:
        crystals: Any number, also none.
    """
    sizes = np.array([len(crystal) for crystal in crystals], dtype="<u4")
    parts = [sizes.tobytes()]
    parts += [crystal.lattice.astype("<f8").tobytes() for crystal in crystals]
    parts += [crystal.frac_coords.astype("<f8").tobytes() for crystal in crystals]
    parts += [crystal.numbers.astype("u1").tobytes() for crystal in crystals]
    body = b"".join(parts)
    return _HEADER.pack(_MAGIC, _VERSION, 0, len(crystals), zlib.crc32(body)) + body


def decode_crystals(data: bytes) -> list[Crystal]:
    """Decodes what :func:`encode_crystals` made.

    Raises:
        CodecError: The bytes come from elsewhere, from a newer version, or are cut short or
            damaged.
    """
    body, n_crystals = _checked_body(data)
    sizes = np.frombuffer(body, dtype="<u4", count=n_crystals).astype(np.int64)
    ends = np.cumsum(sizes)
    n_atoms = int(sizes.sum())
    offset = 4 * n_crystals
    lattices = np.frombuffer(body, dtype="<f8", count=9 * n_crystals, offset=offset)
    offset += lattices.nbytes
    coords = np.frombuffer(body, dtype="<f8", count=3 * n_atoms, offset=offset).reshape(-1, 3)
    offset += coords.nbytes
    numbers = np.frombuffer(body, dtype="u1", count=n_atoms, offset=offset)
    try:
        return [
            Crystal(lattice, coords[end - size : end], numbers[end - size : end])
            for lattice, size, end in zip(lattices.reshape(-1, 3, 3), sizes, ends, strict=True)
        ]
    except InvalidCrystal as error:
        raise CodecError(f"encoded crystals hold one that is invalid: {error}") from error


def _checked_body(data: bytes) -> tuple[memoryview, int]:
    """The bytes after the header, verified, and the number of crystals in them."""
    if len(data) < _HEADER.size or data[:4] != _MAGIC:
        raise CodecError(f"{len(data)} bytes that are not encoded crystals (no {_MAGIC!r} header)")
    _, version, _, n_crystals, checksum = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise CodecError(
            f"encoded crystals of version {version}; this package reads version {_VERSION}"
        )
    body = memoryview(data)[_HEADER.size :]
    expected = 4 * n_crystals
    if len(body) >= expected:
        n_atoms = int(np.frombuffer(body, "<u4", n_crystals).astype(np.int64).sum())
        expected += 72 * n_crystals + 25 * n_atoms
    if len(body) != expected:
        raise CodecError(
            f"encoded crystals are cut short or overlong: {len(body)} bytes, expected {expected}"
        )
    if zlib.crc32(body) != checksum:
        raise CodecError("encoded crystals are damaged: the checksum does not match")
    return body, n_crystals
