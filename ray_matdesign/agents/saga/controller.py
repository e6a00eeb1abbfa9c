"""The controller: takes a campaign from its settings to its outcome, through any interruption.

Every step has a key and is taken once: what is on record in the event log is read from there, and
the rest follows from it. So a campaign that was killed is gone through again from its beginning, in
a moment, up to where it was.
"""

from __future__ import annotations

from pathlib import Path

from ray_matdesign.agents.saga import selector
from ray_matdesign.agents.saga.course import Course, Unwatched, Watcher
from ray_matdesign.agents.saga.events import (
    EVENTS_NAME,
    BadEvents,
    CampaignState,
    EventLog,
    fold,
)
from ray_matdesign.agents.saga.folder import CampaignFailed, Places, begin, take_up
from ray_matdesign.agents.saga.outcome import Finished, finalists, union_of, write_outcome
from ray_matdesign.agents.saga.protocol import (
    Evaluated,
    EvaluateRequest,
    RoleError,
    Roles,
    Selection,
    SelectRequest,
)
from ray_matdesign.agents.saga.reviews import ReviewError
from ray_matdesign.agents.saga.rounds import play_rounds
from ray_matdesign.agents.saga.settings import SagaSettings
from ray_matdesign.config.settings import Settings
from ray_matdesign.rl.folder_lock import folder_lock


class Started(Settings):
    """Data of ``started``."""

    name: str
    goal: str
    level: str


def run_campaign(
    settings: SagaSettings,
    directory: Path,
    roles: Roles,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
) -> CampaignState:
    """Runs a campaign to its end.

    Args:
        settings: Of the campaign.
        directory: New, or that of the campaign to resume.
        roles: Who does the work.
        resume: Go on where it was. No finished step is taken again, and the outcome is that of a
            campaign never interrupted.
        watcher: Follows it.

    Raises:
        CampaignFailed: It cannot start, or broke off; one line says why.
        ConfigError: The run that rounds are made from is not valid.
    """
    with folder_lock(directory, CampaignFailed):
        places = Places(directory)
        settings, base = (take_up if resume else begin)(settings, places)
        try:
            log = EventLog(directory / EVENTS_NAME)
            course = Course(settings, base, places, roles, log, watcher or Unwatched())
            _open(course, resume)
            rounds = play_rounds(course)
            _close(course, rounds)
            return fold(course.events)
        except (BadEvents, ReviewError) as error:
            raise CampaignFailed(str(error)) from error
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            told = f"{where}{error.strerror or error}; put that right, then resume {directory}"
            raise CampaignFailed(told) from error


def _open(course: Course, resume: bool) -> None:
    settings = course.settings
    if resume and course.events and course.events[-1].kind != "finished":
        course.resumed()
    started = Started(name=settings.name, goal=settings.goal, level=settings.level)
    course.once("started", "started", Started, lambda: started)


def _close(course: Course, rounds: int) -> None:
    """Scores everything on the union of objectives, picks, judges, and writes the outcome.

    Held-out properties come last: until here they exist nowhere, so nothing can learn from them.
    """
    state = fold(course.events)
    places, settings = course.places, course.settings
    union = union_of(state)
    populations = tuple(str(places.population(n)) for n in range(1, rounds + 1))
    asked = EvaluateRequest(
        populations=populations,
        objectives=union,
        base=course.base.model_dump(mode="json"),
        scorers=str(places.scorers),
        output=str(places.final_table),
    )
    if populations:
        course.once("rescored", "final.rescored", Evaluated, lambda: course.roles.evaluate(asked))
        choice = finalists(settings, union, places.final_table)
        course.once("selected", "final.selected", Selection, lambda: _selected(course, choice))
    if populations and settings.held_out:
        held_out = asked.model_copy(
            update={
                "objectives": (),
                "held_out": settings.held_out,
                "output": str(places.held_out_table),
            }
        )
        course.once("judged", "final.judged", Evaluated, lambda: course.roles.evaluate(held_out))
    course.once("finished", "finished", Finished, lambda: write_outcome(course.events, places))


def _selected(course: Course, choice: SelectRequest) -> Selection:
    if not choice.candidates:
        return Selection()
    try:
        return course.roles.select(choice)
    except RoleError as error:
        return course.without(error, selector.ranked(choice))
