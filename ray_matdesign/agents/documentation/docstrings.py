"""Docstrings and signatures, as the source has them."""

from __future__ import annotations

import ast
import re

_PARAGRAPH = re.compile(r"\n\s*\n")
_DEPRECATED = re.compile(r"^\s*(\.\. deprecated::|deprecated\b)", re.IGNORECASE | re.MULTILINE)
_MOST_SUMMARY = 300
_MOST_DEFAULT = 60

Definition = ast.FunctionDef | ast.AsyncFunctionDef


def summary(docstring: str) -> str:
    """First paragraph in one line, cut after 300 characters."""
    first = _PARAGRAPH.split(docstring.strip(), maxsplit=1)[0]
    line = " ".join(first.split())
    return line if len(line) <= _MOST_SUMMARY else f"{line[: _MOST_SUMMARY - 3]}..."


def examples(docstring: str) -> str:
    """The interpreter sessions of a docstring with their output, apart by empty lines."""
    kept: list[str] = []
    inside = False
    for line in docstring.splitlines():
        text = line.strip()
        begins = text.startswith(">>>")
        if begins and not inside and kept:
            kept.append("")
        inside = begins or (inside and bool(text))
        if inside:
            kept.append(text)
    return "\n".join(kept)


def without_signature(name: str, docstring: str) -> tuple[str, str]:
    """A leading signature, as compiled functions have it in their docstrings, and the rest.

    Args:
        name: Of the function.
        docstring: Without common indentation.
    """
    text = docstring.strip()
    first, _, rest = text.partition("\n\n")
    if not re.match(rf"{re.escape(name)}\s*\(", first):
        return "", text
    return " ".join(first.split()), rest.strip()


def says_deprecated(docstring: str, decorators: list[str]) -> bool:
    """Whether a definition says that it should no longer be used."""
    if any("deprecat" in name.lower() for name in decorators):
        # An argument that goes out of use leaves the function in use.
        return not any("arg" in name.lower() or "param" in name.lower() for name in decorators)
    return bool(_DEPRECATED.search(docstring[:400]))


def decorators(node: Definition | ast.ClassDef) -> list[str]:
    """Dotted names of decorators; of those that are called, of what is called."""
    called = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return [ast.unparse(one) for one in called]


def function_signature(node: Definition, *, bound: bool) -> tuple[str, tuple[str, ...]]:
    """Signature of a function, and the names of its arguments.

    Args:
        node: Its definition.
        bound: Whether the first argument is the object or class, which callers do not give.
    """
    shown = _arguments(node.args, bound=bound)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    return f"{node.name}({shown}){returns}", _names(node.args, bound=bound)


def class_signature(node: ast.ClassDef) -> tuple[str, tuple[str, ...]]:
    """How objects of a class are made: by ``__init__``, or else by the fields of a dataclass."""
    for inner in node.body:
        if isinstance(inner, Definition) and inner.name == "__init__":
            shown = _arguments(inner.args, bound=True)
            return f"{node.name}({shown})", _names(inner.args, bound=True)
    made_of_fields = any("dataclass" in name for name in decorators(node))
    made_of_fields |= any("NamedTuple" in ast.unparse(base) for base in node.bases)
    if not made_of_fields:
        return node.name, ()
    fields = [
        inner
        for inner in node.body
        if isinstance(inner, ast.AnnAssign)
        and isinstance(inner.target, ast.Name)
        and not inner.target.id.startswith("_")
        and "ClassVar" not in ast.unparse(inner.annotation)
    ]
    shown = ", ".join(_short(ast.unparse(field)) for field in fields)
    return f"{node.name}({shown})", tuple(ast.unparse(field.target) for field in fields)


def _arguments(arguments: ast.arguments, *, bound: bool) -> str:
    whole = ast.unparse(_without_first(arguments) if bound else arguments)
    if len(whole) <= 1000:
        return whole
    return ", ".join(_names(arguments, bound=bound))  # annotations that nobody reads


def _names(arguments: ast.arguments, *, bound: bool) -> tuple[str, ...]:
    kept = _without_first(arguments) if bound else arguments
    return tuple(one.arg for one in (*kept.posonlyargs, *kept.args, *kept.kwonlyargs))


def _without_first(arguments: ast.arguments) -> ast.arguments:
    positional = arguments.posonlyargs or arguments.args
    if not positional:
        return arguments
    # Defaults belong to the last arguments, so that dropping the first leaves them in place.
    total = len(arguments.posonlyargs) + len(arguments.args) - 1
    return ast.arguments(
        posonlyargs=arguments.posonlyargs[1:],
        args=arguments.args if arguments.posonlyargs else arguments.args[1:],
        vararg=arguments.vararg,
        kwonlyargs=arguments.kwonlyargs,
        kw_defaults=arguments.kw_defaults,
        kwarg=arguments.kwarg,
        defaults=arguments.defaults[-total:] if total else [],
    )


def _short(text: str) -> str:
    return text if len(text) <= _MOST_DEFAULT else f"{text[: _MOST_DEFAULT - 3]}..."
