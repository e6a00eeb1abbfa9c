"""Inside the sandbox: what objects of imported modules say of themselves."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_MOST_NAMES = 5000


def ask(modules: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Kinds, signatures and docstrings.

    Args:
        modules: Names by dotted module; ``*other`` stands for all that another module offers.
    """
    told: list[dict[str, str]] = []
    for module, names in modules.items():
        offered = importlib.import_module(module)
        for name in dict.fromkeys(_every(names)):
            if hasattr(offered, name) and len(told) < _MOST_NAMES:
                told += _about(f"{module}.{name}", getattr(offered, name))
    return {"told": told}


def _every(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name.startswith("*"):
            other = importlib.import_module(name[1:])
            listed = getattr(other, "__all__", None) or dir(other)
            yield from (one for one in listed if not one.startswith("_"))
        else:
            yield name


def _about(name: str, found: Any) -> Iterator[dict[str, str]]:
    if inspect.ismodule(found):
        return
    kind = "class" if isinstance(found, type) else "function" if callable(found) else "constant"
    yield _record(name, found, kind)
    if kind == "class":
        for leaf, member in vars(found).items():
            if not leaf.startswith("_"):
                inner = "method" if callable(getattr(found, leaf, None)) else "property"
                yield _record(f"{name}.{leaf}", member, inner, owner=name)


def _record(name: str, found: Any, kind: str, owner: str = "") -> dict[str, str]:
    leaf = name.rpartition(".")[2]
    docstring = "" if kind == "constant" else inspect.getdoc(found) or ""
    return {
        "name": name,
        "owner": owner,
        "kind": kind,
        "signature": f"{leaf}{_signature(found)}" if callable(found) else leaf,
        "docstring": docstring,
    }


def _signature(found: Any) -> str:
    try:
        return str(inspect.signature(found))
    except (TypeError, ValueError):  # compiled, and it does not tell
        return "(...)"
