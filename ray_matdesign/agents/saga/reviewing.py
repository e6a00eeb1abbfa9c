"""A campaign at a gate: it waits for people, or goes on without."""

from __future__ import annotations

from ray_matdesign.agents.saga.course import Course
from ray_matdesign.agents.saga.events import Reviewed
from ray_matdesign.agents.saga.protocol import Analysis, Plan
from ray_matdesign.agents.saga.reviews import GATES, Gate


def reviewed(
    course: Course, gate: Gate, key: str, content: Plan | Analysis, in_round: int
) -> Reviewed | None:
    """What people make of a plan or an analysis; ``None`` if the level asks nobody.

    Of a rejected analysis nothing is left: the planner is told the reviewer's reason instead.

    Args:
        course: The campaign.
        gate: Which.
        key: Of the step.
        content: What they see.
        in_round: The round.
    """
    if gate not in GATES[course.settings.level]:
        return None
    return course.once(
        "reviewed", key, Reviewed, lambda: _decision(course, gate, key, content, in_round), in_round
    )


def _decision(
    course: Course, gate: Gate, key: str, content: Plan | Analysis, in_round: int
) -> Reviewed:
    waiting = course.settings.review
    review = course.reviews.open(key, gate, content, in_round=in_round, timeout_s=waiting.timeout_s)
    if review.state == "pending":
        course.watcher.review_wanted(review.number, gate)
        review = course.reviews.wait(review.number, waiting.poll_s)
    assert review.state != "pending"
    outcome = review.outcome
    if review.state == "rejected" and gate == "analysis":
        outcome = Analysis(reason=f"rejected: {review.reason}").model_dump(mode="json")
    return Reviewed(
        number=review.number,
        gate=gate,
        decision=review.state,
        reason=review.reason,
        by=review.by,
        content=outcome,
    )
