"""What a skill depends on: the versions of Python and of the packages that it imports."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec

Versions = Callable[[str], str | None]
"""Gives the version of what can be imported by a name, or nothing if it cannot."""

ABSENT = "absent"
"""Stands for the version of a package that is not there."""


@cache
def installed(package: str) -> str | None:
    """Version of the distribution that a package belongs to, in this Python.

    Args:
        package: Name to import, without submodules.
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        owners = _owners().get(package)
        return metadata.version(owners[0]) if owners else None


def environment_of(source: str, versions: Versions = installed) -> dict[str, str]:
    """Versions that code depends on, by name to import; Python's minor version among them.

    Args:
        source: Of a module.
        versions: Where to look them up.
    """
    found = {name: versions(name) or ABSENT for name in sorted(imported(source))}
    return {"python": f"{sys.version_info.major}.{sys.version_info.minor}", **found}


def environment_hash(environment: Mapping[str, str]) -> str:
    """The first 16 hexadecimal digits of a SHA-256; equal for equal versions."""
    text = json.dumps(dict(environment), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def importable(name: str) -> bool:
    """Whether a module of that name would hide one that lies beside a program."""
    return name in sys.stdlib_module_names or find_spec(name) is not None


def imported(source: str) -> set[str]:
    """Top-level names of imported packages, without Python's own."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names


@cache
def _owners() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()
