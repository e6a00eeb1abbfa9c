"""Which crystals of a loop are trained on."""

from __future__ import annotations

from collections.abc import Sequence

from ray_matdesign.rl.candidate import Candidate


def top_k(candidates: Sequence[Candidate], evaluations: int, fraction: float) -> list[Candidate]:
    """The ``int(evaluations * fraction)`` best by penalised reward, at least one, best first.

    The number follows from the budget, not from how many survived, as in MatInvent; ties go to the
    earlier sample.

    Args:
        candidates: Each with a penalised reward.
        evaluations: The loop's property budget.
        fraction: Share of the budget trained on.
    """
    k = lesson_size(evaluations, fraction)
    return sorted(candidates, key=lambda c: (-(c.penalised_reward or 0.0), c.index))[:k]


def lesson_size(evaluations: int, fraction: float) -> int:
    """How many of a loop's crystals are trained on."""
    return max(1, int(evaluations * fraction))
