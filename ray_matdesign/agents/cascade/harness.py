"""Inside the sandbox: runs a program, takes its answer, or looks at the place where it failed."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

PROGRAM = "solution.py"
"""File with the program that a model wrote."""

MAIN = "import ray_matdesign.agents.cascade.harness as _harness\n\n_harness.main()\n"
"""The program a sandbox starts with."""

ANSWER = "answer"
"""Variable that a program assigns its answer to; key of it in what comes back."""

FAILURE = "failure"
"""Key of a :class:`ray_matdesign.agents.cascade.looking.Failure` in what comes back."""

NO_ANSWER = "NoAnswer"
NOT_PLAIN = "NotPlain"
"""Kinds of failure that no exception stands for."""

TO_PLAIN = "to make it a plain Python value"
"""End of the message on an answer that is but a conversion away from a plain one."""

_RESULT = "result.json"
_MOST_DEPTH = 50


def main() -> None:
    """Runs the program; the process exits with 0 only if there is an answer of plain values.

    Raises:
        Exception: Whatever the program raised.
        SystemExit: With status 1: there is no answer, or it is not plain.
    """
    # The program's own globals are those of the process's main module, as if it had been started.
    space = sys.modules["__main__"].__dict__
    space["__file__"] = PROGRAM
    with open(PROGRAM, encoding="utf-8") as file:
        source = file.read()
    try:
        exec(compile(source, PROGRAM, "exec"), space)  # noqa: S102 - behind the sandbox's walls
    except MemoryError:
        raise
    except SystemExit as request:
        if request.code not in (None, 0):
            _tell({FAILURE: {"kind": "SystemExit", "message": str(request.code)[:500]}})
            raise
    except Exception as error:
        # Late: a program that succeeds needs none of it.
        from ray_matdesign.agents.cascade.looking import look

        _tell({FAILURE: look(error, source)})
        raise
    if ANSWER not in space:
        _end(NO_ANSWER, "the program ended without assigning the variable answer")
    problem = plain_problem(space[ANSWER])
    if problem:
        _end(NOT_PLAIN, problem)
    _tell({ANSWER: space[ANSWER]})


def plain_problem(value: Any, where: str = ANSWER, depth: int = 0) -> str:
    """Why a value is not plain JSON, in one line fit to be fed back; empty if it is.

    Subclasses do not count: ``numpy.float64`` is a ``float``, and is refused.
    """
    kind = type(value)
    if depth > _MOST_DEPTH:
        return f"{ANSWER} is nested more than {_MOST_DEPTH} deep"
    if value is None and depth == 0:
        return f"{where} is None"
    if kind is float and not math.isfinite(value):
        return f"{where} is {value}, not a finite number"
    if value is None or kind in (bool, int, float, str):
        return ""
    if kind in (list, tuple):
        found = (plain_problem(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value))
        return next(filter(None, found), "")
    if kind is dict:
        for key, inner in value.items():
            if type(key) is not str:
                return f"{where} has the key {key!r:.60} of type {type(key).__name__}, not str"
            if problem := plain_problem(inner, f"{where}[{key!r:.60}]", depth + 1):
                return problem
        return ""
    return _not_plain(value, where)


def _not_plain(value: Any, where: str) -> str:
    kind = type(value)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    if kind.__module__.partition(".")[0] == "numpy":
        way = "item()" if getattr(value, "ndim", 0) == 0 else "tolist()"
        return f"{where} is of type {name}; use {where}.{way} {TO_PLAIN}"
    base = next((one for one in (int, float, str) if isinstance(value, one)), None)
    if base is not None:  # a number with a unit, a member of an enumeration
        return f"{where} is of type {name}; use {base.__name__}({where}) {TO_PLAIN}"
    return f"{where} is of type {name}, not a plain Python value"


def _end(kind: str, message: str) -> None:
    _tell({FAILURE: {"kind": kind, "message": message}})
    raise SystemExit(f"{kind}: {message}")


def _tell(told: dict[str, Any]) -> None:
    with open(_RESULT, "w", encoding="utf-8") as file:
        json.dump(told, file, allow_nan=False)
