"""Makes a function of a program that solved one task: its constants become arguments.

A constant that stands in the question is what the task was about, such as an element or a lattice
parameter; all others belong to the method. No model is needed for it.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import keyword
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from pydantic import JsonValue

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS

ANSWER = "answer"
"""The variable that a program leaves its result in."""

# Not the 3 of Fm-3m, nor those of formulas.
_NUMBER = re.compile(r"(?<![\w.])(?<![A-Za-z]-)-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_FORMULA = re.compile(r"(?<![A-Za-z0-9])(?:[A-Z][a-z]?[\d.]*){2,}(?![A-Za-z])")
_RETURNS = {
    "number": "float",
    "integer": "int",
    "string": "str",
    "boolean": "bool",
    "list": "list",
    "object": "dict",
}


class NotASkill(ValueError):
    """A program that no skill can be made of; the message says why, in one line."""


@dataclass(frozen=True)
class Parameter:
    """A constant of the program that a caller may choose.

    Attributes:
        name: Of the argument.
        value: In the program.
        places: Where it stands: line and column, from 1 and 0.
    """

    name: str
    value: JsonValue
    places: tuple[tuple[int, int], ...]

    @property
    def annotation(self) -> str:
        """Its type."""
        if isinstance(self.value, list):
            kinds = {type(item).__name__ for item in self.value}
            return f"list[{' | '.join(sorted(kinds))}]"
        return type(self.value).__name__


def parameters_of(program: str, question: str) -> list[Parameter]:
    """Constants of a program that stand in the question, with names from where they are used.

    Args:
        program: That assigns ``answer``.
        question: Of the task.

    Raises:
        NotASkill: The program cannot be taken apart.
    """
    tree = _parsed(program)
    bound, inner = _bound(tree), _bound_inside(tree)
    numbers = {float(found) for found in _NUMBER.findall(question)}
    found: dict[tuple[str, str, tuple[int, int]], Parameter] = {}
    for one in _constants(tree):
        value = _value(one.node)
        if not _in_question(value, question, numbers, one.use):
            continue
        place = (one.node.lineno, one.node.col_offset)
        # Equal whole numbers mean different things; equal texts and fractions hardly do.
        key = (type(value).__name__, str(value), place if isinstance(value, int) else (0, 0))
        if key in found:
            found[key] = replace(found[key], places=(*found[key].places, place))
            continue
        # A variable that is only ever this constant may become the argument itself, unless it is
        # one of a function's own.
        own = one.use is _Use.VARIABLE and bound[one.hint] == 1 and one.hint not in inner
        taken = set(bound) - ({one.hint} if own else set())
        name = _free(one.hint or _kind(value), taken | {p.name for p in found.values()})
        found[key] = Parameter(name, value, (place,))
    return list(found.values())


def substituted(program: str, parameters: Sequence[Parameter], values: Mapping[str, object]) -> str:
    """The program with other values in place of its constants: what a skill must agree with.

    Args:
        program: The parameters' program.
        parameters: From :func:`parameters_of`.
        values: By name; those that are missing stay.
    """
    nodes = {
        place: ast.parse(repr(values[one.name]), mode="eval").body
        for one in parameters
        if one.name in values
        for place in one.places
    }
    return ast.unparse(_Replaced(nodes).visit(_parsed(program)))


def function_of(
    program: str,
    parameters: Sequence[Parameter],
    name: str,
    docstring: str,
    answer_type: str,
) -> str:
    """Source of a module with the program as a function of its parameters.

    Args:
        program: That assigns ``answer``.
        parameters: From :func:`parameters_of`.
        name: Of the function.
        docstring: Of the function, without quotes or indentation.
        answer_type: As :class:`ray_matdesign.agents.cascade.task.Task` names it.

    Raises:
        NotASkill: The program cannot be made a function.
    """
    nodes: dict[tuple[int, int], ast.expr] = {
        place: ast.Name(id=one.name, ctx=ast.Load()) for one in parameters for place in one.places
    }
    tree = _parsed(program)
    _Replaced(nodes).visit(tree)
    body = [one for one in _flat(tree.body) if not _says_nothing(one)]
    imports = [one for one in body if isinstance(one, ast.Import | ast.ImportFrom)]
    arguments = ", ".join(f"{one.name}: {one.annotation}" for one in parameters)
    (function,) = ast.parse(f"def {name}({arguments}) -> {_RETURNS[answer_type]}: ...").body
    assert isinstance(function, ast.FunctionDef)
    text = re.sub(r"\n(?=[^\n])", "\n    ", docstring.strip())
    text += "\n    " if "\n" in text else ""
    function.body = [
        ast.Expr(ast.Constant(text)),
        *(one for one in body if one not in imports),
        ast.Return(ast.Name(id=ANSWER, ctx=ast.Load())),
    ]
    head = "\n".join(dict.fromkeys(ast.unparse(one) for one in imports))
    return f"{head}\n\n\n{ast.unparse(ast.fix_missing_locations(function))}\n".lstrip()


class _Use(IntEnum):
    """How a constant is used: the more is known of it, the less it must look like a parameter."""

    OPERAND = 0
    POSITION = 1
    KEYWORD = 2
    VARIABLE = 3


@dataclass(frozen=True)
class _Found:
    node: ast.expr
    hint: str = ""
    use: _Use = _Use.OPERAND


def _parsed(program: str) -> ast.Module:
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotASkill(f"the program is not Python: {error}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            raise NotASkill(f"line {node.lineno}: the program has functions that set globals")
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            raise NotASkill(f"line {node.lineno}: the program imports *")
    if ANSWER not in _bound(tree):
        raise NotASkill(f"the program assigns nothing to {ANSWER}")
    return tree


def _bound(tree: ast.AST) -> Counter[str]:
    """Names that a program binds, and how often."""
    names: Counter[str] = Counter()
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store()):
                names[node.id] += 1
            case ast.arg():
                names[node.arg] += 1
            case ast.FunctionDef() | ast.ClassDef():
                names[node.name] += 1
            case ast.alias():
                names[node.asname or node.name.partition(".")[0]] += 1
            case ast.ExceptHandler(name=str() as name):
                names[name] += 1
    return names


def _bound_inside(tree: ast.AST) -> set[str]:
    """Names that functions and classes of the program bind for themselves."""
    scopes = (ast.FunctionDef, ast.ClassDef, ast.Lambda)
    return {name for one in ast.walk(tree) if isinstance(one, scopes) for name in _bound(one)}


def _constants(node: ast.AST, hint: str = "", use: _Use = _Use.OPERAND) -> Iterator[_Found]:
    """Constants with what they are used for; not those in formatted texts, indices and keys."""
    match node:
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return
        case ast.Constant() | ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
            yield _Found(node, hint, use)
        case ast.List() | ast.Tuple() if _is_row(node):
            yield _Found(node, hint, use)
        case ast.List() | ast.Tuple():
            for item in node.elts:
                yield from _constants(item, hint, use)
        case ast.Assign(targets=[ast.Name(id=name)]):
            yield from _constants(node.value, name, _Use.VARIABLE)
        case ast.keyword(arg=str() as name):
            yield from _constants(node.value, name, _Use.KEYWORD)
        case ast.Call(func=ast.Name(id="round")):
            yield from _constants(node.args[0])  # digits are a matter of form
        case ast.Call():
            yield from _constants(node.func)
            for argument in node.args:
                yield from _constants(argument, "", _Use.POSITION)
            for named in node.keywords:
                yield from _constants(named)
        case ast.Subscript():
            yield from _constants(node.value)
        case ast.Dict():
            for item in node.values:
                yield from _constants(item)
        case ast.Expr(value=ast.Constant()):
            return
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _constants(child)


def _is_row(node: ast.List | ast.Tuple) -> bool:
    """Whether it is several constants in brackets of their own."""
    constant = all(
        isinstance(item, ast.Constant) and isinstance(item.value, str | int | float)
        for item in node.elts
    )
    return constant and len(node.elts) > 1 and node.col_offset != node.elts[0].col_offset


def _value(node: ast.expr) -> JsonValue:
    value = ast.literal_eval(node)
    return list(value) if isinstance(value, tuple) else value


def _in_question(value: JsonValue, question: str, numbers: set[float], use: _Use) -> bool:
    match value:
        case bool() | None:
            return False
        case list():
            return all(_in_question(item, question, numbers, use) for item in value)
        case int():
            return use >= _Use.POSITION and float(value) in numbers
        case float():
            return value in numbers
        case str():
            if not value or (value.islower() and use < _Use.KEYWORD):
                return False
            whole = rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])"
            return re.search(whole, question) is not None or value in _elements(question)
    return False


def _elements(question: str) -> set[str]:
    """Elements of the formulas in a question."""
    found: set[str] = set()
    for formula in _FORMULA.findall(question):
        symbols = set(re.findall(r"[A-Z][a-z]?", formula))
        found |= symbols if symbols <= ATOMIC_NUMBERS.keys() else set()
    return found


def _kind(value: JsonValue) -> str:
    match value:
        case int():
            return "count"
        case float():
            return "number"
        case list():
            return "items"
        case str() if value in ATOMIC_NUMBERS:
            return "element"
        case str() if _FORMULA.fullmatch(value):
            return "formula"
    return "text"


def _free(hint: str, taken: Collection[str]) -> str:
    name = re.sub(r"\W", "_", hint).lower()
    if name in taken or _reserved(name):
        name = f"{name}_value"
    numbered = (f"{name}_{n}" for n in itertools.count(2))
    return name if name not in taken else next(one for one in numbered if one not in taken)


def _reserved(name: str) -> bool:
    return keyword.iskeyword(name) or hasattr(builtins, name) or name == ANSWER


def _flat(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements, with those that only run in a program started as such among them."""
    for one in body:
        match one:
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                yield from one.body
            case _:
                yield one


def _says_nothing(statement: ast.stmt) -> bool:
    """Whether it prints, stands for itself, or names a thing by its own name."""
    match statement:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
            return True
        case ast.Assign(targets=[ast.Name(id=left)], value=ast.Name(id=right)):
            return left == right
    return False


class _Replaced(ast.NodeTransformer):
    """Puts other expressions where constants stand."""

    def __init__(self, nodes: Mapping[tuple[int, int], ast.expr]) -> None:
        self._nodes = nodes

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """As it is: places in formatted texts are not reliable."""
        return node

    def visit(self, node: ast.AST) -> ast.AST:
        """Replaced whole where it stands at one of the places."""
        if isinstance(node, ast.List | ast.Tuple) and not _is_row(node):
            return self.generic_visit(node)
        if isinstance(node, ast.Constant | ast.UnaryOp | ast.List | ast.Tuple):
            found = self._nodes.get((node.lineno, node.col_offset))
            if found is not None and isinstance(node, ast.Tuple):
                return ast.Call(ast.Name("tuple", ast.Load()), [found], [])
            if found is not None:
                return found
        visited: ast.AST = super().visit(node)
        return visited
