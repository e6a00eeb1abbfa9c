"""The campaigns of a service: one folder each, of which the name is that of the campaign."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ray_matdesign.agents.saga.folder import CampaignFailed, Places, begin
from ray_matdesign.agents.saga.reviews import Review, ReviewQueue
from ray_matdesign.agents.saga.settings import SagaSettings, list_campaigns, load_campaign
from ray_matdesign.config.loading import ConfigError, Override, apply_overrides
from ray_matdesign.config.settings import Settings
from ray_matdesign.report.saga_data import EVENTS, read_campaign, read_events, state_of
from ray_matdesign.report.saga_page import render
from ray_matdesign.report.saga_status import status_of
from ray_matdesign.serve import saga_controller
from ray_matdesign.serve.saga_settings import ServedSagaSettings

NAME = re.compile(r"^[a-z0-9][a-z0-9_-]*$")


class NoSuchCampaign(LookupError):
    """No campaign of that name is kept here."""


class Conflict(ValueError):
    """What is asked for does not go with how things stand."""


class NewCampaign(Settings):
    """A campaign to begin: a shipped one by name, or settings in full."""

    campaign: str | None = Field(default=None, pattern=NAME.pattern)
    """Name of a shipped campaign."""
    settings: dict[str, Any] | None = None
    """As in the YAML file of a campaign."""
    overrides: tuple[str, ...] = ()
    """Each ``dotted.key=value``, such as ``rounds=3`` or ``name=second``."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.campaign is None) == (self.settings is None):
            raise ValueError("give campaign or settings, and not both")
        return self


class Verdict(Settings):
    """What somebody decides of a review."""

    decision: Literal["approve", "edit", "reject"]
    reason: str = ""
    """Of an edit or a rejection; the planner is told."""
    content: dict[str, Any] | None = None
    """Of an edit: a whole plan or analysis, in the form of the review's ``content``."""
    by: str = ""

    @model_validator(mode="after")
    def _content_of_an_edit(self) -> Self:
        if (self.decision == "edit") != (self.content is not None):
            raise ValueError("content goes with the decision edit, and an edit needs it")
        return self


class Campaigns:
    """What can be done with campaigns; every method reads folders and asks Ray, so it may block.

    Args:
        settings: Of the service.
        application: Name of the Serve application that plays the roles.
    """

    def __init__(self, settings: ServedSagaSettings, application: str) -> None:
        self._settings = settings
        self._application = application
        self._root = Path(settings.folder)
        self._root.mkdir(parents=True, exist_ok=True)

    def names(self) -> list[str]:
        """All campaigns, sorted."""
        return sorted(path.parent.name for path in self._root.glob("*/saga.yaml"))

    def statuses(self) -> list[dict[str, Any]]:
        """How each is doing."""
        return [self.status(name) for name in self.names()]

    def begin(self, asked: NewCampaign) -> dict[str, Any]:
        """Begins a campaign.

        Returns:
            Its status.

        Raises:
            ConfigError: One line for each setting that is wrong.
            Conflict: There is one of that name, or too many are under way.
        """
        settings = self._read(asked)
        folder = self._root / settings.name
        if (folder / "saga.yaml").exists():
            raise Conflict(f"there is a campaign {settings.name} already; give another name")
        self._check_room()
        folder.mkdir(exist_ok=True)
        try:
            begin(settings, Places(folder))
        except CampaignFailed as error:
            raise Conflict(str(error)) from error
        self._start(folder)
        return self.status(settings.name)

    def status(self, name: str) -> dict[str, Any]:
        """How a campaign is doing.

        Returns:
            As :func:`ray_matdesign.report.saga_status.status_of`, and ``error``: why its controller
            left before it was over, empty if it did not.

        Raises:
            NoSuchCampaign: There is none of that name.
        """
        folder = self._folder(name)
        found = status_of(read_campaign(folder))
        reason = folder / saga_controller.REASON
        found["error"] = reason.read_text(encoding="utf-8").strip() if reason.exists() else ""
        found["state"] = self.state(name)
        return found

    def state(self, name: str) -> str:
        """``running``, ``finished``, ``failed`` or ``stopped``; reads no more than it must.

        Raises:
            NoSuchCampaign: There is none of that name.
        """
        folder = self._folder(name)
        found = state_of(folder, read_events(folder / EVENTS))
        if found in ("stopped", "failed") and saga_controller.find(folder) is not None:
            return "running"  # the controller is on its way to the folder, or back to it
        return str(found)

    def events(self, name: str, after: int = 0) -> Sequence[Mapping[str, Any]]:
        """What has happened, from an event on.

        Args:
            name: Of the campaign.
            after: Number of the last event that is not wanted.

        Raises:
            NoSuchCampaign: There is none of that name.
        """
        return read_events(self._folder(name) / EVENTS, after)

    def reviews(self, name: str) -> list[Review]:
        """All reviews, oldest first.

        Raises:
            NoSuchCampaign: There is none of that name.
        """
        return self._queue(name).all()

    def review(self, name: str, number: int) -> Review:
        """One review.

        Raises:
            NoSuchCampaign: There is none of that name.
            ReviewError: There is none of that number.
        """
        return self._queue(name).get(number)

    def decide(self, name: str, number: int, verdict: Verdict) -> Review:
        """Decides a review.

        Raises:
            NoSuchCampaign: There is none of that name.
            ReviewError: It is decided already, or cannot be decided like that.
        """
        queue = self._queue(name)
        if verdict.decision == "approve":
            return queue.approve(number, by=verdict.by)
        if verdict.content is not None:
            return queue.edit(number, verdict.content, reason=verdict.reason, by=verdict.by)
        return queue.reject(number, verdict.reason, by=verdict.by)

    def resume(self, name: str) -> dict[str, Any]:
        """Goes on with a campaign that stopped or broke off; one under way is left alone.

        Raises:
            NoSuchCampaign: There is none of that name.
            Conflict: It is finished, or too many are under way.
        """
        found = self.state(name)
        if found == "finished":
            raise Conflict(f"the campaign {name} is finished")
        if found != "running":
            self._check_room()
            self._start(self._folder(name))
        return self.status(name)

    def resume_all(self) -> list[str]:
        """Goes on with the campaigns that the service was working on when it ended.

        Returns:
            Their names.
        """
        found = sorted(path.parent for path in self._root.glob(f"*/{saga_controller.MARK}"))
        for folder in found:
            self._start(folder)
        return [folder.name for folder in found]

    def stop(self, name: str) -> dict[str, Any]:
        """Stops work on a campaign; a step under way is lost, and taken again on resumption.

        Raises:
            NoSuchCampaign: There is none of that name.
            Conflict: Nobody is at work on it.
        """
        if not saga_controller.stop(self._folder(name)):
            raise Conflict(f"nobody is at work on the campaign {name}")
        return self.status(name)

    def report(self, name: str) -> str:
        """The report as HTML, of the campaign as it stands.

        Raises:
            NoSuchCampaign: There is none of that name.
        """
        return render(read_campaign(self._folder(name)))

    def _read(self, asked: NewCampaign) -> SagaSettings:
        if asked.campaign is not None:
            shipped = [recipe.name for recipe in list_campaigns()]
            if asked.campaign not in shipped:  # never a path on this machine
                known = ", ".join(shipped)
                raise ConfigError(f"campaign: there is no {asked.campaign!r}; there are {known}")
            return load_campaign(asked.campaign, asked.overrides)
        overrides = [Override.parse(text) for text in asked.overrides]
        return apply_overrides(SagaSettings, asked.settings or {}, "settings", overrides)

    def _check_room(self) -> None:
        under_way = [name for name in self.names() if self.state(name) == "running"]
        if len(under_way) >= self._settings.max_campaigns:
            raise Conflict(
                f"{len(under_way)} campaigns are under way, and max_campaigns is "
                f"{self._settings.max_campaigns}; stop one, or wait"
            )

    def _start(self, folder: Path) -> None:
        settings = self._settings
        saga_controller.start(folder, self._application, settings.roles, settings.controller_cpus)

    def _queue(self, name: str) -> ReviewQueue:
        return ReviewQueue(self._folder(name) / "reviews")

    def _folder(self, name: str) -> Path:
        # The pattern leaves no way out of the root.
        if NAME.fullmatch(name) and (self._root / name / "saga.yaml").is_file():
            return self._root / name
        raise NoSuchCampaign(f"there is no campaign {name!r} here")
