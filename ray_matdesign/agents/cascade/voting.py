"""A vote among answers: those that agree within a tolerance stand together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from ray_matdesign.agents.cascade.settings import ToleranceSettings


@dataclass(frozen=True)
class Vote:
    """How answers stand together.

    Attributes:
        clusters: Positions of the answers in groups: the largest group first, then the one with the
            earliest answer.
        tied: How many groups share the first place.
    """

    clusters: tuple[tuple[int, ...], ...]
    tied: int

    @property
    def decided(self) -> bool:
        """Whether one group is larger than all others."""
        return self.tied == 1


def vote(answers: Sequence[JsonValue], tolerance: ToleranceSettings) -> Vote:
    """Groups answers by agreement.

    Agreement within a tolerance is not transitive; groups are connected by it, so that they do not
    depend on the order of the answers.

    Args:
        answers: In any number.
        tolerance: When numbers agree.
    """
    group = list(range(len(answers)))
    for one in range(len(answers)):
        for other in range(one):
            if group[one] != group[other] and agree(answers[one], answers[other], tolerance):
                joined, left = sorted((group[one], group[other]))
                group = [joined if number == left else number for number in group]
    members: dict[int, list[int]] = {}
    for position, number in enumerate(group):
        members.setdefault(number, []).append(position)
    clusters = sorted(members.values(), key=lambda cluster: (-len(cluster), cluster[0]))
    tied = sum(len(cluster) == len(clusters[0]) for cluster in clusters)
    return Vote(tuple(map(tuple, clusters)), tied)


def representative(
    answers: Sequence[JsonValue], cluster: Sequence[int], tolerance: ToleranceSettings
) -> int:
    """Position of the answer that speaks for a group: the one that most of it agree with.

    Among numbers, the one nearest to the median decides between equals; then the earliest.
    """
    middle = _median([answers[position] for position in cluster])

    def key(position: int) -> tuple[int, float, int]:
        mine = answers[position]
        agreeing = sum(agree(mine, answers[other], tolerance) for other in cluster)
        apart = abs(_real(mine) - middle) if middle is not None else 0.0
        return (-agreeing, apart, position)

    return min(cluster, key=key)


def agree(one: JsonValue, other: JsonValue, tolerance: ToleranceSettings) -> bool:
    """Whether two answers are the same.

    Numbers agree within the tolerance, whether whole or real; texts but for blanks at their ends;
    lists and objects if all within them do. A boolean is no number.
    """
    if _is_number(one) and _is_number(other):
        return _close(_real(one), _real(other), tolerance)
    if type(one) is not type(other):
        return False
    if isinstance(one, str) and isinstance(other, str):
        return one.strip() == other.strip()
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            agree(mine, theirs, tolerance) for mine, theirs in zip(one, other, strict=True)
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            agree(one[key], other[key], tolerance) for key in one
        )
    return one == other


def _close(one: float, other: float, tolerance: ToleranceSettings) -> bool:
    return math.isclose(
        one, other, rel_tol=min(tolerance.relative, 1.0), abs_tol=tolerance.absolute
    )


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _real(value: JsonValue) -> float:
    """A number as a float; whole numbers beyond the floats are infinite, and alike."""
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _median(values: Sequence[JsonValue]) -> float | None:
    if not values or not all(map(_is_number, values)):
        return None
    ordered = sorted(map(_real, values))
    middle = ordered[(len(ordered) - 1) // 2]
    return middle if math.isfinite(middle) else None
