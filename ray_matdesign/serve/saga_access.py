"""Who may ask for campaigns, and how much at once: what a request meets first."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ray_matdesign.agents.tools.loopback import is_loopback
from ray_matdesign.serve.bearer import bears

OPEN = frozenset({"/health", "/docs", "/docs/oauth2-redirect", "/openapi.json", "/redoc"})
"""Answered without a token: they tell nothing of any campaign."""


class NoToken(ValueError):
    """The environment of a replica lacks the token that clients are to send."""


def token_of(variable: str | None, environment: Mapping[str, str]) -> str | None:
    """The token clients must send; ``None`` where none is asked for.

    Args:
        variable: Name of the environment variable that holds it.
        environment: Of the process.

    Raises:
        NoToken: The variable is not set.
    """
    if variable is None:
        return None
    token = environment.get(variable, "").strip()
    if not token:
        raise NoToken(
            f"token_env: the environment variable {variable} is not set where the replica runs"
        )
    return token


class Access:
    """An ASGI application that lets requests through to another, or refuses them.

    With a token, requests must bear it. Without one, they must come from this machine's loopback
    address and be addressed to it by name, as a page of another site that a browser has open could
    otherwise speak for the user (a name that resolves to 127.0.0.1 is still another site's), and
    must not have come by way of a proxy.

    Args:
        app: Whom requests are for.
        token: That requests must bear; ``None`` lets the loopback address in.
        most_bytes: Largest body.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, most_bytes: int) -> None:
        self._app = app
        self._token = token
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused is None:
            body = await self._body(scope, receive)
            if body is not None:
                await self._app(scope, _again(body, receive), send)
                return
            refused = _error(413, f"a request holds at most {self._most_bytes} bytes")
        await refused(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        if scope["type"] != "http":
            return _error(403, "only HTTP is spoken here")
        headers = _headers(scope)
        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
        open_to_all = scope["method"] in ("GET", "HEAD") and path in OPEN
        if self._token is None:
            if not _is_local(scope, headers):
                return _error(403, "without token_env, only this machine itself is answered")
        elif not open_to_all and not bears(headers.get("authorization", ""), self._token):
            refused = _error(401, "send the service's token as a bearer token")
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused
        if scope["method"] in ("POST", "PUT", "PATCH"):
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                # A page of another site can send forms and plain text unasked, but no JSON.
                return _error(415, "send application/json")
        return None

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; ``None`` if it is too large."""
        told = _headers(scope).get("content-length", "0")
        if told.isdecimal() and int(told) > self._most_bytes:
            return None
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":  # the client has gone; the application finds out
                return bytes(body)
            body += message.get("body", b"")
            if len(body) > self._most_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read, and then whatever comes."""
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


def _headers(scope: Scope) -> dict[str, str]:
    pairs = scope.get("headers", ())
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}


def _is_local(scope: Scope, headers: Mapping[str, str]) -> bool:
    if "forwarded" in headers or "x-forwarded-for" in headers:
        return False
    client = scope.get("client")
    near = client is not None and is_loopback(client[0])
    return near and is_loopback(headers.get("host", ""))


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"detail": message}, status)
