"""One form for code that differs in names, layout and comments only."""

from __future__ import annotations

import ast
import hashlib


def code_hash(source: str) -> str:
    """Hash of a module's normal form, the first 32 hexadecimal digits of a SHA-256.

    Docstrings, annotations, comments, layout and the spelling of imports do not count, and names
    that the module binds are numbered in order of appearance. Constants and the names of what is
    imported do count.

    Args:
        source: Of a module that can be parsed.
    """
    tree = ast.parse(source)
    imports: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                imports[bound] = alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                imports[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    renamed = _Normal(imports, _bound(tree)).visit(tree)
    return hashlib.sha256(ast.dump(renamed).encode()).hexdigest()[:32]


def _bound(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.arg():
                names.add(node.arg)
            case ast.FunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.ExceptHandler(name=str() as name):
                names.add(name)
    return names


class _Normal(ast.NodeTransformer):
    """Rewrites names; statements that say nothing about behaviour go."""

    def __init__(self, imports: dict[str, str], bound: set[str]) -> None:
        self._imports = imports
        self._bound = bound
        self._numbers: dict[str, str] = {}

    def _name(self, name: str) -> str:
        if name in self._bound:
            return self._numbers.setdefault(name, f"name {len(self._numbers)}")
        return self._imports.get(name, name)

    def visit_Import(self, node: ast.Import) -> None:
        """Said by the names themselves."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Said by the names themselves."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Docstrings go."""
        if isinstance(node.value, ast.Constant):
            return None
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Numbered or spelled out."""
        return ast.Name(id=self._name(node.id), ctx=node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """What lies in an imported module is spelled out, as if it were imported itself."""
        inner = self.visit(node.value)
        value = node.value
        while isinstance(value, ast.Attribute):
            value = value.value
        roots = self._imports.keys() - self._bound
        if isinstance(value, ast.Name) and value.id in roots and isinstance(inner, ast.Name):
            return ast.Name(id=f"{inner.id}.{node.attr}", ctx=node.ctx)
        return ast.Attribute(value=inner, attr=node.attr, ctx=node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Numbered, without its annotation."""
        return ast.arg(arg=self._name(node.arg))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Numbered, without its annotations."""
        node.name, node.returns = self._name(node.name), None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Numbered."""
        node.name = self._name(node.name)
        return self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        """Numbered."""
        node.name = self._name(node.name) if node.name else None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """As if it had no annotation."""
        if node.value is None:
            return None
        plain = ast.Assign(targets=[node.target], value=node.value)
        return self.generic_visit(plain)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Arguments by name of a function of the module itself are numbered too."""
        if isinstance(node.func, ast.Name) and node.func.id in self._bound:
            for keyword in node.keywords:
                if keyword.arg in self._bound:
                    keyword.arg = self._name(keyword.arg)
        return self.generic_visit(node)
