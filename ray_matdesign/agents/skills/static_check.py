"""Reads a skill before it is run: its form, what it imports, and what it must not do.

This is no wall; the sandbox is. It refuses early, with a line that the writer can act on.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ray_matdesign.agents.written_source import StaticError, is_text, of_handler, tree_of

_PACKAGES = """
ase bisect chgnet cmath collections copy dataclasses datetime decimal enum fractions functools
heapq io itertools json math matminer networkx numpy operator pandas pathlib phonopy pymatgen random
ray_matdesign.crystals rdkit re robocrys scipy smact spglib sqlite3 statistics string sympy tempfile
textwrap torch typing warnings
"""
PACKAGES = frozenset(_PACKAGES.split())
"""What may be imported, with all that lies beneath it, save for :data:`NETWORKED`."""

NETWORKED = ("pymatgen.ext", "torch.distributed", "torch.hub", "scipy.datasets", "pandas.io")
"""Parts of these packages that speak to other machines."""

_NAMES = """
breakpoint compile delattr eval exec exit globals help input locals open print quit setattr vars
"""
_FORBIDDEN_NAMES = frozenset(_NAMES.split())
_FORBIDDEN_STATEMENTS = (
    ast.AsyncFunctionDef,
    ast.Await,
    ast.AsyncFor,
    ast.AsyncWith,
    ast.Global,
)
_TOP = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
_ROOTS = "bin dev etc home lib mnt opt proc root run srv sys tmp usr var"
_ABSOLUTE = re.compile(
    rf"~/|[A-Za-z]:\\|/(?:{'|'.join(_ROOTS.split())})(?:/|$)|(?:/[\w.-]+){{2,}}/?$"
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """The function that a skill is.

    Attributes:
        name: Of the function.
        arguments: Its arguments by name, with their annotations as text.
        required: Those without a default.
        returns: Annotation of the result.
        summary: First line of its docstring.
        signature: As a caller reads it.
    """

    name: str
    arguments: dict[str, str]
    required: frozenset[str]
    returns: str
    summary: str
    signature: str


def check_skill(source: str, name: str) -> Entry:
    """Refuses code that is not a skill.

    Args:
        source: Of the module.
        name: Of its entry function.

    Raises:
        StaticError: The first thing that is wrong, in one line.
    """
    for problem in _problems(source, name):
        raise StaticError(problem)
    return entry_of(source, name)


def entry_of(source: str, name: str) -> Entry:
    """The entry function of a module that was checked."""
    (function,) = _functions(ast.parse(source), name)
    named = _named(function.args)
    defaults = len(function.args.defaults)
    optional = [one.arg for one in function.args.args[len(function.args.args) - defaults :]]
    given = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    optional += [one.arg for one, default in given if default is not None]
    arguments = {one.arg: ast.unparse(one.annotation) for one in named if one.annotation}
    returns = ast.unparse(function.returns) if function.returns else ""
    return Entry(
        name=name,
        arguments=arguments,
        required=frozenset(arguments) - set(optional),
        returns=returns,
        summary=(ast.get_docstring(function) or "").partition("\n")[0],
        signature=f"{name}({ast.unparse(function.args)}) -> {returns}",
    )


def _problems(source: str, name: str) -> Iterator[str]:
    module, nodes = tree_of(source, "skill")
    yield from _structure(module, name)
    documented = _docstrings(nodes)
    for node in nodes:
        problem = "" if id(node) in documented else _of_node(node)
        if problem:
            yield f"line {getattr(node, 'lineno', 0)}: {problem}"


def _structure(module: ast.Module, name: str) -> Iterator[str]:
    for statement in module.body:
        if not (isinstance(statement, _TOP) or is_text(statement)):
            yield (
                f"line {statement.lineno}: a module of a skill has imports, constants, functions "
                f"and classes, nothing else"
            )
    found = _functions(module, name)
    if len(found) != 1:
        yield f"there must be one function {name}, found {len(found)}"
        return
    public = [
        one
        for one in module.body
        if isinstance(one, ast.FunctionDef) and one.name != name and one.name[0] != "_"
    ]
    if public:
        yield f"line {public[0].lineno}: {public[0].name}: helpers start with an underscore"
    yield from _signature(found[0])


def _signature(function: ast.FunctionDef) -> Iterator[str]:
    where, arguments = f"line {function.lineno}: {function.name}", function.args
    if arguments.vararg or arguments.kwarg or arguments.posonlyargs:
        yield f"{where}: every argument needs a name to be called by"
    bare = [one.arg for one in _named(arguments) if one.annotation is None]
    if bare:
        yield f"{where}: argument {bare[0]} has no type"
    if function.returns is None:
        yield f"{where}: has no type of what it returns"
    if not ast.get_docstring(function):
        yield f"{where}: has no docstring"
    if function.decorator_list:
        yield f"{where}: takes no decorators"


def _of_node(node: ast.AST) -> str:
    match node:
        case ast.Import():
            return _of_modules(alias.name for alias in node.names)
        case ast.ImportFrom():
            if node.level:
                return "relative imports lead nowhere here"
            if node.module == "__future__":
                return ""
            if any(alias.name == "*" for alias in node.names):
                return "name what is imported instead of *"
            # What is named may be a module as well.
            return _of_modules([f"{node.module}.{alias.name}" for alias in node.names])
        case ast.Name() if node.id in _FORBIDDEN_NAMES or "__" in node.id:
            return f"{node.id} may not be used; a skill is a function of its arguments"
        case ast.Attribute() if node.attr.startswith("__") and node.attr != "__init__":
            return f".{node.attr} may not be used"
        case ast.Constant(value=str() as text):
            return _of_text(text)
        case ast.ExceptHandler():
            return of_handler(node)
    if isinstance(node, _FORBIDDEN_STATEMENTS):
        return f"{type(node).__name__} has no place in a skill"
    return ""


def _of_modules(names: Iterable[str]) -> str:
    for name in names:
        if not any(_beneath(name, known) for known in PACKAGES):
            top = name.partition(".")[0]
            return f"{top} may not be imported; these may: {', '.join(sorted(PACKAGES))}"
        if any(_beneath(name, known) for known in NETWORKED):
            return f"{name} uses the network, and a skill has none"
    return ""


def _of_text(text: str) -> str:
    if _ADDRESS.match(text):
        return f"{text[:40]!r} is an address on a network, and a skill has none"
    if _ABSOLUTE.match(text):
        return f"{text[:40]!r} is an absolute path; pass what it holds as an argument"
    return ""


def _beneath(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _functions(module: ast.Module, name: str) -> list[ast.FunctionDef]:
    return [f for f in module.body if isinstance(f, ast.FunctionDef) and f.name == name]


def _named(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.args, *arguments.kwonlyargs]


def _docstrings(nodes: Iterable[ast.AST]) -> set[int]:
    """Ids of the constants that are texts standing alone: nothing comes of them."""
    return {
        id(node.value)
        for node in nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
