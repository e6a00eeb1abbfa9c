"""Names within a module: what they stand for, as far as the source alone tells."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from ray_matdesign.agents.documentation.records import UNKNOWN

Branching = ast.If | ast.Try | ast.With


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module or class, those under ``if``, ``try`` and ``with`` included."""
    for statement in body:
        yield statement
        if isinstance(statement, Branching):
            yield from top_level(statement.body)
        if isinstance(statement, ast.If | ast.Try):
            yield from top_level(statement.orelse)
        if isinstance(statement, ast.Try):
            for handler in statement.handlers:
                yield from top_level(handler.body)


def imported(node: ast.Import | ast.ImportFrom, package: str) -> tuple[dict[str, str], list[str]]:
    """Dotted targets by local name, and modules that are imported by a star.

    Args:
        node: The statement.
        package: Dotted name of the package that relative imports start from.
    """
    if isinstance(node, ast.Import):
        # `import a.b` binds a, and the rest is found through it.
        roots = [one.name.partition(".")[0] for one in node.names]
        return {
            one.asname or root: one.name if one.asname else root
            for one, root in zip(node.names, roots, strict=True)
        }, []
    source = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join(parts[: len(parts) - node.level + 1])
        source = f"{base}.{source}" if source else base
    if any(one.name == "*" for one in node.names):
        return {}, [source]
    return {one.asname or one.name: f"{source}.{one.name}" for one in node.names}, []


def chain(node: ast.expr) -> list[str]:
    """``a.b.c`` as its parts; empty for whatever is not a name with attributes."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return []
    return [node.id, *reversed(parts)]


def dotted(node: ast.expr | None, names: Mapping[str, str]) -> str:
    """Dotted name that an expression stands for; empty if the source does not tell.

    Args:
        node: A name, an attribute, or an annotation, also one in quotes or with alternatives.
        names: Dotted targets by local name.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return dotted(ast.parse(node.value, mode="eval").body, names)
        except SyntaxError:  # an annotation in words
            return ""
    if isinstance(node, ast.BinOp):  # a type or None
        return dotted(node.left, names) or dotted(node.right, names)
    parts = chain(node) if node is not None else []
    if not parts or parts[0] not in names:
        return ""
    return ".".join([names[parts[0]], *parts[1:]])


def called_in(
    node: ast.FunctionDef | ast.AsyncFunctionDef, names: Mapping[str, str], package: str, owner: str
) -> list[str]:
    """Dotted names of what a function calls, each once, in order.

    Variables that are annotated, or that a class was called for, stand for objects of that class.

    Args:
        node: The function.
        names: Dotted targets by name, of its module.
        package: See :func:`imported`.
        owner: Qualified name of its class; empty outside of classes.
    """
    known = dict(names)
    every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    for argument in every:
        known.pop(argument.arg, None)
    objects = {a.arg: found for a in every if (found := dotted(a.annotation, names))}
    if owner and node.args.args:
        objects[node.args.args[0].arg] = owner
    inner = list(ast.walk(node))
    for one in inner:
        if isinstance(one, ast.Import | ast.ImportFrom):
            known |= imported(one, package)[0]
    for one in inner:
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Call):
            made = dotted(one.value.func, known)
            for target in one.targets:
                if made and isinstance(target, ast.Name):
                    objects.setdefault(target.id, made)
    calls = [_called(one, known, objects) for one in inner if isinstance(one, ast.Call)]
    return list(dict.fromkeys(name for name in calls if name))


def _called(call: ast.Call, names: Mapping[str, str], objects: Mapping[str, str]) -> str:
    if told := dotted(call.func, names):
        return told
    parts = chain(call.func)
    if len(parts) == 2 and parts[0] in objects:
        return f"{objects[parts[0]]}.{parts[1]}"
    if isinstance(call.func, ast.Attribute):
        return f"{UNKNOWN}.{call.func.attr}"
    return ""
