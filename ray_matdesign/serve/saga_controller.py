"""The controller of a campaign as a named actor, which outlives whoever started it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.actor import ActorHandle

from ray_matdesign.agents.saga.controller import run_campaign
from ray_matdesign.agents.saga.folder import CampaignFailed
from ray_matdesign.agents.saga.settings import load_campaign
from ray_matdesign.config.loading import ConfigError, apply_overrides
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.rl.folder_lock import folder_lock
from ray_matdesign.serve.saga_roles import RolesOnServe
from ray_matdesign.serve.saga_settings import ServedRolesSettings

logger = logging.getLogger(__name__)

NAMESPACE = "ray_matdesign"
MARK = ".served"
"""File in a campaign's folder for as long as the service is to work on it."""
REASON = ".served.error"
"""File that says in a line why the controller left before the campaign was over."""

_MOST_RESTARTS = 20
"""More is a campaign that kills its controller."""
_FREE_WITHIN_S = 180.0
"""Longer than the lease of a controller lasts that died on another node."""
_LOOK_AGAIN_S = 5.0


class _Taken(RuntimeError):
    """Another process holds the folder."""


class Controller:
    """Works on one campaign in a thread, from its construction on.

    The folder holds all of its state: an actor that Ray restarts, on whatever node, goes on after
    the last step on record. When the campaign is over or has broken off, the actor leaves.

    Args:
        folder: Of the campaign, with its settings.
        application: Name of the Serve application that plays the roles.
        roles: As :class:`ServedRolesSettings`, plain.
    """

    def __init__(self, folder: str, application: str, roles: Mapping[str, Any]) -> None:
        self._folder = Path(folder)
        read = apply_overrides(ServedRolesSettings, dict(roles), "roles", ())
        self._roles = RolesOnServe(self._folder, application, read)
        threading.Thread(target=self._work, name="campaign", daemon=True).start()

    def pid(self) -> int:
        """Process id on its node."""
        return os.getpid()

    def _work(self) -> None:
        reason = ""
        try:
            _wait_until_free(self._folder)
            settings = load_campaign(self._folder / "saga.yaml")
            run_campaign(settings, self._folder, self._roles, resume=True)
        except (CampaignFailed, ConfigError, _Taken) as error:
            reason = str(error)
            logger.error("campaign %s: %s", self._folder.name, reason)
        except Exception as error:
            # A thread of an actor has nobody to raise to.
            what = f"{type(error).__name__}: {error}"
            reason = f"internal error: {what}; the controller's log has more"
            logger.exception("campaign %s", self._folder.name)
        if reason:
            write_atomic(self._folder / REASON, f"{' '.join(reason.split())}\n")
        stop(self._folder)  # this very actor


def start(
    folder: Path, application: str, roles: ServedRolesSettings, cpus: float
) -> ActorHandle[Any]:
    """Starts a campaign's controller, or finds the one that is there.

    Args:
        folder: Of the campaign, with its settings.
        application: Name of the Serve application that plays the roles.
        roles: Of the service.
        cpus: Ray's CPUs for the controller.
    """
    (folder / MARK).touch()
    (folder / REASON).unlink(missing_ok=True)
    actor: Any = ray.remote(Controller)
    handle: ActorHandle[Any] = actor.options(
        name=name_of(folder),
        namespace=NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=_MOST_RESTARTS,
        num_cpus=cpus,
    ).remote(str(folder), application, roles.model_dump(mode="json"))
    return handle


def find(folder: Path) -> ActorHandle[Any] | None:
    """The controller at work on a campaign; ``None`` if there is none."""
    try:
        return ray.get_actor(name_of(folder), namespace=NAMESPACE)
    except ValueError:
        return None


def stop(folder: Path) -> bool:
    """Ends the controller; the campaign can be resumed.

    Returns:
        Whether there was one.
    """
    (folder / MARK).unlink(missing_ok=True)
    handle = find(folder)
    if handle is None:
        return False
    ray.kill(handle, no_restart=True)
    return True


def _wait_until_free(folder: Path) -> None:
    until = time.monotonic() + _FREE_WITHIN_S
    while True:
        try:
            with folder_lock(folder, _Taken):
                return
        except _Taken:
            if time.monotonic() > until:
                raise
        time.sleep(_LOOK_AGAIN_S)


def name_of(folder: Path) -> str:
    """Name of a campaign's controller: one of that name works in that folder."""
    return f"saga {folder}"
