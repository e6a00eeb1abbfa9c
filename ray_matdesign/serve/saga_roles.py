"""The roles of campaigns as deployments: typed questions in, typed answers or errors out.

A replica keeps nothing that matters: it builds what plays its role from the campaign's folder, so
any replica can answer any question of any campaign, and answer it again.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from ray import serve
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from ray_matdesign.agents.llm.protocol import Unreachable
from ray_matdesign.agents.saga.protocol import (
    Analysis,
    AnalyzeRequest,
    Evaluated,
    EvaluateRequest,
    Implementation,
    ImplementRequest,
    Optimized,
    OptimizeRequest,
    Plan,
    PlanRequest,
    RoleError,
    RoleName,
    Roles,
    Selection,
    SelectRequest,
)
from ray_matdesign.config.import_path import load_object
from ray_matdesign.config.settings import Settings
from ray_matdesign.serve.saga_settings import ServedRolesSettings

AnySettings = TypeVar("AnySettings", bound=Settings)

ATTEMPTS = 2
"""A question whose replica was lost is asked once more."""
_PAUSE_S = 0.5
"""Before a full queue is tried again."""


@dataclass(frozen=True)
class Verb:
    """One thing a role can be asked.

    Attributes:
        role: Whom.
        request: What it is told.
        answer: What it says.
    """

    role: RoleName
    request: type[Settings]
    answer: type[Settings]


VERBS: Mapping[str, Verb] = {
    "plan": Verb("planner", PlanRequest, Plan),
    "implement": Verb("implementer", ImplementRequest, Implementation),
    "optimize": Verb("optimizer", OptimizeRequest, Optimized),
    "analyze": Verb("analyzer", AnalyzeRequest, Analysis),
    "evaluate": Verb("evaluator", EvaluateRequest, Evaluated),
    "select": Verb("selector", SelectRequest, Selection),
}
"""The methods of :class:`~ray_matdesign.agents.saga.protocol.Roles`."""


Factory = Callable[[Path], AbstractContextManager[Roles]]
"""Makes the roles of a campaign from its folder, for one question."""


@contextmanager
def roles_in(campaign: Path) -> Iterator[Roles]:
    """The roles of this package; what asks a language model asks the campaign's.

    Args:
        campaign: Its folder, with its settings.
    """
    # Here, so that a replica stands in a moment and loads torch when it has something to do.
    from ray_matdesign.agents.llm.building import build_llm
    from ray_matdesign.agents.saga.roles import LocalRoles
    from ray_matdesign.agents.saga.settings import load_campaign
    from ray_matdesign.distributed.workplace import workplace

    settings = load_campaign(campaign / "saga.yaml")
    with closing(LocalRoles(build_llm(settings.llm, campaign), workplace=workplace)) as roles:
        yield roles


class RoleReplica:
    """One replica of a role.

    Args:
        role: Which.
        factory: Import path of a :data:`Factory`.
    """

    def __init__(self, role: RoleName, factory: str) -> None:
        self._role = role
        self._factory: Factory = load_object(factory, {}, what="factory of roles")

    async def answer(self, verb: str, campaign: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Answers in a thread, so that the replica's health can be asked for meanwhile.

        Args:
            verb: One of :data:`VERBS`, and of this role.
            campaign: Folder of the campaign.
            asked: The request, as plain JSON.

        Returns:
            ``{"answer": ...}``, as plain JSON, or ``{"error": {kind, reason}}``.
        """
        return await asyncio.to_thread(self._answer, verb, Path(campaign), asked)

    def _answer(self, verb: str, campaign: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
        found = VERBS.get(verb)
        if found is None or found.role != self._role:
            raise ValueError(f"{self._role}: cannot be asked to {verb}")
        request = found.request.model_validate_json(_json(asked))
        try:
            with _one_at_a_time(campaign, verb), self._factory(campaign) as roles:
                answer: Settings = getattr(roles, verb)(request)
        except RoleError as error:
            return {"error": {"kind": error.kind, "reason": error.reason}}
        except Unreachable as error:  # a token is missing here, before anything was asked
            return {"error": {"kind": "unreachable", "reason": str(error)}}
        return {"answer": answer.model_dump(mode="json")}


class RolesOnServe:
    """The roles of one campaign, played by deployments: :class:`Roles`.

    A question whose replica is lost is asked once more, of another; then it is the error ``lost``.

    Args:
        campaign: Its folder.
        application: Name of the Serve application.
        settings: Of the roles.
    """

    def __init__(self, campaign: Path, application: str, settings: ServedRolesSettings) -> None:
        self._campaign = str(campaign)
        self._application = application
        self._settings = settings

    def plan(self, asked: PlanRequest) -> Plan:
        """See :meth:`Roles.plan`."""
        return self._ask("plan", asked, Plan)

    def implement(self, asked: ImplementRequest) -> Implementation:
        """See :meth:`Roles.implement`."""
        return self._ask("implement", asked, Implementation)

    def optimize(self, asked: OptimizeRequest) -> Optimized:
        """See :meth:`Roles.optimize`."""
        return self._ask("optimize", asked, Optimized)

    def analyze(self, asked: AnalyzeRequest) -> Analysis:
        """See :meth:`Roles.analyze`."""
        return self._ask("analyze", asked, Analysis)

    def evaluate(self, asked: EvaluateRequest) -> Evaluated:
        """See :meth:`Roles.evaluate`."""
        return self._ask("evaluate", asked, Evaluated)

    def select(self, asked: SelectRequest) -> Selection:
        """See :meth:`Roles.select`."""
        return self._ask("select", asked, Selection)

    def _ask(self, verb: str, asked: Settings, model: type[AnySettings]) -> AnySettings:
        role = VERBS[verb].role
        until = time.monotonic() + self._settings.of(role).timeout_s
        handle = self._handle(role)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                envelope = self._answered(handle, verb, asked, until)
            except (ActorDiedError, ActorUnavailableError, ReplicaUnavailableError) as error:
                if attempt == ATTEMPTS:
                    raise RoleError(
                        role, "lost", f"its replica was lost in mid-request, {ATTEMPTS} times"
                    ) from error
                continue
            if "error" in envelope:
                raise RoleError(role, **envelope["error"])
            return self._read(role, model, envelope["answer"])
        raise AssertionError("the last attempt returns or raises")

    def _answered(
        self, handle: DeploymentHandle[Any], verb: str, asked: Settings, until: float
    ) -> dict[str, Any]:
        """One question; while the role's queue is full it waits outside."""
        role, plain = VERBS[verb].role, asked.model_dump(mode="json")
        while True:
            response: Any = handle.answer.remote(verb, self._campaign, plain)
            try:
                left = max(0.0, until - time.monotonic())
                envelope: dict[str, Any] = response.result(timeout_s=left)
                return envelope
            except BackPressureError as error:
                if time.monotonic() + _PAUSE_S > until:
                    raise RoleError(role, "unreachable", "its queue stayed full") from error
                time.sleep(_PAUSE_S)
            except (ActorDiedError, ActorUnavailableError, ReplicaUnavailableError):
                raise
            except RayTaskError as error:  # before TimeoutError, which the role may have raised
                said = f"{type(error.cause).__name__}: {error.cause}".partition("\n")[0]
                raise RoleError(role, "run", f"{said}; its replica's log has more") from error
            except TimeoutError as error:
                response.cancel()
                limit = self._settings.of(role).timeout_s
                raise RoleError(
                    role, "unreachable", f"no answer within {limit:g} s (roles.{role}.timeout_s)"
                ) from error
            except (RayError, RayServeException) as error:
                raise RoleError(role, "unreachable", str(error).partition("\n")[0]) from error

    def _handle(self, role: RoleName) -> DeploymentHandle[Any]:
        try:
            return serve.get_deployment_handle(role, self._application)
        except RayServeException as error:
            raise RoleError(role, "unreachable", str(error).partition("\n")[0]) from error

    def _read(self, role: RoleName, model: type[AnySettings], plain: object) -> AnySettings:
        try:
            return model.model_validate_json(_json(plain))
        except ValidationError as error:
            said = error.errors()[0]
            where = ".".join(map(str, said["loc"]))
            raise RoleError(role, "bad_answer", f"{where}: {said['msg']}") from error


@contextmanager
def _one_at_a_time(campaign: Path, verb: str) -> Iterator[None]:
    """Keeps a question that is asked again waiting for the one that goes on unheard.

    Whoever asked may have died; what it asked for is still being worked on.
    """
    with open(campaign / f".{verb}.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _json(plain: object) -> str:
    return json.dumps(plain, allow_nan=False)
