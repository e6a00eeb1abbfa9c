"""Names in a configuration become Python objects: entries of a table, or import paths."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any


class UnknownName(ValueError):
    """A name that is neither in its table nor importable."""


def load_object(name: str, table: Mapping[str, str], *, what: str) -> Any:
    """Finds the object a configuration names.

    Args:
        name: A key of ``table``, or an import path ``package.module:attribute``.
        table: The names this package knows, each with the import path behind it.
        what: What is looked for, in the singular, for the error: ``scorer``.

    Raises:
        UnknownName: No such entry, module or attribute. An import error *inside* an existing
            module is not hidden behind this: it propagates.
    """
    path = table.get(name, name)
    module_name, colon, attribute = path.partition(":")
    if not colon:
        guess = difflib.get_close_matches(name, table, n=1)
        hint = f"did you mean {guess[0]}? " if guess else ""
        known = ", ".join(sorted(table)) or "none"
        raise UnknownName(
            f"unknown {what} {name!r}; {hint}known are {known}; or give an import path "
            f"package.module:factory"
        )
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise
        raise UnknownName(
            f"{what} {name!r}: there is no module {error.name!r} to import; is its package "
            f"installed, or its folder on PYTHONPATH?"
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise UnknownName(f"{what} {name!r}: {module_name} has no {attribute!r}") from error
