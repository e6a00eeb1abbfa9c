"""Campaigns with evolving objectives as an application of Ray Serve.

``serve run``, ``serve deploy`` and KubeRay's RayService take the same file, such as
``clusters/serve/saga.yaml``, whose ``args`` are :class:`ServedSagaSettings`.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from ray import serve
from starlette.types import ASGIApp

from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.serve.saga_access import Access, token_of
from ray_matdesign.serve.saga_api import build_api
from ray_matdesign.serve.saga_campaigns import Campaigns
from ray_matdesign.serve.saga_roles import RoleReplica
from ray_matdesign.serve.saga_settings import ServedRoleSettings, ServedSagaSettings

logger = logging.getLogger(__name__)

INGRESS = "campaigns"
_STOP_S = 5.0
"""Whatever a role is asked can be asked again, so nobody waits for it at the end."""


def app(args: dict[str, Any]) -> serve.Application:
    """Builds the application: a deployment for each role, and the HTTP interface before them.

    Args:
        args: As :class:`ServedSagaSettings`.

    Raises:
        ConfigError: One line for each thing that is wrong with them.
    """
    settings = apply_overrides(ServedSagaSettings, args, "args of the application", ())
    played = {
        name: _role(name, settings.roles.of(name), settings.factory)
        for name in settings.roles.names()
    }
    ingress = serve.deployment(
        name=INGRESS,
        num_replicas=1,
        max_ongoing_requests=settings.max_ongoing_requests,
        ray_actor_options={"num_cpus": 0.1},
        graceful_shutdown_timeout_s=_STOP_S,
    )
    return ingress(serve.ingress()(Ingress)).bind(settings.model_dump(mode="json"), **played)


def _role(name: str, settings: ServedRoleSettings, factory: str) -> serve.Application:
    deployment = serve.deployment(
        name=name,
        num_replicas=settings.replicas,
        max_ongoing_requests=settings.max_ongoing_requests,
        max_queued_requests=settings.max_queued_requests,
        graceful_shutdown_timeout_s=_STOP_S,
        ray_actor_options={
            "num_cpus": settings.cpus,
            "num_gpus": settings.gpus,
            "runtime_env": {"env_vars": settings.env_vars},
        },
    )
    return deployment(RoleReplica).bind(name, factory)


class Ingress:
    """The HTTP interface; it goes on with the campaigns that the service was at work on.

    Args:
        settings: As :class:`ServedSagaSettings`, plain.
        **roles: Handles of the roles, so that they are deployed with it; controllers find them by
            name.

    Raises:
        NoToken: ``token_env`` names a variable that is not set here.
    """

    def __init__(self, settings: dict[str, Any], **roles: Any) -> None:
        self._settings = apply_overrides(ServedSagaSettings, settings, "settings", ())
        self._token = token_of(self._settings.token_env, os.environ)
        application = serve.get_replica_context().app_name
        self._campaigns = Campaigns(self._settings, application)
        for name in self._campaigns.resume_all():
            logger.info("goes on with the campaign %s", name)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        api = build_api(self._campaigns, self._settings.poll_s)
        return Access(api, token=self._token, most_bytes=self._settings.max_request_bytes)
