"""Linear algebra in fractions: exact, for the few species of a chemical equation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Row = list[Fraction]


def reduced(matrix: Sequence[Row]) -> tuple[list[Row], list[int]]:
    """Reduced row echelon form, and the columns of its pivots.

    Args:
        matrix: At least one row; all of one length.
    """
    rows = [list(row) for row in matrix]
    pivots: list[int] = []
    for column in range(len(rows[0])):
        top = len(pivots)
        pivot = next((i for i in range(top, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[top], rows[pivot] = rows[pivot], rows[top]
        lead = rows[top][column]
        rows[top] = [value / lead for value in rows[top]]
        for i, row in enumerate(rows):
            if i != top and row[column]:
                factor = row[column]
                rows[i] = [a - factor * b for a, b in zip(row, rows[top], strict=True)]
        pivots.append(column)
    return rows, pivots


def null_space(matrix: Sequence[Row]) -> list[Row]:
    """Basis of the vectors that a matrix maps to zero, one for each column without a pivot."""
    rows, pivots = reduced(matrix)
    basis = []
    for free in (column for column in range(len(rows[0])) if column not in pivots):
        vector = [Fraction(0)] * len(rows[0])
        vector[free] = Fraction(1)
        for row, pivot in zip(rows, pivots, strict=False):
            vector[pivot] = -row[free]
        basis.append(vector)
    return basis
