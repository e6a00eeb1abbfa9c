"""What a round designs for: planned, reviewed, implemented, and replaced where it has to be."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ray_matdesign.agents.saga.course import Course
from ray_matdesign.agents.saga.events import Agreement, Reviewed, RoundState
from ray_matdesign.agents.saga.planner import with_initial
from ray_matdesign.agents.saga.protocol import (
    Dropped,
    Implementation,
    Implemented,
    ImplementRequest,
    Plan,
    Planned,
    PlanRequest,
    RoleError,
)
from ray_matdesign.agents.saga.reviewing import reviewed


class Ended(Exception):
    """Nobody reviewed a plan in time, and the settings end the campaign then."""


def agree(course: Course, number: int, earlier: Sequence[RoundState]) -> Agreement:
    """Comes to objectives that can be computed.

    What cannot be computed goes back to the planner with the reason, as often as the settings
    allow, and is then done without; a campaign never breaks off for it.

    Args:
        course: The campaign.
        number: Of the round.
        earlier: The rounds before.

    Raises:
        Ended: See there.
        CampaignFailed: A step cannot be taken, or nothing is left that crystals can be rewarded
            for.
    """
    standing: list[Implemented] = []
    dropped: list[Dropped] = []
    going: tuple[Planned, ...] = earlier[-1].planned if earlier else ()
    remarks = [review.reason for review in earlier[-1].reviews] if earlier else []
    for attempt in range(1, course.settings.revisions + 2):
        key = f"{number:02d}.{{}}.{attempt}".format
        asked = _plan_request(course, number, attempt, earlier, going, dropped, remarks)
        plan = course.once("planned", key("plan"), Plan, partial(_planned, course, asked), number)
        dropped += plan.refused
        review = reviewed(course, "plan", key("review.plan"), plan, number)
        plan = _after_review(course, plan, review, number)
        if review is not None and review.decision == "rejected":
            remarks.append(review.reason)
            dropped += _refused(plan, going, attempt, review.reason)
            if attempt <= course.settings.revisions:
                continue
            stays = with_initial(course.settings.objectives, going)
            plan = plan.model_copy(update={"objectives": stays})
        todo = _still_open(plan, standing, dropped)
        take = partial(_implemented, course, number, attempt, todo, earlier)
        done = course.once("implemented", key("implement"), Implementation, take, number)
        standing += done.implemented
        dropped += done.dropped
        going = _without(plan, done.dropped)
        if not done.dropped:
            break
    wanted = {one.spec.name for one in plan.objectives}
    take_stock = partial(_agreement, [one for one in standing if one.name in wanted], dropped)
    return course.once("agreed", f"{number:02d}.agreed", Agreement, take_stock, number)


def _refused(plan: Plan, going: Sequence[Planned], attempt: int, reason: str) -> list[Dropped]:
    """What a rejected plan would have added."""
    known = {one.spec.name for one in going}
    told = f"rejected by a reviewer: {reason}"
    return [
        Dropped(name=one.spec.name, attempt=attempt, reason=told)
        for one in plan.objectives
        if one.origin != "initial" and one.spec.name not in known
    ]


def _still_open(
    plan: Plan, standing: Sequence[Implemented], dropped: Sequence[Dropped]
) -> list[Planned]:
    """What has no scorer yet; initial objectives are in every plan, also those without hope."""
    held = {one.name for one in standing}
    lost = {one.name for one in dropped}
    return [
        one
        for one in plan.objectives
        if one.spec.name not in held and not (one.origin == "initial" and one.spec.name in lost)
    ]


def _without(plan: Plan, dropped: Sequence[Dropped]) -> tuple[Planned, ...]:
    names = {one.name for one in dropped}
    return tuple(one for one in plan.objectives if one.spec.name not in names)


def _plan_request(
    course: Course,
    number: int,
    attempt: int,
    earlier: Sequence[RoundState],
    going: Sequence[Planned],
    dropped: Sequence[Dropped],
    remarks: Sequence[str],
) -> PlanRequest:
    settings = course.settings
    last = earlier[-1] if earlier else None
    lost = () if last is None else last.dropped
    return PlanRequest(
        goal=settings.goal,
        context=settings.context,
        round=number,
        attempt=attempt,
        limit=settings.max_objectives,
        initial=settings.objectives,
        current=tuple(going),
        statistics=None if last is None else last.statistics,
        report=None if last is None else last.analysis,
        dropped=(*lost, *dropped),
        remarks=tuple(remark for remark in remarks if remark),
        seed=settings.seed,
    )


def _planned(course: Course, asked: PlanRequest) -> Plan:
    """The planner's plan or, where it has none, what was in force."""
    try:
        plan = course.roles.plan(asked)
    except RoleError as error:
        return course.without(
            error, Plan(objectives=with_initial(asked.initial, asked.current)), asked.round
        )
    # Whoever plans, however far away: the initial objectives are not theirs to change.
    return plan.model_copy(update={"objectives": with_initial(asked.initial, plan.objectives)})


def _after_review(course: Course, plan: Plan, review: Reviewed | None, number: int) -> Plan:
    """The plan as people left it."""
    if review is None:
        return plan
    if review.decision == "timed-out" and course.settings.review.on_timeout == "stop":
        raise Ended("nobody reviewed the plan in time")
    if review.decision != "edited":
        return plan
    before = {one.spec.name: one for one in plan.objectives}
    edited = [
        one
        if before.get(one.spec.name) == one
        else one.model_copy(update={"origin": "reviewer", "since": number})
        for one in Plan.model_validate(review.content).objectives
    ]
    return plan.model_copy(update={"objectives": with_initial(course.settings.objectives, edited)})


def _implemented(
    course: Course,
    number: int,
    attempt: int,
    objectives: Sequence[Planned],
    earlier: Sequence[RoundState],
) -> Implementation:
    settings = course.settings
    known = {one.name: one.objective.spec.hash for state in earlier for one in state.objectives}
    taken, free = [], []
    for one in objectives:
        name = one.spec.name
        reason = f"the name {name} stood for something else in an earlier round"
        if known.get(name, one.spec.hash) != one.spec.hash:
            taken.append(Dropped(name=name, attempt=attempt, reason=reason))
        else:
            free.append(one)
    asked = ImplementRequest(
        round=number,
        attempt=attempt,
        objectives=tuple(free),
        scorers=str(course.places.scorers),
        python=settings.python_scorers,
        repairs=settings.repairs,
        seed=settings.seed,
    )
    done = course.roles.implement(asked)
    return done.model_copy(update={"dropped": (*taken, *done.dropped)})


def _agreement(standing: Sequence[Implemented], dropped: Sequence[Dropped]) -> Agreement:
    kept: list[Implemented] = []
    lost = list(dropped)
    for one in standing:
        twin = next((other for other in kept if other.column == one.column), None)
        if twin is None:
            kept.append(one)
        else:
            reason = f"it has the same scorer as {twin.name}, {one.column}"
            lost.append(Dropped(name=one.name, attempt=1, reason=reason))
    if not any(one.objective.spec.kind == "candidate" for one in kept):
        told = "no objective is left that a crystal could be rewarded for"
        raise RoleError("implementer", "run", told)
    return Agreement(objectives=tuple(kept), dropped=tuple(lost))
