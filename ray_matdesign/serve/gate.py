"""What stands before a model's server: who may ask, how much, for how long, and what went wrong.

Requests and answers are passed on as they are, so everything that the server knows works: JSON
schemas, tool calls, streaming.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from ray_matdesign.config.llm import ServedModelSettings
from ray_matdesign.serve.bearer import bears

HEALTH = "/health"
ROUTES = {
    ("GET", HEALTH),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
}
"""What is passed on; the server has more, some of it only for its operator."""

_DEATH_S = 1.0
_POLL_S = 0.05

Report = Callable[[int, float, Mapping[str, int]], None]
"""Told of each finished request: status, seconds, and tokens by kind where they are known."""


class _Refused(Exception):
    """A request that ends here, with a status and an error of OpenAI's form."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind

    def body(self) -> dict[str, Any]:
        error = {"message": str(self), "type": self.kind, "code": self.status}
        return {"error": error}


class Gate:
    """Passes requests on to a model's server.

    Args:
        settings: Limits.
        url: Of the server.
        key: That the server wants.
        token: That clients must send; ``None`` lets everyone in.
        alive: Whether the server's process is there.
        report: Told of each finished request.
    """

    def __init__(
        self,
        settings: ServedModelSettings,
        *,
        url: str,
        key: str,
        token: str | None,
        alive: Callable[[], bool],
        report: Report,
    ) -> None:
        self._settings = settings
        self._token = token
        self._alive = alive
        self._report = report
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=None,  # the deadline of the whole request counts
            limits=httpx.Limits(max_connections=None),
        )

    async def healthy(self) -> bool:
        """Whether the server is there and well; waits for as long as it is silent."""
        if not self._alive():
            return False
        try:
            return (await self._http.get(HEALTH)).is_success
        except httpx.TransportError:
            return False

    async def answer(self, request: Request) -> Response:
        """The server's answer, or an error of OpenAI's form."""
        begun = time.monotonic()
        try:
            return await self._pass_on(request, begun)
        except _Refused as refused:
            self._report(refused.status, time.monotonic() - begun, {})
            headers = {"Retry-After": "1"} if refused.status == 503 else {}
            if refused.status == 401:
                headers["WWW-Authenticate"] = "Bearer"
            return JSONResponse(refused.body(), refused.status, headers)

    async def close(self) -> None:
        """Ends the connections."""
        await self._http.aclose()

    async def _pass_on(self, request: Request, begun: float) -> Response:
        path = request.scope["path"].removeprefix(request.scope.get("root_path", "").rstrip("/"))
        if (request.method, path) not in ROUTES:
            raise _Refused(404, "not_found", f"{request.method} {path}: nothing here")
        if path != HEALTH:
            self._check_token(request)
        body = await self._body(request)
        deadline = asyncio.get_running_loop().time() + self._settings.request_timeout_s
        passed = self._http.build_request(
            request.method, path, content=body, headers={"Content-Type": "application/json"}
        )
        response = await self._in_time(self._http.send(passed, stream=True), deadline)
        kind = response.headers.get("Content-Type", "application/json")
        if kind.startswith("text/event-stream"):
            pieces = self._pieces(response, deadline, begun)
            return StreamingResponse(pieces, response.status_code, media_type="text/event-stream")
        try:
            content = await self._in_time(response.aread(), deadline)
        finally:
            await response.aclose()
        self._report(response.status_code, time.monotonic() - begun, _usage(content))
        return Response(content, response.status_code, headers={"Content-Type": kind})

    def _check_token(self, request: Request) -> None:
        if self._token is None:
            return
        if not bears(request.headers.get("Authorization", ""), self._token):
            raise _Refused(401, "unauthorized", "send the endpoint's token as a bearer token")

    async def _body(self, request: Request) -> bytes:
        most = self._settings.max_request_bytes
        too_large = _Refused(413, "too_large", f"a request holds at most {most} bytes")
        told = request.headers.get("Content-Length", "0")
        if told.isdecimal() and int(told) > most:
            raise too_large
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_large
        except ClientDisconnect as error:
            raise _Refused(499, "disconnected", "the client has gone") from error
        return bytes(body)

    async def _in_time(self, waited: Any, deadline: float) -> Any:
        try:
            async with asyncio.timeout_at(deadline):
                return await waited
        except TimeoutError as error:
            raise self._too_long() from error
        except httpx.TransportError as error:
            raise await self._lost() from error

    async def _pieces(
        self, response: httpx.Response, deadline: float, begun: float
    ) -> AsyncIterator[bytes]:
        """A streamed answer; what breaks it off is its last event."""
        status, last = response.status_code, b""
        pieces = response.aiter_raw()
        try:
            while True:
                try:
                    piece = await self._in_time(anext(pieces), deadline)
                except StopAsyncIteration:
                    break
                last = (last + piece)[-8192:]
                yield piece
        except _Refused as refused:
            status = refused.status
            # A blank line first ends the event that may have been under way.
            yield b"\n\ndata: " + json.dumps(refused.body()).encode() + b"\n\n"
        finally:
            await response.aclose()
            self._report(status, time.monotonic() - begun, _usage_of_events(last))

    def _too_long(self) -> _Refused:
        limit = self._settings.request_timeout_s
        return _Refused(504, "timeout", f"no whole answer within {limit:g} s")

    async def _lost(self) -> _Refused:
        # A process that dies loses its connections first, and is gone a moment later.
        until = time.monotonic() + _DEATH_S
        while self._alive() and time.monotonic() < until:
            await asyncio.sleep(_POLL_S)
        if self._alive():
            return _Refused(503, "model_server_silent", "the model's server broke off; ask again")
        return _Refused(503, "model_server_died", "the model's server died; ask again")


def _usage(content: bytes) -> dict[str, int]:
    """Tokens that an answer says it took."""
    try:
        told = json.loads(content)["usage"]
        return {"prompt": int(told["prompt_tokens"]), "completion": int(told["completion_tokens"])}
    except (ValueError, KeyError, TypeError):  # errors, lists of models, metrics
        return {}


def _usage_of_events(last: bytes) -> dict[str, int]:
    """Tokens told by the end of a streamed answer, if it tells them."""
    for line in reversed(last.splitlines()):
        if line.startswith(b"data:") and (usage := _usage(line[5:])):
            return usage
    return {}
