"""Source that a model wrote, read before it is run: what all such checks have in common."""

from __future__ import annotations

import ast
import re
import textwrap

from ray_matdesign.agents.llm.protocol import Answer, BadAnswer, check_whole

MAX_CHARACTERS = 20_000

_FENCED = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[ \t]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
_PYTHON = frozenset(("", "python", "py", "python3"))
_BROAD = frozenset(("Exception", "BaseException"))


class StaticError(ValueError):
    """Code that is not run; the message is one line that starts with the place."""


def python_blocks(text: str) -> list[str]:
    """What stands in an answer between fences of three backticks, and may be Python."""
    found = _FENCED.findall(text.replace("\r\n", "\n"))
    return [body for kind, body in found if kind.lower() in _PYTHON]


def source_of(answer: Answer) -> str:
    """The module in an answer of free text: the longest block, or all of it if that is Python.

    Modules are not asked for within JSON, where line breaks have to be escaped: held to a grammar,
    small models leave them out.

    Raises:
        Truncated: The answer was cut off.
        BadAnswer: It holds no module.
    """
    check_whole(answer)
    blocks = python_blocks(answer.text)
    source = textwrap.dedent(max(blocks, key=len) if blocks else answer.text)
    if not source.strip() or not (blocks or _is_python(source)):
        raise BadAnswer("the answer holds no Python; write it in one ```python block")
    return source


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


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
