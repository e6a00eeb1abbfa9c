"""The rounds of a campaign: plan, implement, optimise, measure, analyse, and perhaps stop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ray_matdesign.agents.saga.course import Course
from ray_matdesign.agents.saga.events import Decision, Reviewed, RoundState, fold
from ray_matdesign.agents.saga.inner import of_kind
from ray_matdesign.agents.saga.negotiation import Ended, agree
from ray_matdesign.agents.saga.population import Member, read_population
from ray_matdesign.agents.saga.protocol import (
    Analysis,
    AnalyzeRequest,
    Finding,
    Implemented,
    Optimized,
    OptimizeRequest,
    RoleError,
    Statistics,
)
from ray_matdesign.agents.saga.reviewing import reviewed
from ray_matdesign.agents.saga.statistics import progress_of, statistics_of
from ray_matdesign.crystals.atomic import write_atomic


def play_rounds(course: Course) -> int:
    """Plays rounds until one of them is the last.

    Returns:
        How many have a population.

    Raises:
        CampaignFailed: A step cannot be taken.
    """
    for number in range(1, course.settings.rounds + 1):
        try:
            decision = _play(course, number)
        except Ended as end:
            told = Decision(stop=True, by="reviewer", reason=str(end))
            key = f"{number:02d}.decided"
            course.once("decided", key, Decision, partial(Decision.model_copy, told), number)
            return number - 1
        if decision.stop:
            return number
    return course.settings.rounds


def _play(course: Course, number: int) -> Decision:
    earlier = fold(course.events).rounds[: number - 1]
    agreement = agree(course, number, earlier)
    objectives = agreement.objectives
    found = course.once(
        "optimized",
        f"{number:02d}.optimized",
        Optimized,
        lambda: course.roles.optimize(_optimize_request(course, number, objectives)),
        number,
    )
    before = earlier[-1].statistics if earlier else None
    statistics = course.once(
        "measured",
        f"{number:02d}.measured",
        Statistics,
        lambda: _measured(course, number, objectives, found, before),
        number,
    )
    asked = AnalyzeRequest(
        goal=course.settings.goal,
        context=course.settings.context,
        round=number,
        rounds=course.settings.rounds,
        objectives=objectives,
        dropped=agreement.dropped,
        statistics=statistics,
        before=before,
        seed=course.settings.seed,
    )
    analysis = course.once(
        "analyzed", f"{number:02d}.analyzed", Analysis, lambda: _analyzed(course, asked), number
    )
    review = reviewed(course, "analysis", f"{number:02d}.review.analysis", analysis, number)
    if review is not None:
        analysis = Analysis.model_validate(review.content)
    return course.once(
        "decided",
        f"{number:02d}.decided",
        Decision,
        lambda: _decided(course, number, earlier, objectives, analysis, review),
        number,
    )


def _optimize_request(
    course: Course, number: int, objectives: tuple[Implemented, ...]
) -> OptimizeRequest:
    settings, places = course.settings, course.places
    return OptimizeRequest(
        goal=settings.goal,
        context=settings.context,
        round=number,
        objectives=objectives,
        base=course.base.model_dump(mode="json"),
        directory=str(places.round(number)),
        scorers=str(places.scorers),
        inner=settings.inner,
        previous=str(places.population(number - 1)) if number > 1 else None,
        restart_ratio=settings.restart_ratio,
        population=settings.population,
        seed=settings.seed + number,
    )


def _measured(
    course: Course,
    number: int,
    objectives: Sequence[Implemented],
    found: Optimized,
    before: Statistics | None,
) -> Statistics:
    members = read_population(course.places.population(number))
    statistics = statistics_of(number, members, objectives, found, before)
    path = course.places.statistics(number)
    write_atomic(path, statistics.model_dump_json(indent=1) + "\n")
    return statistics


def _analyzed(course: Course, asked: AnalyzeRequest) -> Analysis:
    try:
        return course.roles.analyze(asked)
    except RoleError as error:
        told = Finding(text=f"There is no analysis of this round: {error.reason}")
        return course.without(error, Analysis(issues=(told,)), asked.round)


def _decided(
    course: Course,
    number: int,
    earlier: Sequence[RoundState],
    objectives: Sequence[Implemented],
    analysis: Analysis,
    review: Reviewed | None,
) -> Decision:
    settings = course.settings
    measure = _progress(course, number, earlier, objectives)
    verdict: dict[str, Any] = {"stop": True, "measure": measure}
    if review is not None and review.decision == "timed-out" and _stops_when_late(course):
        return Decision(**verdict, by="reviewer", reason="nobody reviewed the analysis in time")
    if course.budget_spent:
        told = "the budget for language models is spent"
        return Decision(**verdict, by="budget", reason=told)
    edited = review is not None and review.decision == "edited"
    # A round that found nothing speaks against its objectives, not against another round.
    heeded = settings.stopping.analyzer and read_population(course.places.population(number))
    if analysis.stop and (heeded or edited):
        return Decision(**verdict, by="reviewer" if edited else "analyzer", reason=analysis.reason)
    idle = _rounds_without_gain(earlier, measure, settings.stopping.min_gain)
    limit = settings.stopping.rounds
    if limit is not None and idle >= limit:
        what = settings.stopping.measure
        told = f"the {what} of the first objectives has not grown for {idle} rounds"
        return Decision(**verdict, by="gain", reason=told)
    if number == settings.rounds:
        return Decision(**verdict, by="rounds", reason=f"all {number} rounds are played")
    return Decision(stop=False, measure=measure)


def _stops_when_late(course: Course) -> bool:
    return course.settings.review.on_timeout == "stop"


def _progress(
    course: Course,
    number: int,
    earlier: Sequence[RoundState],
    objectives: Sequence[Implemented],
) -> float | None:
    """By the initial objectives or, if there were none, those of the first round."""
    first = earlier[0].objectives if earlier else tuple(objectives)
    initial = [one for one in of_kind(first, "candidate") if one.objective.origin == "initial"]
    aims = initial or of_kind(first, "candidate")
    members: dict[str, Member] = {}
    for place in range(1, number + 1):
        for one in read_population(Path(course.places.population(place))):
            members.setdefault(one.id, one)
    return progress_of(list(members.values()), aims, course.settings.stopping.measure)


def _rounds_without_gain(
    earlier: Sequence[RoundState], measure: float | None, min_gain: float
) -> int:
    """Rounds in a row, up to this one, that did not better the best before them by enough."""
    held = [one.decision.measure if one.decision else None for one in earlier]
    idle, best = 0, None
    for value in (*held, measure):
        if best is None:
            best = value
        elif value is None or value - best < min_gain:
            idle += 1
            best = best if value is None else max(best, value)
        else:
            idle, best = 0, value
    return idle
