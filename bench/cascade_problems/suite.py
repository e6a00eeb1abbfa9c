"""All problems together."""

from __future__ import annotations

from cascade_problems import (
    analysis,
    compositions,
    management,
    models,
    molecules,
    processing,
    retrieval,
    simulation,
    surfaces,
    symmetry,
    thermodynamics,
    vibrations,
)
from ray_matdesign.agents.benchmark.suite import Suite

_BOOKS = (
    retrieval.BOOK,
    analysis.BOOK,
    thermodynamics.BOOK,
    compositions.BOOK,
    management.BOOK,
    processing.BOOK,
    symmetry.BOOK,
    molecules.BOOK,
    simulation.BOOK,
    surfaces.BOOK,
    vibrations.BOOK,
    models.BOOK,
)


def suite() -> Suite:
    """Every problem, by category."""
    return Suite(tuple(problem for book in _BOOKS for problem in book.problems))
