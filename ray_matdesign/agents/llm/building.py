"""The model of a campaign, put together from its settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ray_matdesign.agents.llm.budget import Budgeted
from ray_matdesign.agents.llm.cassette import Recorder, Replayer
from ray_matdesign.agents.llm.logged import Logged
from ray_matdesign.agents.llm.openai_client import OpenAiClient
from ray_matdesign.agents.llm.protocol import Answer, Llm, Request
from ray_matdesign.config.llm import LlmSettings

LOG_NAME = "llm.jsonl"
CASSETTE_NAME = "llm-cassette.jsonl"
BUDGET_NAME = "llm-budget.json"
"""Files in a run directory: everything asked, what a resumed run need not ask, what was spent."""


class ByRole:
    """Asks whom the role of a question asks: an ``Llm``.

    The role is the purpose, up to its first dot: ``planner`` of ``planner.revise``.

    Args:
        default: Asked by every other role.
        roles: By role.
    """

    def __init__(self, default: Llm, roles: Mapping[str, Llm]) -> None:
        self._default = default
        self._roles = dict(roles)

    def ask(self, request: Request) -> Answer:
        """As the one asked; see :meth:`Llm.ask`."""
        role = request.purpose.partition(".")[0]
        return self._roles.get(role, self._default).ask(request)


def live(settings: LlmSettings, environment: Mapping[str, str] = os.environ) -> Llm:
    """The endpoints of the settings.

    Args:
        settings: Of the campaign.
        environment: Where tokens are looked up.

    Raises:
        Unreachable: A variable that should hold a token is not set.
    """
    roles = {
        role: OpenAiClient(endpoint, environment)
        for role, endpoint in settings.roles.given().items()
    }
    return ByRole(OpenAiClient(settings.default, environment), roles)


def build_llm(settings: LlmSettings, directory: Path, source: Llm | None = None) -> Llm:
    """The model that a campaign asks: within its budget, on record, every word kept.

    What is on the run's own cassette is answered from there: it costs nothing and is not logged
    again. Anything else is paid for, whether an endpoint answers it or the cassette of
    ``settings.replay``, so that a replay takes the same course as the campaign that it replays.

    Args:
        settings: Of the campaign.
        directory: The run directory; it must exist.
        source: Whom to ask; by default what the settings say.

    Raises:
        Unreachable: A variable that should hold a token is not set.
        OSError: The cassette to replay cannot be read.
        BadCassette: It is none.
    """
    if source is None:
        source = live(settings) if settings.replay is None else Replayer(Path(settings.replay))
    budgeted = Budgeted(source, settings.budget, directory / BUDGET_NAME)
    return Recorder(Logged(budgeted, directory / LOG_NAME), directory / CASSETTE_NAME)
