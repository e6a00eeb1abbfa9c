"""Inside the sandbox: imports a name and says what it is, and what a value is made of."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import Mapping
from typing import Any

_MOST_TEXT = 3000
_MOST_NAMES = 150


def look(name: str) -> dict[str, Any]:
    """Kind, signature, docstring and members of what a dotted name leads to; ``found`` if it does.

    Args:
        name: Of a module, or of something within one.
    """
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:k]))
            for part in parts[k:]:
                found = getattr(found, part)
        except (ImportError, AttributeError):
            continue
        return {"found": True, "name": name, **_described(found)}
    return {"found": False}


def _described(found: Any) -> dict[str, Any]:
    kind = "module" if inspect.ismodule(found) else "class" if isinstance(found, type) else ""
    kind = kind or ("function" if callable(found) else "constant")
    try:
        signature = str(inspect.signature(found)) if callable(found) else ""
    except (TypeError, ValueError):  # compiled, and it does not tell
        signature = "(...)"
    docstring = inspect.getdoc(found) or "" if kind != "constant" else ""
    members = public(found)[:_MOST_NAMES] if kind in ("module", "class") else []
    return {
        "kind": kind,
        "signature": signature,
        "docstring": docstring[:_MOST_TEXT],
        "members": members,
    }


def probe(source: str) -> dict[str, Any]:
    """Runs a program and describes the value of its last expression, or the error it met.

    Args:
        source: Whose last statement is an expression, if its value is to be described.
    """
    import ast

    space: dict[str, Any] = {"__name__": "__main__"}
    try:
        tree = ast.parse(source)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "snippet", "exec"), space)  # noqa: S102 - in the sandbox only
        if not isinstance(last, ast.Expr):
            names = [name for name in space if not name.startswith("__")]
            return {"type": "", "repr": "", "attributes": names[:_MOST_NAMES]}
        expression = ast.Expression(last.value)
        value = eval(compile(expression, "snippet", "eval"), space)  # noqa: S307 - likewise
    except Exception as error:  # noqa: BLE001 - it is what the probe is to tell
        return _failed(error)
    return _value(value)


def _value(value: Any) -> dict[str, Any]:
    kind = type(value)
    told: dict[str, Any] = {
        "type": f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."),
        "repr": repr(value)[:_MOST_TEXT],
        "attributes": public(value)[:_MOST_NAMES],
    }
    if isinstance(value, Mapping):
        told["keys"] = [repr(key)[:100] for key in list(value)[:_MOST_NAMES]]
    if hasattr(kind, "__len__"):
        told["length"] = len(value)
    for name in ("shape", "dtype"):
        if (found := getattr(value, name, None)) is not None:
            told[name] = str(found)
    return told


def _failed(error: Exception) -> dict[str, Any]:
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "snippet":
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line = error.lineno or 0
    told: dict[str, Any] = {
        "error": f"{type(error).__name__}: {error}"[:_MOST_TEXT],
        "line": line,
    }
    if isinstance(error, AttributeError) and error.name:
        names = public(error.obj)
        told["close"] = difflib.get_close_matches(error.name, names, 5, 0.4)
        told["attributes"] = names[:_MOST_NAMES]
    elif isinstance(error, ImportError) and error.name in sys.modules and error.name:
        wanted = str(error).partition("cannot import name '")[2].partition("'")[0]
        names = public(sys.modules[error.name])
        told["close"] = difflib.get_close_matches(wanted, names, 5, 0.4)
    return told


def public(value: Any) -> list[str]:
    """Public names of an object, in alphabetical order."""
    return [name for name in dir(value) if not name.startswith("_")]
