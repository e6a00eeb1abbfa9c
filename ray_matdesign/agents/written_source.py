"""Source that a model wrote, read before it is run: what all such checks have in common."""

from __future__ import annotations

import ast

MAX_CHARACTERS = 20_000

_BROAD = frozenset(("Exception", "BaseException"))


class StaticError(ValueError):
    """Code that is not run; the message is one line that starts with the place."""


def tree_of(source: str, what: str) -> tuple[ast.Module, list[ast.AST]]:
    """The module, and all of its nodes.

    Args:
        source: Of a module.
        what: It is to be, such as ``scorer``.

    Raises:
        StaticError: It is too long, or not Python.
    """
    if len(source) > MAX_CHARACTERS:
        raise StaticError(
            f"the code has {len(source)} characters; a {what} may have {MAX_CHARACTERS}"
        )
    try:
        module = ast.parse(source)
        return module, list(ast.walk(module))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise StaticError(f"line {line}: not Python: {getattr(error, 'msg', error)}") from error


def of_handler(handler: ast.ExceptHandler) -> str:
    """What is wrong with what an ``except`` catches; empty if nothing is."""
    caught = handler.type
    broad = isinstance(caught, ast.Name) and caught.id in _BROAD
    return "name the errors that are caught" if caught is None or broad else ""


def is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a text standing alone, as docstrings are."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
