"""Reads written code before it is run: what it may import, name and do.

This is no wall; the sandbox is. It refuses early, with a line that the writer can act on, what a
scorer never needs: files, processes, chance, clocks, state, and answers learnt by heart.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from ray_matdesign.agents.written_source import StaticError, is_text, of_handler, tree_of

MODULES = frozenset(
    (
        "math",
        "statistics",
        "itertools",
        "functools",
        "collections",
        "numpy",
        "ray_matdesign.crystals.crystal",
        "ray_matdesign.crystals.elements",
        "ray_matdesign.crystals.geometry",
        "ray_matdesign.crystals.symmetry",
    )
)
"""What may be imported."""

_NAMES = (
    "breakpoint classmethod compile delattr dir eval exec exit getattr globals hasattr help input "
    "locals memoryview object open print property quit setattr staticmethod super type vars id "
    "hash"
)
_FORBIDDEN_NAMES = frozenset(_NAMES.split())
_ATTRIBUTES = (
    "load save savez savez_compressed savetxt loadtxt genfromtxt fromfile tofile memmap open "
    "ctypes ctypeslib random lib testing f2py dump dumps fromregex DataSource format_map "
    "frombuffer setflags"
)
_FORBIDDEN_ATTRIBUTES = frozenset(_ATTRIBUTES.split())
_FORBIDDEN_STATEMENTS = (
    ast.ClassDef,
    ast.AsyncFunctionDef,
    ast.Await,
    ast.AsyncFor,
    ast.AsyncWith,
    ast.Global,
    ast.Nonlocal,
    ast.With,
    ast.Delete,
    ast.Yield,
    ast.YieldFrom,
)
_TOP = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.Assign, ast.AnnAssign)


def check_source(
    source: str, known_by_heart: Iterable[str] = (), takes_properties: bool = False
) -> None:
    """Refuses code that is not a scorer.

    Args:
        source: Of the module.
        known_by_heart: Names of sample crystals; code that compares with one of them is refused.
        takes_properties: Whether ``score`` has a second argument, values of registered scorers.

    Raises:
        StaticError: The first thing that is wrong.
    """
    for problem in _problems(source, frozenset(known_by_heart), takes_properties):
        raise StaticError(problem)


def _problems(source: str, heart: frozenset[str], takes_properties: bool) -> Iterator[str]:
    module, nodes = tree_of(source, "scorer")
    yield from _structure(module, takes_properties)
    for node in nodes:
        problem = _of_node(node, heart)
        if problem:
            yield f"line {getattr(node, 'lineno', 0)}: {problem}"


def _structure(module: ast.Module, takes_properties: bool) -> Iterator[str]:
    for statement in module.body:
        if not (isinstance(statement, _TOP) or is_text(statement)):
            yield (
                f"line {statement.lineno}: a module of a scorer has imports, constants and "
                f"functions, nothing else"
            )
    scores = [f for f in module.body if isinstance(f, ast.FunctionDef) and f.name == "score"]
    wanted = ["crystals", "properties"][: 1 + takes_properties]
    says = f"score({', '.join(wanted)})"
    if len(scores) != 1:
        yield f"there must be one function {says}, found {len(scores)}"
        return
    arguments = scores[0].args
    named = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    if named != wanted or arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
        is_now = f"score({', '.join(named)})"
        yield f"line {scores[0].lineno}: the function must be {says}, and is {is_now}"
    if arguments.defaults or scores[0].decorator_list:
        yield f"line {scores[0].lineno}: score takes no defaults and no decorators"


def _of_node(node: ast.AST, heart: frozenset[str]) -> str:
    match node:
        case ast.Import():
            return _of_modules([alias.name for alias in node.names])
        case ast.ImportFrom():
            names = [alias.name for alias in node.names]
            if node.level:
                return "relative imports lead nowhere here"
            return _of_modules([node.module or ""]) or _of_imported(names)
        case ast.Name() if node.id in _FORBIDDEN_NAMES or "__" in node.id:
            return f"{node.id} may not be used"
        case ast.Attribute() if node.attr.startswith("_") or node.attr in _FORBIDDEN_ATTRIBUTES:
            return f".{node.attr} may not be used"
        case ast.Constant(value=str() as text):
            return _of_text(text, heart)
        case ast.ExceptHandler():
            return of_handler(node)
    if isinstance(node, _FORBIDDEN_STATEMENTS):
        return f"{type(node).__name__} has no place in a scorer"
    return ""


def _of_modules(names: Sequence[str]) -> str:
    for name in names:
        if name not in MODULES:
            return f"{name} may not be imported; these may: {', '.join(sorted(MODULES))}"
    return ""


def _of_imported(names: Sequence[str]) -> str:
    for name in names:
        if name == "*" or name.startswith("_") or name in _FORBIDDEN_ATTRIBUTES:
            return f"{name} may not be imported"
    return ""


def _of_text(text: str, heart: frozenset[str]) -> str:
    if "__" in text:
        return "a text with __ in it may not be used"
    # Symbols of elements are needed by honest code; formulas of compounds are not.
    if text in heart:
        return f"{text!r} is the name of a sample crystal: compute values, do not look them up"
    return ""
