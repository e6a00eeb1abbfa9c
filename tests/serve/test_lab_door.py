"""The laboratory's HTTP interface, without Ray: the client against the door, through ASGI."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

HERE = Path(__file__).parents[1] / "agents" / "laboratory"
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from lab_fixtures import batio3, laboratory, order  # noqa: E402 - found by the path above

from ray_matdesign.agents.laboratory.client import HttpLab  # noqa: E402
from ray_matdesign.agents.laboratory.interface import (  # noqa: E402
    KeyReused,
    LabError,
    LabUnreachable,
    NotReady,
    Unauthorised,
    UnknownJob,
    Unsafe,
)
from ray_matdesign.agents.laboratory.messages import Pattern, Sample, Xrd  # noqa: E402
from ray_matdesign.serve.lab_door import LabDoor  # noqa: E402

TOKEN, STAFF = "orders", "approves"


class Through(httpx.BaseTransport):
    """Takes requests to a door inside this process."""

    def __init__(self, door: LabDoor, root_path: str = "") -> None:
        self._root_path = root_path

        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            response = await door.answer(Request(scope, receive))
            await response(scope, receive, send)

        self._asgi = asgi

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def main() -> httpx.Response:
            inner = httpx.ASGITransport(self._asgi, root_path=self._root_path)
            async with httpx.AsyncClient(transport=inner) as client:
                passed = client.build_request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    content=request.read(),
                )
                answer = await client.send(passed)
            return httpx.Response(
                answer.status_code, headers=answer.headers, content=answer.content
            )

        return asyncio.run(main())


@pytest.fixture
def there(tmp_path: Path) -> Iterator[tuple[Any, Any, Any]]:
    lab, clock = laboratory(tmp_path)
    door = LabDoor(lab, token=TOKEN, staff_token=STAFF)
    yield lab, clock, door
    lab.close()


def client(door: LabDoor, token: str | None = TOKEN) -> HttpLab:
    return HttpLab("http://lab", token, transport=Through(door))


def test_an_experiment_over_http_is_the_one_in_process(there: Any) -> None:
    lab, clock, door = there
    http = client(door)
    assert http.about() == lab.about()
    job = http.submit(order("s", batio3()))
    assert http.submit(order("s", batio3())) == job
    with pytest.raises(NotReady, match="job-000001 is running"):
        http.result(job.id)
    clock.advance(100.0)
    made = http.result(job.id)
    assert isinstance(made, Sample)
    seen = http.submit(order("x", Xrd(sample=made.sample)))
    clock.advance(10.0)
    pattern = http.result(seen.id)
    assert isinstance(pattern, Pattern)
    assert pattern == lab.result(seen.id)
    assert http.jobs() == lab.jobs()
    assert http.cancel(seen.id).state == "done"


def test_errors_are_the_same_over_http(there: Any) -> None:
    _, _, door = there
    http = client(door)
    with pytest.raises(Unsafe, match="1500 C is beyond the furnace's limit of 1400 C"):
        http.submit(order("s", batio3(1500.0)))
    with pytest.raises(UnknownJob, match="no job 'job-000099'"):
        http.job("job-000099")
    with pytest.raises(UnknownJob, match="nothing here"):
        http.job("../x")
    http.submit(order("s", batio3()))
    with pytest.raises(KeyReused):
        http.submit(order("s", batio3(900.0)))


def test_tokens_of_those_who_order_do_not_approve(there: Any) -> None:
    _, _, door = there
    job = client(door).submit(order("s", batio3(900.0, barium="BaO2")))
    assert job.state == "awaiting_approval"
    for token in (TOKEN, None, "wrong", "Ärger"):
        with pytest.raises((Unauthorised, UnicodeEncodeError)):
            client(door, token).approve(job.id, "an agent")
    assert client(door).job(job.id).state == "awaiting_approval"
    assert client(door, STAFF).approve(job.id, "R. Hooke").state == "running"
    with pytest.raises(Unauthorised, match="send the right token"):
        client(door, None).about()


def test_without_a_staff_token_nobody_approves(there: Any) -> None:
    lab, _, _ = there
    door = LabDoor(lab, token=None, staff_token=None)
    job = client(door, None).submit(order("s", batio3(900.0, barium="BaO2")))
    with pytest.raises(Unauthorised):
        client(door, None).approve(job.id, "anyone")


def raw(door: LabDoor, method: str, path: str, **options: Any) -> httpx.Response:
    with httpx.Client(transport=Through(door), base_url="http://lab") as http:
        return http.request(method, path, headers={"Authorization": f"Bearer {TOKEN}"}, **options)


def test_bad_requests_are_told_what_is_wrong(there: Any) -> None:
    lab, _, door = there
    response = raw(door, "POST", "/v1/jobs", json={"key": "s", "work": {"kind": "synthesis"}})
    assert response.status_code == 400
    told = response.json()["error"]
    assert told["kind"] == "invalid"
    assert "work.target: missing" in told["message"]
    hot = order("s", batio3()).model_dump(mode="json")
    hot["work"]["approved"] = True  # nobody may say so of his own order
    assert "approved: unknown key" in raw(door, "POST", "/v1/jobs", json=hot).text
    assert "not JSON" in raw(door, "POST", "/v1/jobs", content=b"{").text
    assert "at most 200000 bytes" in raw(door, "POST", "/v1/jobs", content=b"x" * 300_000).text
    assert raw(door, "GET", "/v1/elsewhere").status_code == 404
    assert raw(door, "GET", "/health").json() == {"status": "ok"}
    assert lab.jobs() == []


def test_the_prefix_of_a_route_is_taken_off(there: Any) -> None:
    _, _, door = there
    http = HttpLab("http://lab/lab", TOKEN, transport=Through(door, root_path="/lab"))
    assert http.jobs() == []


def test_a_laboratory_that_is_away_is_told_from_one_that_refuses() -> None:
    with pytest.raises(LabUnreachable, match=r"127\.0\.0\.1:9"):
        HttpLab("http://127.0.0.1:9", timeout_s=2.0).jobs()
    starting = httpx.MockTransport(lambda request: httpx.Response(503, text="starting"))
    with pytest.raises(LabUnreachable, match="status 503"):
        HttpLab("http://lab", transport=starting).jobs()
    other = httpx.MockTransport(lambda request: httpx.Response(200, text='{"a": 1}'))
    with pytest.raises(LabError, match="not an answer of a laboratory"):
        HttpLab("http://lab", transport=other).jobs()
