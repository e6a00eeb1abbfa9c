"""How a job goes to a sandbox and a report comes back: a JSON head, then named blobs of bytes.

Both ends count what they read before they believe it.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

_LENGTH = struct.Struct("=Q")
_LONGEST_HEAD = 2**20
_CHUNK = 2**20


class BrokenWire(ConnectionError):
    """The other end is gone, is late, or sends what it should not."""


def send(wire: socket.socket, head: Mapping[str, Any], blobs: Mapping[str, bytes]) -> None:
    """Sends one message.

    Args:
        wire: Connected stream socket.
        head: Plain JSON.
        blobs: Bytes by name.

    Raises:
        OSError: The other end is gone.
    """
    sizes = [[name, len(blob)] for name, blob in blobs.items()]
    line = json.dumps({"head": dict(head), "blobs": sizes}).encode()
    wire.sendall(_LENGTH.pack(len(line)) + line)
    for blob in blobs.values():
        wire.sendall(blob)


def receive(
    wire: socket.socket, *, most_bytes: int, within_s: float
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Takes one message.

    Args:
        wire: Connected stream socket.
        most_bytes: Largest sum of blobs.
        within_s: Longest wait for all of it.

    Returns:
        Head and blobs.

    Raises:
        BrokenWire: Nothing came in time, the other end closed, or it is not such a message.
    """
    deadline = time.monotonic() + within_s
    (length,) = _LENGTH.unpack(_exactly(wire, _LENGTH.size, deadline))
    if length > _LONGEST_HEAD:
        raise BrokenWire(f"a head of {length} bytes")
    try:
        message = json.loads(_exactly(wire, length, deadline))
        head = dict(message["head"])
        sizes = [(str(name), int(size)) for name, size in message["blobs"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BrokenWire("a head that is not JSON of the right form") from error
    if any(size < 0 for _, size in sizes) or sum(size for _, size in sizes) > most_bytes:
        raise BrokenWire(f"more than {most_bytes} bytes")
    return head, {name: _exactly(wire, size, deadline) for name, size in sizes}


def _exactly(wire: socket.socket, count: int, deadline: float) -> bytes:
    parts = []
    while count:
        try:
            wire.settimeout(max(1e-3, deadline - time.monotonic()))
            part = wire.recv(min(count, _CHUNK))
        except TimeoutError as error:
            raise BrokenWire("no answer in time") from error
        except OSError as error:
            raise BrokenWire(error.strerror or str(error)) from error
        if not part:
            raise BrokenWire("the other end closed")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
