"""Inside the sandbox: calls a skill with one set of inputs after another."""

from __future__ import annotations

import importlib
import json
import math
import traceback
from collections.abc import Callable, Sequence
from typing import Any

MODULE = "skill_on_trial"
"""Name of the file with the code, without its ending."""

MAIN = "from ray_matdesign.agents.skills.harness import call\n"
"""The program a sandbox starts with; its entry is ``call``."""


class NotPlain(TypeError):
    """A value that is not made of plain Python types."""


def call(entry: str, calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Calls the entry of the skill; what it raises is the outcome of that call.

    Args:
        entry: Name of the function.
        calls: Arguments by name of each call.

    Returns:
        ``outcomes``: objects with either ``value`` or ``error``, in the order of the calls.
    """
    function = getattr(importlib.import_module(MODULE), entry)
    # Each call has inputs of its own: one that changes them shall not be noticed by the next.
    return {"outcomes": [_outcome(function, json.loads(json.dumps(inputs))) for inputs in calls]}


def _outcome(function: Callable[..., Any], inputs: dict[str, Any]) -> dict[str, Any]:
    try:
        value = function(**inputs)
        _check_plain(value)
    except Exception as error:  # noqa: BLE001 - whatever it raises is what came of the call
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename.endswith(f"{MODULE}.py")
        ]
        where = f" (line {lines[-1]})" if lines else ""
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{where}"}
    return {"value": value}


def _check_plain(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise NotPlain(f"returned {value}, which is no answer")
    if type(value) is list:
        for item in value:
            _check_plain(item)
    elif type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise NotPlain(f"returned an object with the key {key!r}, which is no text")
            _check_plain(item)
    elif value is not None and type(value) not in (bool, int, float, str):
        kind = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
        raise NotPlain(f"returned a {kind}; return plain Python types")
