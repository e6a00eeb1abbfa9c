"""CASCADE over HTTP: who may ask, what can be asked, and a page to do it with.

Without Ray: what solves is given as a function.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.cascade.task import Task
from ray_matdesign.agents.skills.library import Library
from ray_matdesign.agents.skills.lifecycle import Standing
from ray_matdesign.agents.tools.loopback import is_loopback
from ray_matdesign.config.problems import describe, dotted
from ray_matdesign.config.settings import Settings
from ray_matdesign.serve.bearer import bears
from ray_matdesign.serve.sessions import (
    DECISION,
    FAILED,
    LEARNT,
    Decision,
    NoSuchSession,
    Question,
    Session,
    Sessions,
    further,
)

Solve = Callable[[Task, CascadeSettings], AsyncIterator[dict[str, Any]]]
"""Yields events, ``{"event": "step", ...}``, and last ``{"event": "solution", ...}``."""

Learn = Callable[[Task, dict[str, Any]], Awaitable[str]]
"""Keeps an accepted solution, and says in a line what was learnt."""

Asked = TypeVar("Asked", bound=Settings)

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEARTBEAT_S = 15.0
_STANDING = TypeAdapter(Standing)


class _Refused(Exception):
    """A request that ends here."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Front:
    """Answers requests, and sees to it that every session is solved.

    Args:
        sessions: Those there are; the ones left in the middle are gone on with by :meth:`resume`.
        settings: Of the solvers.
        solve: Solves.
        learn: Told of accepted solutions.
        library: Skills to be shown.
        token: That clients must send; ``None`` lets everyone in who is on this machine.
        most_bytes: Of a request.
        most_open: Sessions solved at a time; more are refused.
    """

    def __init__(
        self,
        sessions: Sessions,
        settings: CascadeSettings,
        solve: Solve,
        *,
        learn: Learn | None = None,
        library: Library | None = None,
        token: str | None = None,
        most_bytes: int = 1_000_000,
        most_open: int = 8,
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        self._solve = solve
        self._learn = learn
        self._library = library
        self._token = token
        self._most_bytes = most_bytes
        self._most_open = most_open
        self._working: dict[str, asyncio.Task[None]] = {}
        self._page = resources.files("ray_matdesign.serve").joinpath("cascade.html").read_text()

    def resume(self) -> None:
        """Goes on with what an earlier process left; needs a running event loop."""
        for session in self._sessions.open():
            self._start(session)

    async def answer(self, request: Request) -> Response:
        """The answer to a request; errors are JSON, ``{"error": {"message": ...}}``."""
        try:
            return await self._answer(request)
        except NoSuchSession as error:
            return _error(404, str(error))
        except _Refused as refused:
            return _error(refused.status, str(refused))

    async def close(self) -> None:
        """Stops waiting for solvers; the sessions stay open."""
        for task in self._working.values():
            task.cancel()
        await asyncio.gather(*self._working.values(), return_exceptions=True)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"].removeprefix(request.scope.get("root_path", "").rstrip("/"))
        parts = tuple(part for part in path.split("/") if part)
        match request.method, parts:
            case "GET", ("health",):
                return JSONResponse({"state": "ok"})
            case "GET", ():
                self._check_place(request)
                headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
                return HTMLResponse(self._page, headers=headers)
        self._check_place(request)
        self._check_token(request)
        match request.method, parts:
            case "POST", ("sessions",):
                question = await self._body(request, Question)
                return JSONResponse(self._begin(question).summary(), 201)
            case "GET", ("sessions",):
                return JSONResponse(self._sessions.summaries())
            case "GET", ("sessions", name):
                session = self._sessions[name]
                return JSONResponse({**session.summary(), "events": session.events})
            case "GET", ("sessions", name, "events"):
                return self._events(self._sessions[name], request)
            case "POST", ("sessions", name, "decision"):
                decision = await self._body(request, Decision)
                return await self._decide(self._sessions[name], decision)
            case "GET", ("skills",):
                return JSONResponse(await asyncio.to_thread(self._skills))
            case "GET", ("skills", name):
                return JSONResponse(await asyncio.to_thread(self._skill, name))
        raise _Refused(404, f"{request.method} {path}: nothing here")

    def _begin(self, question: Question, after: str | None = None) -> Session:
        if len(self._working) >= self._most_open:
            raise _Refused(503, f"{len(self._working)} sessions are being solved; ask later")
        session = self._sessions.begin(question, after)
        self._start(session)
        return session

    def _start(self, session: Session) -> None:
        task = asyncio.create_task(self._work(session))
        self._working[session.name] = task
        task.add_done_callback(lambda _: self._working.pop(session.name, None))

    async def _work(self, session: Session) -> None:
        question = session.question
        settings = self._settings
        if question.mode is not None:
            settings = settings.model_copy(update={"mode": question.mode})
        try:
            async for event in self._solve(question.task(session.name), settings):
                told = dict(event)
                await session.add(told.pop("event"), **told)
            if session.end is None:
                await session.add(FAILED, reason="the solver ended without a solution")
        except Exception as error:  # noqa: BLE001 - whoever follows the session has to be told
            reason = " ".join(str(error).split())[:1000]
            await session.add(FAILED, reason=f"{type(error).__name__}: {reason}")

    def _events(self, session: Session, request: Request) -> Response:
        told = request.query_params.get("after") or request.headers.get("Last-Event-ID", "-1")
        if not told.lstrip("-").isdecimal():
            raise _Refused(400, f"after: {told!r:.40} is no number")
        events = _sent(session.follow(max(0, int(told) + 1)))
        return StreamingResponse(
            events, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def _decide(self, session: Session, decision: Decision) -> Response:
        if session.end is None:
            raise _Refused(409, f"session {session.name} is still being solved")
        if decision.decision != "accept":
            if not decision.text.strip():
                raise _Refused(422, f"text: say what to {decision.decision}")
            following = self._begin(further(session, decision), session.name)
            await session.add(DECISION, **decision.model_dump(), session=following.name)
            return JSONResponse(following.summary(), 201)
        if session.state != "solved":
            raise _Refused(409, f"session {session.name} has no answer to accept")
        if any(one["event"] == DECISION and one["decision"] == "accept" for one in session.events):
            raise _Refused(409, f"session {session.name} was accepted before")
        await session.add(DECISION, **decision.model_dump())
        if self._learn is not None:
            task = session.question.task(session.name)
            told = await self._learn(task, (session.end or {})["solution"])
            await session.add(LEARNT, text=told)
        return JSONResponse(session.summary())

    def _skills(self) -> list[dict[str, Any]]:
        if self._library is None:
            return []
        return [_plain(standing) for standing in self._library.standings()]

    def _skill(self, name: str) -> dict[str, Any]:
        if self._library is None:
            raise _Refused(404, f"no skill {name}")
        try:
            standing, source = self._library.standing(name), self._library.code(name)
        except KeyError as error:
            raise _Refused(404, f"no skill {name}") from error
        return {**_plain(standing), "source": source}

    async def _body(self, request: Request, kind: type[Asked]) -> Asked:
        if request.headers.get("Content-Type", "").partition(";")[0] != "application/json":
            raise _Refused(415, "send JSON, with Content-Type: application/json")
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > self._most_bytes:
                    raise _Refused(413, f"a request holds at most {self._most_bytes} bytes")
        except ClientDisconnect as error:
            raise _Refused(499, "the client has gone") from error
        try:
            return kind.model_validate_json(bytes(body), strict=True)
        except ValidationError as error:
            problems = describe(error, kind, _loaded(bytes(body)))
            told = "; ".join(f"{dotted(path)}: {what}" if path else what for path, what in problems)
            raise _Refused(422, told) from error

    def _check_place(self, request: Request) -> None:
        """Without a token, only this machine may ask, and no page of another origin."""
        if self._token is not None:
            return
        client = request.client.host if request.client is not None else ""
        places = [client, request.headers.get("Host", "")]
        if origin := request.headers.get("Origin"):
            places.append(urlsplit(origin).netloc)
        if not all(map(is_loopback, places)):
            raise _Refused(403, "without a token (token_env) only this machine may ask")

    def _check_token(self, request: Request) -> None:
        if self._token is None:
            return
        if not bears(request.headers.get("Authorization", ""), self._token):
            raise _Refused(401, "send the service's token as a bearer token")


async def _sent(events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Server-sent events; a comment now and then keeps proxies from hanging up."""
    waiting = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait([waiting], timeout=_HEARTBEAT_S)
            if not done:
                yield b": still at work\n\n"
                continue
            event = waiting.result()
            if event is None:
                return
            data = json.dumps(event)
            yield f"id: {event['number']}\nevent: {event['event']}\ndata: {data}\n\n".encode()
            waiting = asyncio.ensure_future(anext(events, None))
    finally:
        waiting.cancel()


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _plain(standing: Standing) -> dict[str, Any]:
    plain: dict[str, Any] = _STANDING.dump_python(standing, mode="json")
    return plain


def _error(status: int, message: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse({"error": {"message": message}}, status, headers)
