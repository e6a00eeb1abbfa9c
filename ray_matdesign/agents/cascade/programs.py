"""Programs as models write them: found in an answer, and mended where that needs no model."""

from __future__ import annotations

import ast
import builtins
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ray_matdesign.agents.cascade.harness import ANSWER
from ray_matdesign.agents.written_source import python_blocks

_OPEN = re.compile(r"^[ \t]*```[ \t]*(?:python|py|python3)?[ \t]*\n(.*)", re.DOTALL | re.MULTILINE)
_USUAL = {"np": "import numpy as np", "pd": "import pandas as pd",
          "plt": "import matplotlib.pyplot as plt"}  # fmt: skip
_MOST_SYMBOLS = 24

Known = Callable[[str], str | None]
"""The module to import a name from, if exactly one is known."""


class NoProgram(ValueError):
    """An answer without a program; the message is one line fit to be fed back."""


@dataclass(frozen=True)
class Mended:
    """A program after repairs.

    Attributes:
        source: Of the program.
        repairs: What was done, in a line each.
    """

    source: str
    repairs: tuple[str, ...] = ()


def extract(text: str, *, cut_off: bool = False) -> str:
    """The program of an answer in free text.

    Python blocks that are parts of one program, as models write them with explanations between,
    are joined if only the whole assigns the answer; otherwise the last block that assigns it
    counts, or the longest.

    Args:
        text: The answer.
        cut_off: Whether it ended at a limit of tokens.

    Raises:
        NoProgram: It holds none, or the program is not whole.
    """
    text = text.replace("\r\n", "\n")
    blocks = python_blocks(text)
    if not blocks:
        opened = _OPEN.search(text)
        if cut_off:
            raise NoProgram("the answer was too long and was cut off; write a shorter program")
        body = opened[1] if opened else text
        if not opened and not _is_python(body):
            raise NoProgram("no program in the answer; write it in one ```python block")
        blocks = [body]
    answering = [body for body in blocks if re.search(rf"^\s*{ANSWER}\s*[:=]", body, re.MULTILINE)]
    whole = "\n".join(blocks)
    if len(blocks) > 1 and answering and not _stands_alone(answering[-1]) and _is_python(whole):
        return _dedented(whole)
    chosen = answering[-1] if answering else max(blocks, key=len)
    if not chosen.strip():
        raise NoProgram("the program is empty; write it in one ```python block")
    return _dedented(chosen)


def mend(source: str, known: Known | None = None) -> Mended:
    """Puts right what can be put right without knowing what the program is for.

    Names that are used and bound nowhere are imported, if they are modules of the standard library,
    go by a customary abbreviation, or are known to be in one place only. An answer that is printed,
    or assigned within a function, becomes the global variable it should be.

    Args:
        source: Of the program; one that does not parse is left as it is.
        known: Where a name that is not customary comes from.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return Mended(source)
    imports = [line for name in _unbound(tree) if (line := _import_of(name, known))]
    repairs = [f"added: {line}" for line in imports]
    if not _assigned(tree.body):
        repair = _answer_printed(tree) or _answer_in_function(tree) or _answer_returned(tree)
        if repair:
            source = ast.unparse(ast.fix_missing_locations(tree))
            repairs.append(repair)
    if imports:
        source = _after_future("\n".join(imports), source)
    return Mended(source, tuple(repairs))


def plainly(source: str) -> Mended:
    """Turns numbers of other types, and arrays, at any depth of the answer into plain values."""
    line = f"{ANSWER} = _json.loads(_json.dumps({ANSWER}, default=lambda value: value.tolist()))"
    ending = "\n" if source.endswith("\n") else "\n\n"
    return Mended(f"{source}{ending}import json as _json\n{line}\n", ("made the answer plain",))


def symbols(source: str) -> list[str]:
    """Dotted names of what a program takes from packages, in order; none if it does not parse.

    ``from ase.build import bulk`` gives ``ase.build.bulk``; ``np.linalg.norm`` after ``import numpy
    as np`` gives ``numpy.linalg.norm``.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    bound: dict[str, str] = {}
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for one in node.names:
                bound[one.asname or one.name] = f"{node.module}.{one.name}"
                found.append(f"{node.module}.{one.name}")
        elif isinstance(node, ast.Import):
            for one in node.names:
                bound[one.asname or one.name.partition(".")[0]] = (
                    one.name if one.asname else one.name.partition(".")[0]
                )
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (path := _dotted(node)):
            head, _, rest = path.partition(".")
            if head in bound:
                found.append(f"{bound[head]}.{rest}")
    standard = sys.stdlib_module_names
    outside = [one for one in dict.fromkeys(found) if one.partition(".")[0] not in standard]
    return outside[:_MOST_SYMBOLS]


def imported(source: str) -> set[str]:
    """Top-level modules that a program imports; none if it does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return set()
    names = {
        one.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for one in node.names
    }
    return names | {
        node.module.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def _is_python(text: str) -> bool:
    """Whether a text is code: prose of one word would parse as well."""
    try:
        tree = ast.parse(_dedented(text))
    except (SyntaxError, ValueError):
        return False
    plain = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.FunctionDef)
    return any(isinstance(node, plain) for node in tree.body)


def _stands_alone(text: str) -> bool:
    try:
        return not list(_unbound(ast.parse(_dedented(text))))
    except (SyntaxError, ValueError):
        return False


def _dedented(text: str) -> str:
    encodable = text.encode(errors="replace").decode()  # JSON may carry halves of characters
    return textwrap.dedent(encodable).strip("\n") + "\n"


def _unbound(tree: ast.Module) -> Iterator[str]:
    """Names that are read and that nothing in the program binds, in order."""
    bound = {*vars(builtins), "__file__", "__name__"}
    read: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                read[node.id] = None
            else:
                bound.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {one.asname or one.name.partition(".")[0] for one in node.names}
            if any(one.name == "*" for one in node.names):
                return
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            bound.add(node.name)
    yield from (name for name in read if name not in bound)


def _import_of(name: str, known: Known | None) -> str:
    if name in _USUAL:
        return _USUAL[name]
    if name in sys.stdlib_module_names:
        return f"import {name}"
    place = known(name) if known is not None else None
    return f"from {place} import {name}" if place else ""


def _after_future(imports: str, source: str) -> str:
    """Imports at the top, beneath those that must come first."""
    lines = source.splitlines(keepends=True)
    future = [
        node.end_lineno or 0
        for node in ast.parse(source).body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    first = max(future, default=0)
    return "".join([*lines[:first], f"{imports}\n", *lines[first:]])


def _assigned(body: list[ast.stmt]) -> bool:
    """Whether statements bind the answer in their own scope, however deep in loops and branches."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            declared = (n for n in ast.walk(statement) if isinstance(n, ast.Global))
            if any(ANSWER in node.names for node in declared):
                return True
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id == ANSWER and isinstance(node.ctx, ast.Store):
                return True
            if isinstance(node, ast.alias) and (node.asname or node.name) == ANSWER:
                return True
    return False


def _answer_printed(tree: ast.Module) -> str:
    """Assigns what the last statement prints, or would show in a notebook, if it is one value."""
    body = tree.body
    while body and isinstance(body[-1], ast.If) and _is_main_guard(body[-1]):
        body = body[-1].body
    if not body or not isinstance(body[-1], ast.Expr):
        return ""
    value = body[-1].value
    printing = isinstance(value, ast.Call) and _dotted(value.func) == "print"
    if printing and isinstance(value, ast.Call):
        shown = [part for argument in value.args for part in _parts(argument)]
        if len(shown) != 1:
            return ""
        value = shown[0]
    elif isinstance(value, ast.Constant | ast.Call):
        return ""  # a call may be made for what it does, not for what it returns
    body[-1] = ast.Assign([ast.Name(ANSWER, ast.Store())], value)
    return f"assigned what was {'printed' if printing else 'shown'} last: {ast.unparse(value)}"


def _parts(argument: ast.expr) -> list[ast.expr]:
    """Values within what is printed; texts around them are none."""
    if isinstance(argument, ast.Constant):
        return []
    if isinstance(argument, ast.JoinedStr):
        return [part.value for part in argument.values if isinstance(part, ast.FormattedValue)]
    return [argument]


def _is_main_guard(node: ast.If) -> bool:
    return "__name__" in ast.unparse(node.test) and not node.orelse


def _answer_in_function(tree: ast.Module) -> str:
    """Makes the answer of a function that assigns it, and is called, a global variable."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _assigned(node.body):
            if ANSWER in {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}:
                continue
            called = any(
                isinstance(n, ast.Call) and _dotted(n.func) == node.name for n in ast.walk(tree)
            )
            if called:
                after_docstring = 1 if ast.get_docstring(node) is not None else 0
                node.body.insert(after_docstring, ast.Global([ANSWER]))
                return f"made the answer of {node.name}() global"
    return ""


def _answer_returned(tree: ast.Module) -> str:
    """Calls the one function that returns something and that nobody calls."""
    returning = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(n, ast.Return) and n.value is not None for n in ast.walk(node))
        and len(node.args.args) + len(node.args.posonlyargs) == len(node.args.defaults)
        and None not in node.args.kw_defaults
    ]
    called = {_dotted(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    free = [node for node in returning if node.name not in called]
    if len(free) != 1:
        return ""
    call = ast.Call(ast.Name(free[0].name, ast.Load()), [], [])
    tree.body.append(ast.Assign([ast.Name(ANSWER, ast.Store())], call))
    return f"assigned what {free[0].name}() returns"
