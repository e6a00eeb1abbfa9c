"""How fast a policy gets where it is sent: learning curves, and evaluations to the target.

An algorithm that chooses what it evaluates cannot be judged by the mean over what it evaluated. The
curves here are of all survivors of a loop's gate, evaluated or not; the paper's measure, the mean
over the evaluated, is computed in the same way for comparison.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_matdesign.config.objective import ObjectiveSettings
from ray_matdesign.rewards.transforms import aggregate, apply

WINDOW = 3
"""Loops over which a median is taken: one lucky loop is no arrival."""
MARKS = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Shares of the way from the prior's mean to the target."""


@dataclass(frozen=True)
class Point:
    """One loop of a learning curve.

    Attributes:
        loop: From 1.
        paid: Evaluations billed before the loop began: what the policy had learnt from when it made
            the loop's crystals. Zero for the prior.
        mean: Over the loop's crystals; ``None`` where there was none.
        count: Crystals in the mean.
    """

    loop: int
    paid: int
    mean: float | None
    count: int


@dataclass(frozen=True)
class Yardstick:
    """What a crystal is measured by.

    Attributes:
        objective: Terms, transforms and aggregation.
        measure: ``property``, the first term's, or ``reward``, of all terms.
    """

    objective: ObjectiveSettings
    measure: str

    def scores(self, row: Mapping[str, Any]) -> list[float] | None:
        """Each property's score in [0, 1]; ``None`` where one is missing.

        Args:
            row: Of a table whose columns ``value_<scorer>`` begin with the objective's terms.
        """
        terms = self.objective.terms
        known = [value for value in self._values(row) if value is not None]
        if len(known) < len(terms):
            return None
        return [apply(term.transform, v) for term, v in zip(terms, known, strict=True)]

    def of(self, row: Mapping[str, Any]) -> float | None:
        """What is measured of a crystal; ``None`` where a property that is needed is missing."""
        if self.measure == "property":
            return self._values(row)[0]
        scores = self.scores(row)
        if scores is None:
            return None
        weights = [term.weight for term in self.objective.terms]
        return aggregate(scores, weights, self.objective.aggregation)

    def known(self, rows: Iterable[Mapping[str, Any]]) -> list[float]:
        """What is measured of each crystal that has it."""
        return [value for row in rows if (value := self.of(row)) is not None]

    def _values(self, row: Mapping[str, Any]) -> list[float | None]:
        held = [value for name, value in row.items() if name.startswith("value_")]
        return held[: len(self.objective.terms)]


def learning_curve(
    found: Iterable[tuple[int, float | None]], metrics: Sequence[Mapping[str, Any]]
) -> list[Point]:
    """Means by loop.

    Args:
        found: Loop and measured value of each crystal; one without a value is left out.
        metrics: The run's, one mapping a loop, in order.
    """
    by_loop: dict[int, list[float]] = defaultdict(list)
    for loop, value in found:
        if value is not None:
            by_loop[loop].append(value)
    points, paid = [], 0
    for row in metrics:
        values = by_loop[row["loop"]]
        mean = statistics.fmean(values) if values else None
        points.append(Point(row["loop"], paid, mean, len(values)))
        paid = row["evaluations_total"]
    return points


def smoothed(points: Sequence[Point]) -> list[Point]:
    """Medians over the last loops that had a mean, from the first full window on."""
    known = [point for point in points if point.mean is not None]
    medians = []
    for end in range(WINDOW, len(known) + 1):
        last = known[end - 1]
        window = [point.mean for point in known[end - WINDOW : end] if point.mean is not None]
        medians.append(Point(last.loop, last.paid, statistics.median(window), last.count))
    return medians


def evaluations_to(points: Sequence[Point], start: float, target: float, share: float) -> float:
    """Evaluations billed until the mean had gone a share of the way; infinite if it never had.

    Args:
        points: The learning curve.
        start: The prior's mean.
        target: Where it is sent; on either side of the start.
        share: Of the way, in (0, 1].

    Raises:
        ValueError: The prior is at the target already.
    """
    if start == target:
        raise ValueError(f"the prior's mean is the target already: {target:g}")
    for point in smoothed(points):
        assert point.mean is not None
        if (point.mean - start) / (target - start) >= share:
            return point.paid
    return math.inf


def comparison_mark(by_mark: Mapping[float, Sequence[float]]) -> float | None:
    """The farthest mark that every run of a mode reached; ``None`` if there is none.

    Args:
        by_mark: Evaluations to each mark, one for each seed.
    """
    reached = [
        mark for mark, runs in by_mark.items() if runs and all(math.isfinite(n) for n in runs)
    ]
    return max(reached, default=None)


def final_mean(points: Sequence[Point]) -> float | None:
    """Mean of the last loops' means, as many as the window has."""
    known = [point.mean for point in points if point.mean is not None][-WINDOW:]
    return statistics.fmean(known) if known else None
