"""When two plain values count as the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any


def agree(found: Any, expected: Any, *, rel_tol: float, abs_tol: float) -> bool:
    """Whether a value is another one within tolerances.

    Numbers agree if they differ by no more than the larger tolerance, relative to the expected one.
    Booleans are no numbers, texts must be equal, lists and objects agree part by part.

    Args:
        found: Plain JSON.
        expected: Plain JSON.
        rel_tol: Relative to the expected number.
        abs_tol: In the numbers' unit.
    """
    if isinstance(expected, bool) or isinstance(found, bool):
        return found is expected
    if isinstance(expected, int | float) and isinstance(found, int | float):
        if not (math.isfinite(found) and math.isfinite(expected)):
            return False
        return abs(found - expected) <= max(abs_tol, rel_tol * abs(expected))
    if isinstance(expected, list) and isinstance(found, list):
        return len(found) == len(expected) and all(
            agree(f, e, rel_tol=rel_tol, abs_tol=abs_tol)
            for f, e in zip(found, expected, strict=True)
        )
    if isinstance(expected, dict) and isinstance(found, dict):
        return found.keys() == expected.keys() and all(
            agree(found[key], expected[key], rel_tol=rel_tol, abs_tol=abs_tol) for key in expected
        )
    return type(found) is type(expected) and bool(found == expected)


def leaves(value: Any) -> Iterator[Any]:
    """The numbers, texts and others that a plain value is made of, keys of objects left out."""
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    else:
        yield value
