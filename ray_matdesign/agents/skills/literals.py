"""Finds answers that were written into the code instead of being computed."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from ray_matdesign.agents.skills.comparison import agree, leaves
from ray_matdesign.agents.skills.skill import Case

_FEW_DIGITS = 3
_TOLERANCE = 1e-3


def answer_literal(source: str, cases: Iterable[Case]) -> str:
    """The first constant of the code that is an answer, as a complaint; empty if there is none.

    Only constants that could hardly stand there by chance are looked at: numbers of three or more
    significant digits, and texts that have a digit or mix cases, as formulas and space groups do.
    A constant that is also among the inputs of that very case is no answer.

    Args:
        source: Of a module that can be parsed.
        cases: With the values that are expected.
    """
    constants = list(_constants(ast.parse(source)))
    for case in cases:
        given = list(leaves(dict(case.inputs)))
        for answer in leaves(case.expected):
            if not _telling(answer) or any(_same(answer, one) for one in given):
                continue
            for line, constant in constants:
                if _telling(constant) and _same(constant, answer):
                    return f"line {line}: {constant!r} is an expected answer; compute it"
    return ""


def _constants(tree: ast.AST) -> Iterator[tuple[int, Any]]:
    """Numbers with their signs, and texts, except those that stand alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.copy_location(ast.Constant(None), node.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            yield node.lineno, node.value
        elif (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.op, ast.USub)
            and isinstance(node.operand, ast.Constant)
            and isinstance(node.operand.value, int | float)
        ):
            yield node.lineno, -node.operand.value


def _telling(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        digits = f"{abs(value):.12g}".partition("e")[0].replace(".", "").strip("0")
        return len(digits) >= _FEW_DIGITS
    if isinstance(value, str):
        plain = value.islower() or value.isupper() or value.istitle()
        return len(value) > 2 and (any(c.isdigit() for c in value) or not plain)
    return False


def _same(one: Any, other: Any) -> bool:
    return agree(one, other, rel_tol=_TOLERANCE, abs_tol=0.0)
