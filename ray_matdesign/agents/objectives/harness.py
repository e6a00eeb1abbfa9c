"""Inside the sandbox: hands crystals to code that was written, and its values back."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.codec import decode_crystals

MODULE = "written"
"""Name of the file with the code, without its ending."""

MAIN = "from ray_matdesign.agents.objectives.harness import call\n"
"""The program a sandbox starts with; its entry is ``call``."""


def call(
    crystals: NDArray[np.uint8],
    properties: Mapping[str, list[float]],
    arguments: int,
) -> dict[str, Any]:
    """Calls ``score`` of the written code.

    Args:
        crystals: As :func:`ray_matdesign.crystals.codec.encode_crystals` wrote them.
        properties: Values of registered scorers by name.
        arguments: 1 for crystals, 2 for crystals and properties.
    """
    score = getattr(importlib.import_module(MODULE), "score")  # noqa: B009 - nothing is known of it
    decoded = decode_crystals(crystals.tobytes())
    returned = score(decoded) if arguments == 1 else score(decoded, dict(properties))
    if isinstance(returned, np.ndarray):
        returned = returned.tolist()
    return {"returned": _plain(returned)}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
