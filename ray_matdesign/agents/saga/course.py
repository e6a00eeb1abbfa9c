"""A campaign on its way: every step is taken once, and followed by whoever watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from ray_matdesign.agents.saga.events import Event, EventLog, Failure, Kind
from ray_matdesign.agents.saga.folder import CampaignFailed, Places
from ray_matdesign.agents.saga.protocol import RoleError, Roles
from ray_matdesign.agents.saga.reviews import ReviewQueue
from ray_matdesign.agents.saga.settings import SagaSettings
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.config.settings import Settings

Data = TypeVar("Data", bound=Settings)

MODELS_FAULT = ("bad_answer", "truncated", "budget")
"""Failures that a campaign goes on from, without the answer."""


class Resumed(Settings):
    """Data of ``resumed``."""

    after: int
    """Events on record by then."""


class Watcher(Protocol):
    """Follows a campaign; called from the thread that runs it."""

    def step_started(self, kind: Kind, in_round: int) -> None:
        """A step is about to be taken."""
        ...

    def happened(self, event: Event) -> None:
        """An event is on record."""
        ...

    def review_wanted(self, number: int, gate: str) -> None:
        """The campaign waits for people."""
        ...


class Unwatched:
    """Ignores everything."""

    def step_started(self, kind: Kind, in_round: int) -> None:
        """Ignored."""

    def happened(self, event: Event) -> None:
        """Ignored."""

    def review_wanted(self, number: int, gate: str) -> None:
        """Ignored."""


class Course:
    """A campaign on its way: what its steps share.

    Args:
        settings: Of the campaign.
        base: The run that rounds are made from.
        places: Its folder.
        roles: Who does the work.
        log: What happened so far.
        watcher: Follows it.
    """

    def __init__(
        self,
        settings: SagaSettings,
        base: RunConfig,
        places: Places,
        roles: Roles,
        log: EventLog,
        watcher: Watcher,
    ) -> None:
        self.settings = settings
        self.base = base
        self.places = places
        self.roles = roles
        self.reviews = ReviewQueue(places.reviews)
        self.watcher = watcher
        self._log = log
        self._held = {event.key: event for event in log.events if event.key}

    @property
    def events(self) -> Sequence[Event]:
        """What happened so far."""
        return self._log.events

    def once(
        self, kind: Kind, key: str, model: type[Data], take: Callable[[], Data], in_round: int = 0
    ) -> Data:
        """Takes a step, or reads what came of it if it was taken before.

        Args:
            kind: Of the event.
            key: Of the step.
            model: Of the event's data.
            take: Takes it.
            in_round: 0 outside the rounds.

        Raises:
            CampaignFailed: The step cannot be taken now; the campaign can be resumed.
        """
        held = self._held.get(key)
        if held is not None:
            return model.model_validate(held.data)
        self.watcher.step_started(kind, in_round)
        begun = time.monotonic()
        try:
            data = take()
        except RoleError as error:
            self.note(error, fatal=True, in_round=in_round)
            told = f"{error}; the campaign can be gone on with: {self.places.root}"
            raise CampaignFailed(told) from error
        event = self._log.append(
            kind, key, data, in_round=in_round, seconds=time.monotonic() - begun
        )
        self._held[key] = event
        self.watcher.happened(event)
        # What was just written is read like what was written long ago, so that both are the same.
        return model.model_validate(event.data)

    def without(self, error: RoleError, fallback: Data, in_round: int = 0) -> Data:
        """What takes the place of an answer that a model could not give.

        Raises:
            RoleError: The fault is not the model's.
        """
        if error.kind not in MODELS_FAULT:
            raise error
        self.note(error, fatal=False, in_round=in_round)
        return fallback

    def resumed(self) -> None:
        """Puts on record that an interrupted campaign goes on."""
        data = Resumed(after=len(self.events))
        self.watcher.happened(self._log.append("resumed", "", data))

    def note(self, error: RoleError, *, fatal: bool, in_round: int = 0) -> None:
        """Puts a failure on record."""
        failure = Failure(role=error.role, kind=error.kind, reason=error.reason, fatal=fatal)
        self.watcher.happened(self._log.append("failed", "", failure, in_round=in_round))

    @property
    def budget_spent(self) -> bool:
        """Whether a question was not asked for want of budget."""
        return any(e.kind == "failed" and e.data["kind"] == "budget" for e in self.events)
