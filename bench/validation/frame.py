"""What every validation of a scorer gives: crystal by crystal, the published value and ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr


@dataclass(frozen=True)
class Row:
    """One crystal.

    Attributes:
        crystal: Formula and structure, e.g. ``MgO rocksalt``, with the database's number if any.
        published: The value it is held against, in the validation's unit.
        source: Of the published value: paper, handbook or database entry.
        ours: What the scorer gives; ``None`` where it failed.
        failure: Why it failed.
    """

    crystal: str
    published: float
    source: str
    ours: float | None
    failure: str = ""


@dataclass(frozen=True)
class Validation:
    """One scorer against one set of crystals.

    Attributes:
        scorer: Its name in configurations.
        against: What the crystals and values are, in a few words: ``well-known crystals``.
        unit: Of every value.
        rows: At least one.
    """

    scorer: str
    against: str
    unit: str
    rows: tuple[Row, ...]

    @property
    def mean_absolute_error(self) -> float:
        """Over the crystals that have a value, in the unit."""
        published, ours = self._pairs()
        return float(np.abs(published - ours).mean())

    @property
    def spearman(self) -> float:
        """Rank correlation over the crystals that have a value."""
        published, ours = self._pairs()
        return float(spearmanr(published, ours).statistic)

    @property
    def failures(self) -> int:
        """Crystals without a value."""
        return sum(row.ours is None for row in self.rows)

    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = [(row.published, row.ours) for row in self.rows if row.ours is not None]
        published, ours = zip(*pairs, strict=True)
        return np.array(published), np.array(ours)
