"""Who is let in: with a token, without one, from elsewhere, and with too much to say."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ray_matdesign.serve.saga_access import Access, NoToken, token_of

HERE, ELSEWHERE = ("127.0.0.1", 40000), ("192.0.2.7", 40000)
JSON = {"Content-Type": "application/json"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{len(body)} bytes")(scope, receive, send)


def ask(
    token: str | None,
    method: str = "GET",
    path: str = "/campaigns",
    *,
    client: tuple[str, int] = HERE,
    host: str = "127.0.0.1:8000",
    content: bytes = b"",
    **headers: str,
) -> httpx.Response:
    transport = httpx.ASGITransport(Access(echo, token=token, most_bytes=100), client=client)

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as http:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            return await http.request(method, path, content=content, headers=sent)

    return asyncio.run(asked())


def test_the_token_is_wanted_from_everyone() -> None:
    assert ask("secret").status_code == 401
    assert ask("secret").headers["WWW-Authenticate"] == "Bearer"
    assert ask("secret", Authorization="Bearer secret").status_code == 200
    assert ask("secret", Authorization="bearer  secret ").status_code == 200
    assert ask("secret", Authorization="Basic secret").status_code == 401
    assert ask("secret", Authorization="Bearer secrets").status_code == 401
    assert ask("secret", client=ELSEWHERE, Authorization="Bearer secret").status_code == 200


def test_documentation_and_health_tell_nothing_and_are_open() -> None:
    for path in ("/health", "/docs", "/openapi.json"):
        assert ask("secret", path=path, client=ELSEWHERE).status_code == 200
        assert ask(None, path=path, client=ELSEWHERE).status_code == 403
    assert ask("secret", "POST", "/health", Content_Type="application/json").status_code == 401


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000", "LOCALHOST:1"])
def test_without_a_token_this_machine_is_let_in(host: str) -> None:
    assert ask(None, host=host).status_code == 200


def test_without_a_token_nobody_else_is() -> None:
    assert ask(None, client=ELSEWHERE).status_code == 403
    # A name of another site that resolves to this machine, as a page of that site would use.
    assert ask(None, host="rebound.example.com").status_code == 403
    assert ask(None, host="127.0.0.1.example.com").status_code == 403
    assert ask(None, X_Forwarded_For="192.0.2.7").status_code == 403
    assert ask(None, Forwarded="for=192.0.2.7").status_code == 403


def test_only_json_is_taken() -> None:
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert ask(None, "POST", content=b"a=1", **form).status_code == 415
    assert ask(None, "POST", content=b"{}", Content_Type="text/plain").status_code == 415
    answer = ask(None, "POST", content=b"{}", Content_Type="application/json; charset=utf-8")
    assert answer.text == "2 bytes"


def test_large_bodies_are_refused_told_or_not() -> None:
    assert ask(None, "POST", content=100 * b" ", Content_Type="application/json").status_code == 200
    told = ask(None, "POST", content=101 * b" ", Content_Type="application/json")
    assert (told.status_code, told.json()["detail"]) == (413, "a request holds at most 100 bytes")

    async def pieces() -> httpx.Response:
        async def body():
            for _ in range(11):
                yield 10 * b" "

        transport = httpx.ASGITransport(Access(echo, token=None, most_bytes=100), client=HERE)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.post("/campaigns", content=body(), headers=JSON)

    assert asyncio.run(pieces()).status_code == 413


def test_a_token_that_is_not_there_is_told() -> None:
    assert token_of(None, {}) is None
    assert token_of("TOKEN", {"TOKEN": " secret\n"}) == "secret"
    with pytest.raises(NoToken, match="the environment variable TOKEN is not set"):
        token_of("TOKEN", {"TOKEN": " "})
