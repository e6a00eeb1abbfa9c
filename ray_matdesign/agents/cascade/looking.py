"""Inside the sandbox: what stood where a program failed, and what the symbol should have been.

A small model's main mistake is a symbol that does not exist. The interpreter that has just failed
to find it knows best what is there instead.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import importlib
import inspect
import pkgutil
import re
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

from ray_matdesign.agents.cascade.harness import PROGRAM

_MOST_MATCHES = 4
_MOST_VARIABLES = 12
_MOST_SIGNATURE = 320
_MOST_VALUE = 90
_MOST_MESSAGE = 600
_CUTOFF = 0.55

_FROM = re.compile(r"cannot import name '([^']+)' from (?:partially initialized module )?'([^']+)'")


def look(error: Exception, source: str) -> dict[str, Any]:
    """What can be told of an error, as plain JSON.

    Args:
        error: As it left the program.
        source: Of the program.

    Returns:
        ``kind`` and ``message`` of the error; ``line`` and ``text`` of the program's last line on
        its way; ``below``, the place in a library where it was raised; ``symbols``, lines on what
        is there in place of what failed; ``values``, lines on the variables around.
    """
    told: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": " ".join(str(error).split())[:_MOST_MESSAGE],
    }
    if isinstance(error, SyntaxError):
        return {**told, "line": error.lineno, "text": (error.text or "").strip()[:200]}
    trace = _last_in_program(error.__traceback__)
    if trace is None:
        return told
    lines = source.splitlines()
    told["line"] = trace.tb_lineno
    if 0 < trace.tb_lineno <= len(lines):
        told["text"] = lines[trace.tb_lineno - 1].strip()[:200]
    if trace.tb_next is not None:
        told["below"] = _place(trace)
    node = _node(trace, source)
    told["symbols"] = list(dict.fromkeys(_symbols(error, trace.tb_frame, node)))
    told["values"] = list(_values(error, trace.tb_frame, node))
    return told


def _last_in_program(trace: types.TracebackType | None) -> types.TracebackType | None:
    found = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == PROGRAM:
            found = trace
        trace = trace.tb_next
    return found


def _place(trace: types.TracebackType) -> str:
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}, in {code.co_qualname}"


def _node(trace: types.TracebackType, source: str) -> ast.AST | None:
    """The expression that was being evaluated."""
    positions = list(trace.tb_frame.f_code.co_positions())[trace.tb_lasti // 2]
    line, end_line, column, end_column = positions
    ends = None
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.expr):
            continue
        if (node.end_lineno, node.end_col_offset) != (end_line, end_column):
            continue
        if (node.lineno, node.col_offset) == (line, column):
            return node
        if isinstance(node, ast.Call):  # in a chain over lines, a call begins at its last dot
            ends = node
    return ends


def _symbols(error: Exception, frame: types.FrameType, node: ast.AST | None) -> Iterator[str]:
    if isinstance(error, ImportError):
        yield from _imports(error)
    elif isinstance(error, AttributeError) and error.name and error.obj is not None:
        yield from _attributes(error.obj, error.name)
    elif isinstance(error, NameError) and error.name:
        names = [n for n in {**frame.f_globals, **frame.f_locals} if not n.startswith("_")]
        if matches := _close(error.name, names):
            yield f"{error.name} is not defined; there are {', '.join(matches)}"
    elif isinstance(node, ast.Call):
        called = _value(node.func, frame)
        if called is not None and (shown := signature(called)):
            yield f"{_called(called)}{shown}"


def _imports(error: ImportError) -> Iterator[str]:
    wanted = _FROM.match(str(error))
    name, module = (wanted[1], wanted[2]) if wanted else ("", error.name or "")
    parent, found = _importable(module)
    if found is None:
        yield f"there is no package {module.partition('.')[0]} here"
        return
    if not name:
        name = module[len(parent) + 1 :].partition(".")[0]
        below = [one.name for one in pkgutil.iter_modules(getattr(found, "__path__", []))]
        if matches := _close(name, below):
            yield f"{parent} has no module {name}; it has {', '.join(matches)}"
        return
    for place in _defined(name, parent.partition(".")[0]):
        yield f"{name} is in {place}: from {place} import {name}"
    yield from _attributes(found, name)


def _importable(module: str) -> tuple[str, types.ModuleType | None]:
    """The longest part of a dotted name that can be imported."""
    parts = module.split(".")
    while parts:
        name = ".".join(parts)
        try:
            return name, importlib.import_module(name)
        except ImportError:
            parts.pop()
    return "", None


def _defined(name: str, package: str) -> list[str]:
    """Modules of a package that are loaded and hold a name, the shortest path first."""
    held = [
        path
        for path, module in list(sys.modules.items())
        if path.partition(".")[0] == package and name in getattr(module, "__dict__", {})
    ]
    return sorted(held, key=lambda path: (path.count("."), path))[:2]


def _attributes(owner: Any, name: str) -> Iterator[str]:
    holder = owner if isinstance(owner, type | types.ModuleType) else type(owner)
    public = [one for one in dir(owner) if not one.startswith("_")]
    matches = _close(name, public)
    told = []
    for match in matches:
        # Not from the instance: that would compute its properties.
        found = inspect.getattr_static(holder, match, None)
        told.append(match + (signature(getattr(holder, match, None)) if found is not None else ""))
    whole = ", ".join(told or public[:30])
    yield f"{_name(holder)} has no {name}; it has {whole}"


def _close(name: str, names: Iterable[str]) -> list[str]:
    """Names that are like another, or share most of its words."""
    public = sorted({one for one in names if not one.startswith("__")})
    lower = {one.lower(): one for one in public}
    alike = difflib.get_close_matches(name.lower(), list(lower), _MOST_MATCHES, _CUTOFF)
    words = _words(name)
    sharing = sorted(
        (one for one in public if words & _words(one)),
        key=lambda one: (-len(words & _words(one)) / len(words | _words(one)), one),
    )
    return list(dict.fromkeys([*(lower[one] for one in alike), *sharing]))[:_MOST_MATCHES]


def _words(name: str) -> set[str]:
    """``get_space_group`` and ``SpaceGroup`` share two words."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return {part.lower() for part in parts} - {"get", "from", "to", "set", "is"}


def signature(called: Any) -> str:
    """Arguments of a function or class, cut to a line; empty where they are not known."""
    if not callable(called):
        return ""
    try:
        text = str(inspect.signature(called))
    except (ValueError, TypeError):
        return ""
    return text if len(text) <= _MOST_SIGNATURE else text[: _MOST_SIGNATURE - 4] + "...)"


def _name(owner: Any) -> str:
    if isinstance(owner, types.ModuleType):
        return owner.__name__
    return f"{owner.__module__}.{owner.__qualname__}"


def _called(called: Any) -> str:
    owner = getattr(called, "__func__", called)
    if not isinstance(getattr(owner, "__qualname__", None), str):
        owner = type(called)
    return f"{getattr(owner, '__module__', None) or 'builtins'}.{owner.__qualname__}"


def _value(node: ast.AST, frame: types.FrameType) -> Any:
    """What a name, or attributes of one, stood for; None where it is anything else."""
    if isinstance(node, ast.Name):
        for scope in (frame.f_locals, frame.f_globals, vars(builtins)):
            if node.id in scope:
                return scope[node.id]
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, frame)
        try:
            return getattr(owner, node.attr, None)
        except Exception:  # noqa: BLE001 - a property may raise anything; then its value is unknown
            return None
    return None


def _values(error: Exception, frame: types.FrameType, node: ast.AST | None) -> Iterator[str]:
    if isinstance(node, ast.Subscript):
        held = _value(node.value, frame)
        if held is not None:
            told = f"keys {list(held)[:20]!r:.300}" if isinstance(held, dict) else shown(held)
            yield f"{ast.unparse(node.value)}: {told}"
    taken = 0
    for name, value in frame.f_locals.items():
        hidden = name.startswith("_") or isinstance(
            value, types.ModuleType | types.FunctionType | types.BuiltinFunctionType | type
        )
        if hidden or taken == _MOST_VARIABLES:
            continue
        taken += 1
        yield f"{name}: {shown(value)}"


def shown(value: Any) -> str:
    """Type, size and the beginning of a value."""
    kind = type(value)
    shape = getattr(value, "shape", None)
    size = f" of shape {tuple(shape)}" if isinstance(shape, tuple) else ""
    if not size and isinstance(value, list | tuple | dict | set):
        size = f" of {len(value)}"
    try:
        text = " ".join(repr(value).split())
    except Exception as error:  # noqa: BLE001 - a half-built object may fail in any way
        text = f"repr fails: {type(error).__name__}"
    text = text if len(text) <= _MOST_VALUE else text[: _MOST_VALUE - 3] + "..."
    return f"{kind.__name__}{size} = {text}"
