"""The gate before a model's server, without Ray."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from tiny_server import TinyServer

from ray_matdesign.config.llm import ServedModelSettings
from ray_matdesign.serve.gate import Gate

KEY, TOKEN = "inner-key", "outer-token"


class Fixture:
    """A gate before a server, and what it reported."""

    def __init__(self, server: TinyServer) -> None:
        self.server = server
        self.alive = True
        self.token: str | None = TOKEN
        self.settings = ServedModelSettings(max_request_bytes=2000, request_timeout_s=60.0)
        self.reports: list[tuple[int, Mapping[str, int]]] = []

    def ask(self, use: Callable[[httpx.AsyncClient], Awaitable[Any]], root_path: str = "") -> Any:
        async def main() -> Any:
            gate = Gate(
                self.settings,
                url=self.server.url.removesuffix("/v1"),
                key=KEY,
                token=self.token,
                alive=lambda: self.alive,
                report=lambda status, seconds, tokens: self.reports.append((status, tokens)),
            )

            async def asgi(scope: Any, receive: Any, send: Any) -> None:
                response = await gate.answer(Request(scope, receive))
                await response(scope, receive, send)

            transport = httpx.ASGITransport(asgi, root_path=root_path)
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://gate", headers=headers
            ) as client:
                try:
                    return await use(client)
                finally:
                    await gate.close()

        return asyncio.run(main())

    def post(self, text: str, **more: object) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": text}], "model": "tiny", **more}
        body.setdefault("max_tokens", 100)
        response = self.ask(lambda client: client.post("/v1/chat/completions", json=body))
        assert isinstance(response, httpx.Response)
        return response

    def get(self, path: str, **options: Any) -> httpx.Response:
        response = self.ask(lambda client: client.get(path, **options))
        assert isinstance(response, httpx.Response)
        return response


@pytest.fixture
def gate() -> Iterator[Fixture]:
    with TinyServer(["tiny"], key=KEY) as server:
        yield Fixture(server)


def error(response: httpx.Response) -> tuple[int, str]:
    told = response.json()["error"]
    assert told["code"] == response.status_code
    return response.status_code, told["type"]


def test_answers_pass_as_they_are_and_tokens_are_counted(gate: Fixture) -> None:
    response = gate.post("say iron and boron", tools=[{"type": "function"}], temperature=0.5)
    assert response.json()["choices"][0]["message"]["content"] == "iron and boron"
    (seen,) = gate.server.seen
    assert seen["body"]["tools"] == [{"type": "function"}]
    assert seen["headers"]["Authorization"] == f"Bearer {KEY}"
    assert gate.reports == [(200, {"prompt": 4, "completion": 3})]


def test_streams_pass_and_tokens_are_counted(gate: Fixture) -> None:
    response = gate.post("say a b", stream=True, stream_options={"include_usage": True})
    events = [line for line in response.text.splitlines() if line.startswith("data: {")]
    texts = [json.loads(event[6:])["choices"] for event in events]
    assert [choices[0]["delta"].get("content") for choices in texts[:2]] == ["a", " b"]
    assert response.text.endswith("data: [DONE]\n\n")
    assert gate.reports == [(200, {"prompt": 3, "completion": 2})]


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Bearer Ärger"])
def test_without_the_token_there_is_nothing_but_health(gate: Fixture, given: str) -> None:
    headers = {"Authorization": given.encode()}
    for path in ("/v1/models", "/metrics"):
        assert error(gate.get(path, headers=headers)) == (401, "unauthorized")
    assert gate.get("/health", headers=headers).status_code == 200
    assert gate.server.seen == []


def test_an_endpoint_without_a_token_is_open(gate: Fixture) -> None:
    gate.token = None
    response = gate.get("/v1/models", headers={"Authorization": ""})
    assert response.json() == {"data": [{"id": "tiny"}]}


def test_metrics_of_the_server_are_passed_on(gate: Fixture) -> None:
    response = gate.get("/metrics")
    assert response.text == "vllm:num_requests_running 0.0\n"
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("path", ["/", "/v1/load_lora_adapter", "/sleep", "/v1/models/../../x"])
def test_what_is_for_operators_is_not_passed_on(gate: Fixture, path: str) -> None:
    assert error(gate.get(path)) == (404, "not_found")
    assert error(gate.ask(lambda client: client.post(path, content=b"{}"))) == (404, "not_found")


def test_the_prefix_of_a_route_is_taken_off(gate: Fixture) -> None:
    found = gate.ask(lambda client: client.get("/llm/v1/models"), root_path="/llm")
    assert found.status_code == 200


def test_a_request_that_is_too_large_is_refused(gate: Fixture) -> None:
    assert error(gate.post("say " + "x" * 3000)) == (413, "too_large")

    async def unannounced() -> Any:
        for _ in range(30):
            yield b"x" * 100

    def send(client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
        return client.post("/v1/chat/completions", content=unannounced())

    assert error(gate.ask(send)) == (413, "too_large")
    assert gate.server.seen == []


def test_an_answer_that_takes_too_long_is_given_up(gate: Fixture) -> None:
    gate.settings = gate.settings.model_copy(update={"request_timeout_s": 5.0})
    assert error(gate.post("wait 60 late")) == (504, "timeout")
    # The stream begins at once and has its first word well before its time is up.
    response = gate.post("wait 2 one two three four", stream=True)
    *_, last = (line for line in response.text.splitlines() if line.startswith("data:"))
    assert json.loads(last[5:])["error"]["type"] == "timeout"
    assert [status for status, _ in gate.reports] == [504, 504]


def test_errors_of_the_server_pass_as_they_are(gate: Fixture) -> None:
    response = gate.post("fail 422 1")
    assert (response.status_code, response.json()) == (422, {"error": {"message": "busy"}})


def test_a_server_that_is_gone_is_told_from_one_that_broke_off(gate: Fixture) -> None:
    gate.server.shutdown()
    gate.server.server_close()
    assert error(gate.post("say yes")) == (503, "model_server_silent")
    gate.alive = False
    response = gate.post("say yes")
    assert error(response) == (503, "model_server_died")
    assert response.headers["Retry-After"] == "1"
