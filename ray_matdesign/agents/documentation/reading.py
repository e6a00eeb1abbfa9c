"""Reads a module's source into records; nothing of it is imported or run."""

from __future__ import annotations

import ast
import inspect
import warnings

from ray_matdesign.agents.documentation import docstrings
from ray_matdesign.agents.documentation.docstrings import Definition
from ray_matdesign.agents.documentation.records import Call, Document, Kind, Module, Symbol
from ray_matdesign.agents.documentation.scope import (
    called_in,
    chain,
    dotted,
    imported,
    top_level,
)

MOST_TEST = 3000
"""Characters of a test that are kept."""

_PROPERTIES = ("property", "cached_property", "lazy_property", "lazyproperty")


def read_module(source: str, name: str, file: str, *, package: bool, tests: bool) -> Module:
    """Reads one module.

    Args:
        source: Its text; of a stub as well.
        name: Dotted.
        file: Where it is, relative to the folder that packages are installed in.
        package: Whether it is the ``__init__`` of a package.
        tests: Whether it holds tests: their functions become documents, and nothing else is kept.

    Raises:
        SyntaxError: It is not Python of this version.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in strings that are not ours
        tree = ast.parse(source)
    reader = _Reader(Module(name, package), file, source)
    reader.names(tree)
    if tests:
        reader.tests(tree)
    else:
        reader.definitions(tree)
    return reader.module


class _Reader:
    def __init__(self, module: Module, file: str, source: str) -> None:
        self.module = module
        self._file = file
        self._lines = source.splitlines()
        name = module.name
        self._package = name if module.package else name.rpartition(".")[0]
        self._known: dict[str, str] = {}

    def names(self, tree: ast.Module) -> None:
        """Takes in imports, names given twice and ``__all__``, then what is defined here."""
        module = self.module
        for node in top_level(tree.body):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names, stars = imported(node, self._package)
                module.imports |= names
                module.stars += stars
            elif isinstance(node, Definition | ast.ClassDef):
                self._known[node.name] = f"{module.name}.{node.name}"
                # A definition takes the place of what was imported under its name.
                module.imports.pop(node.name, None)
            elif isinstance(node, ast.Assign):
                self._assigned(node)
        self._known = module.imports | self._known

    def _assigned(self, node: ast.Assign) -> None:
        for target in node.targets:
            if not isinstance(target, ast.Name):
                continue
            if target.id == "__all__":
                self.module.exported = _strings(node.value)
            elif found := dotted(node.value, self.module.imports | self._known):
                self.module.imports[target.id] = found

    def definitions(self, tree: ast.Module) -> None:
        """Takes in what the module defines."""
        module = self.module
        docstring = ast.get_docstring(tree) or ""
        lines = len(self._lines)
        module.symbols.append(
            self._symbol(module.name, "module", docstring=docstring, line=1, end_line=lines)
        )
        statements = list(top_level(tree.body))
        for node, after in zip(statements, [*statements[1:], None], strict=True):
            if isinstance(node, Definition) and not _is_overload(node):
                self._function(node, owner="")
            elif isinstance(node, ast.ClassDef):
                self._class(node, outer=module.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                for name in _targets(node):
                    if not name.startswith("_") and name not in module.imports:
                        self._value(f"{module.name}.{name}", "constant", node, after, owner="")
            elif isinstance(node, ast.Expr):
                self._added(node)

    def tests(self, tree: ast.Module) -> None:
        """Takes in functions whose names begin with ``test``, as documents."""
        for node in ast.walk(tree):
            if isinstance(node, Definition) and node.name.startswith("test"):
                text = "\n".join(self._lines[node.lineno - 1 : node.end_lineno])
                calls = called_in(node, self._known, self._package, "")
                document = Document(
                    "test", node.name, self._file, node.lineno, text[:MOST_TEST], tuple(calls)
                )
                self.module.documents.append(document)

    def _class(self, node: ast.ClassDef, outer: str) -> None:
        qualname = f"{outer}.{node.name}"
        signature, parameters = docstrings.class_signature(node)
        made = [n for n in node.body if isinstance(n, Definition) and n.name == "__init__"]
        parts = [ast.get_docstring(node), *(ast.get_docstring(one) for one in made)]
        bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
        self.module.symbols.append(
            self._symbol(
                qualname,
                "class",
                node=node,
                owner=outer if outer != self.module.name else "",
                signature=signature,
                parameters=parameters,
                docstring="\n\n".join(part for part in parts if part),
                bases=tuple(name for base in bases if (name := dotted(base, self._known))),
            )
        )
        statements = list(top_level(node.body))
        seen: set[str] = set()
        for inner, after in zip(statements, [*statements[1:], None], strict=True):
            if isinstance(inner, Definition) and inner.name not in seen and not _is_overload(inner):
                seen.add(inner.name)
                self._function(inner, owner=qualname)
            elif isinstance(inner, ast.ClassDef):
                self._class(inner, outer=qualname)
            elif isinstance(inner, ast.Assign | ast.AnnAssign):
                for name in _targets(inner):
                    if name not in seen and not name.startswith("_"):
                        seen.add(name)
                        self._value(f"{qualname}.{name}", "attribute", inner, after, qualname)
        for one in made:
            self._set_on_self(one, qualname, seen)

    def _set_on_self(self, node: Definition, owner: str, seen: set[str]) -> None:
        """Attributes that ``__init__`` gives its object."""
        for one in ast.walk(node):
            if not isinstance(one, ast.Assign | ast.AnnAssign):
                continue
            for target in one.targets if isinstance(one, ast.Assign) else [one.target]:
                parts = chain(target)
                if len(parts) == 2 and parts[0] == "self" and parts[1] not in seen:
                    seen.add(parts[1])
                    if not parts[1].startswith("_"):
                        self._value(f"{owner}.{parts[1]}", "attribute", one, None, owner)

    def _function(self, node: Definition, owner: str) -> None:
        if node.name.startswith("__") and node.name != "__call__":
            return
        marks = docstrings.decorators(node)
        if any(mark.endswith((".setter", ".deleter")) for mark in marks):
            return
        bound = bool(owner) and "staticmethod" not in marks
        signature, parameters = docstrings.function_signature(node, bound=bound)
        kind: Kind = "method" if owner else "function"
        if owner and any(mark.rpartition(".")[2] in _PROPERTIES for mark in marks):
            kind = "property"
            returns = ast.unparse(node.returns) if node.returns is not None else ""
            signature = f"{node.name}: {returns}" if returns else node.name
        qualname = f"{owner or self.module.name}.{node.name}"
        self.module.symbols.append(
            self._symbol(
                qualname,
                kind,
                node=node,
                owner=owner,
                signature=signature,
                parameters=parameters,
                docstring=ast.get_docstring(node) or "",
            )
        )
        called = called_in(node, self._known, self._package, owner)
        self.module.calls += [Call(qualname, target) for target in called]

    def _value(
        self,
        qualname: str,
        kind: Kind,
        node: ast.Assign | ast.AnnAssign,
        after: ast.stmt | None,
        owner: str,
    ) -> None:
        """A constant or attribute, with the string that follows it as its docstring."""
        name = qualname.rpartition(".")[2]
        told = after.value if isinstance(after, ast.Expr) else None
        documented = isinstance(told, ast.Constant) and isinstance(told.value, str)
        docstring = inspect.cleandoc(told.value) if documented else ""  # type: ignore[union-attr]
        typed = f": {ast.unparse(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
        self.module.symbols.append(
            self._symbol(
                qualname,
                kind,
                line=node.lineno,
                end_line=node.end_lineno or node.lineno,
                owner=owner,
                signature=f"{name}{typed}",
                docstring=docstring,
            )
        )

    def _added(self, node: ast.Expr) -> None:
        """Docstrings that NumPy gives to what is compiled: ``add_newdoc(module, name, text)``."""
        call = node.value
        if not isinstance(call, ast.Call) or chain(call.func)[-1:] != ["add_newdoc"]:
            return
        given = [one.value for one in call.args if isinstance(one, ast.Constant)]
        if len(given) != 3 or not all(isinstance(one, str) for one in given):
            return
        module, name, docstring = (str(one) for one in given)
        lines = inspect.cleandoc(docstring).splitlines()
        signature = lines[0] if lines and lines[0].startswith(f"{name}(") else ""
        self.module.symbols.append(
            self._symbol(
                f"{module}.{name}",
                "function" if signature else "class",
                line=node.lineno,
                end_line=node.end_lineno or node.lineno,
                signature=signature,
                docstring="\n".join(lines[1:] if signature else lines).strip(),
            )
        )

    def _symbol(
        self,
        qualname: str,
        kind: Kind,
        *,
        docstring: str,
        node: Definition | ast.ClassDef | None = None,
        line: int = 0,
        end_line: int = 0,
        owner: str = "",
        signature: str = "",
        parameters: tuple[str, ...] = (),
        bases: tuple[str, ...] = (),
    ) -> Symbol:
        marks: list[str] = []
        if node is not None:
            marks = docstrings.decorators(node)
            line = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            end_line = node.end_lineno or line
        return Symbol(
            qualname,
            kind,
            self.module.name,
            owner,
            signature,
            docstring,
            docstrings.examples(docstring),
            parameters,
            self._file,
            line,
            end_line,
            bases,
            docstrings.says_deprecated(docstring, marks),
        )


def _is_overload(node: Definition) -> bool:
    return any(mark.rpartition(".")[2] == "overload" for mark in docstrings.decorators(node))


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    flat = [
        inner
        for target in targets
        for inner in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])
    ]
    return [one.id for one in flat if isinstance(one, ast.Name)]


def _strings(node: ast.expr) -> tuple[str, ...] | None:
    if not isinstance(node, ast.List | ast.Tuple):
        return None
    if any(not isinstance(one, ast.Constant) for one in node.elts):
        return None  # put together from other lists
    return tuple(str(one.value) for one in node.elts if isinstance(one, ast.Constant))
