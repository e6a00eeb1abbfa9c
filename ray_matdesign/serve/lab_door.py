"""A laboratory's door to HTTP: who may come in, and what each path does.

It knows no Ray, and works for every ``Operated`` laboratory, simulated or real.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from ray_matdesign.agents.laboratory.client import API, ERRORS
from ray_matdesign.agents.laboratory.interface import LabError, Operated, Unauthorised, UnknownJob
from ray_matdesign.agents.laboratory.messages import Job, Order
from ray_matdesign.serve.bearer import bears

HEALTH = "/health"
_MOST_BYTES = 200_000
_JOB_PATH = re.compile(rf"^{API}/jobs/([^/]+)(/result|/approval)?$")
_JOBS: TypeAdapter[list[Job]] = TypeAdapter(list[Job])


class Approval(BaseModel):
    """What the staff sends to agree to a job."""

    by: str = Field(min_length=1, max_length=100)


class LabDoor:
    """Answers requests.

    Args:
        lab: Behind the door.
        token: That those who order must send; ``None`` lets everyone order.
        staff_token: That the staff must send to approve; ``None`` lets nobody approve.
    """

    def __init__(self, lab: Operated, *, token: str | None, staff_token: str | None) -> None:
        self._lab = lab
        self._token = token
        self._staff_token = staff_token

    async def answer(self, request: Request) -> Response:
        """The laboratory's answer, or an error with its kind and message."""
        try:
            path = request.scope["path"].removeprefix(
                request.scope.get("root_path", "").rstrip("/")
            )
            if (request.method, path) == ("GET", HEALTH):
                return JSONResponse({"status": "ok"})
            body = await _body(request)
            answer = self._choose(request, path, body)
            # The laboratory waits for its disk; others are answered meanwhile.
            return await asyncio.to_thread(answer)
        except LabError as error:
            status, kind = next(v for e, v in ERRORS.items() if isinstance(error, e))
            headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
            headers |= {"Retry-After": "5"} if status == 429 else {}
            return JSONResponse({"error": {"kind": kind, "message": str(error)}}, status, headers)

    def _choose(self, request: Request, path: str, body: bytes) -> Callable[[], Response]:
        """What answers a request.

        Raises:
            LabError: Nothing does, or the token is not the right one.
        """
        method = request.method
        found = _JOB_PATH.match(path)
        if found and found.group(2) == "/approval" and method == "POST":
            self._require(request, self._staff_token)
            by = _parsed(Approval, body).by
            return lambda: _json(self._lab.approve(found.group(1), by))
        if self._token is not None:
            self._require(request, self._token)
        match (method, path):
            case ("GET", "/v1/lab"):
                return lambda: _json(self._lab.about())
            case ("GET", "/v1/jobs"):
                return lambda: Response(
                    _JOBS.dump_json(self._lab.jobs()), media_type="application/json"
                )
            case ("POST", "/v1/jobs"):
                order = _parsed(Order, body)
                return lambda: _json(self._lab.submit(order))
        if found and method == "GET":
            read = self._lab.result if found.group(2) else self._lab.job
            return lambda: _json(read(found.group(1)))
        if found and method == "DELETE" and not found.group(2):
            return lambda: _json(self._lab.cancel(found.group(1)))
        raise UnknownJob(f"{method} {path}: nothing here")

    def _require(self, request: Request, token: str | None) -> None:
        if token is None or not bears(request.headers.get("Authorization", ""), token):
            raise Unauthorised("send the right token as a bearer token")


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise LabError(f"a request holds at most {_MOST_BYTES} bytes")
    except ClientDisconnect as error:
        raise LabError("the client has gone") from error
    return bytes(body)


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


def _parsed(model: type[Any], body: bytes) -> Any:
    """What a body says.

    Raises:
        LabError: One line that names every problem.
    """
    from ray_matdesign.config.problems import describe, dotted

    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise LabError(f"the body is not JSON: {error}") from error
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problems = describe(error, model, data)
        told = [f"{dotted(path)}: {what}" if path else what for path, what in problems]
        raise LabError("; ".join(told)) from error
