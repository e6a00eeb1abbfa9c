"""Payloads as JSON text: numbers, strings, bytes, and lists and mappings of them."""

from __future__ import annotations

import base64
import json
from typing import Any

_BYTES = "base64"


def dumps(payload: Any) -> str:
    """One line of JSON; bytes become ``{"base64": ...}``.

    Raises:
        TypeError: Something that is not a plain value.
        ValueError: A number that is not finite, which JSON cannot carry.
    """
    return json.dumps(payload, default=_encode, allow_nan=False, separators=(",", ":"))


def loads(text: str) -> Any:
    """The payload :func:`dumps` wrote.

    Raises:
        ValueError: Not JSON, or bytes that are not base64.
    """
    return json.loads(text, object_hook=_decode)


def _encode(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    raise TypeError(f"{type(value).__name__} is not a plain value")


def _decode(mapping: dict[str, Any]) -> Any:
    if mapping.keys() == {_BYTES}:
        return base64.b64decode(mapping[_BYTES], validate=True)
    return mapping
