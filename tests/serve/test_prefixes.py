"""Both applications of agents under a route of their own, as Serve's proxy hands requests on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.cascade.task import Task
from ray_matdesign.serve.cascade_front import Front
from ray_matdesign.serve.saga_access import Access
from ray_matdesign.serve.saga_api import build_api
from ray_matdesign.serve.sessions import Sessions

TOKEN = "outer-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
Use = Callable[[httpx.AsyncClient], Awaitable[Any]]


class Finished:
    """Campaigns of which there is one, and it is over."""

    def statuses(self) -> list[dict[str, Any]]:
        return [{"name": "first", "state": "finished"}]

    def state(self, name: str) -> str:
        return "finished"

    def events(self, name: str, after: int = 0) -> list[dict[str, Any]]:
        return [{"number": n, "kind": "stage"} for n in (1, 2) if n > after]


def use(asgi: Any, prefix: str, act: Use) -> Any:
    """The path stays whole, and the prefix is its beginning."""

    async def main() -> Any:
        transport = httpx.ASGITransport(asgi, root_path=prefix)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await act(client)

    return asyncio.run(main())


@pytest.fixture
def saga() -> Access:
    api = build_api(Finished(), 0.1)  # type: ignore[arg-type]
    return Access(api, token=TOKEN, most_bytes=1000)


def test_campaigns_and_their_events_are_where_the_prefix_says(saga: Access) -> None:
    async def act(client: httpx.AsyncClient) -> None:
        assert (await client.get("/saga/campaigns")).status_code == 401
        found = await client.get("/saga/campaigns", headers=BEARER)
        assert found.json() == [{"name": "first", "state": "finished"}]
        stream = await client.get(
            "/saga/campaigns/first/events",
            headers={**BEARER, "Accept": "text/event-stream", "Last-Event-ID": "1"},
        )
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert re.findall("^event: (.*)$", stream.text, flags=re.MULTILINE) == ["stage", "end"]
        assert (await client.get("/saga/nothing", headers=BEARER)).status_code == 404

    use(saga, "/saga", act)


def test_the_documentation_is_open_and_leads_to_itself(saga: Access) -> None:
    async def act(client: httpx.AsyncClient) -> None:
        assert (await client.get("/saga/health")).json()["status"] == "ok"
        page = await client.get("/saga/docs")
        assert page.status_code == 200
        assert "'/saga/openapi.json'" in page.text
        described = (await client.get("/saga/openapi.json")).json()
        assert described["servers"] == [{"url": "/saga"}]
        # Only whole paths are open, not whatever ends like them.
        assert (await client.get("/saga/campaigns/docs")).status_code == 401

    use(saga, "/saga", act)


def test_what_is_moved_by_a_slash_stays_beneath_the_prefix(saga: Access) -> None:
    async def act(client: httpx.AsyncClient) -> str:
        moved = await client.get("/saga/campaigns/", headers=BEARER)
        assert moved.status_code == 307
        return moved.headers["Location"]

    assert use(saga, "/saga", act) == "http://127.0.0.1/saga/campaigns"


def test_a_page_its_questions_and_their_events_are_beneath_the_prefix(tmp_path: Path) -> None:
    async def solve(task: Task, how: CascadeSettings) -> AsyncIterator[dict[str, Any]]:
        yield {"event": "step", "phase": "code", "kind": "began", "text": "code"}
        solution = {"solved": True, "answer": 11.76, "code": "answer = 11.76\n"}
        yield {"event": "solution", "solution": solution}

    async def act(client: httpx.AsyncClient) -> None:
        for page in ("/cascade", "/cascade/"):
            found = await client.get(page)
            assert found.status_code == 200
            # Whatever the page asks for begins with the path that it was found at.
            assert set(re.findall(r"fetch\((\w+)", found.text)) == {"base"}
            assert re.search(r"const base = location\.pathname\b", found.text)
            assert not re.search(r"(?:src|href|action)=", found.text)
        assert (await client.get("/cascade/health")).json() == {"state": "ok"}
        assert (await client.get("/cascade/sessions")).status_code == 401
        asked = {"question": "Volume of fcc copper?"}
        begun = await client.post("/cascade/sessions", json=asked, headers=BEARER)
        assert begun.status_code == 201
        name = begun.json()["id"]
        events = await client.get(f"/cascade/sessions/{name}/events", headers=BEARER)
        kinds = re.findall("^event: (.*)$", events.text, flags=re.MULTILINE)
        assert kinds == ["asked", "step", "solution"]

    front: list[Front] = []

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if not front:
            front.append(Front(Sessions(tmp_path), CascadeSettings(), solve, token=TOKEN))
        response = await front[0].answer(Request(scope, receive))
        await response(scope, receive, send)

    use(asgi, "/cascade", act)
