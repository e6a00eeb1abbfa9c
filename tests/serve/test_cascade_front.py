"""CASCADE over HTTP, without Ray: a front whose solver is a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.cascade.task import Task
from ray_matdesign.serve.cascade_front import Front
from ray_matdesign.serve.sessions import Sessions

TOKEN = "outer-token"
ASKED = {"question": "Volume of fcc copper?", "unit": "Angstrom^3"}
SOLVED = {
    "solved": True, "answer": 11.76, "code": "answer = 11.76\n", "reason": "", "skills": [],
}  # fmt: skip


class Fixture:
    """A front, and what its solver was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token: str | None = TOKEN
        self.asked: list[tuple[Task, CascadeSettings]] = []
        self.accepted: list[Task] = []
        self.solution: dict[str, Any] = SOLVED
        self.failure: Exception | None = None
        self.most_open = 8
        self.gate: asyncio.Event | None = None

    async def solve(self, task: Task, how: CascadeSettings) -> AsyncIterator[dict[str, Any]]:
        self.asked.append((task, how))
        yield {"event": "step", "phase": "code", "kind": "began", "text": "code"}
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        yield {"event": "solution", "solution": self.solution}

    async def learn(self, task: Task, solution: dict[str, Any]) -> str:
        self.accepted.append(task)
        return f"learnt from {solution['answer']}"

    def use(self, act: Callable[[httpx.AsyncClient], Awaitable[Any]], **options: Any) -> Any:
        async def main() -> Any:
            front = Front(
                Sessions(self.folder),
                CascadeSettings(),
                self.solve,
                learn=self.learn,
                token=self.token,
                most_bytes=2000,
                most_open=self.most_open,
            )
            front.resume()

            async def asgi(scope: Any, receive: Any, send: Any) -> None:
                response = await front.answer(Request(scope, receive))
                await response(scope, receive, send)

            transport = httpx.ASGITransport(asgi, client=options.get("client", ("127.0.0.1", 5)))
            headers = options.get("headers", {"Authorization": f"Bearer {TOKEN}"})
            base = options.get("base", "http://127.0.0.1:8001")
            async with httpx.AsyncClient(
                transport=transport, base_url=base, headers=headers
            ) as client:
                try:
                    return await act(client)
                finally:
                    await front.close()

        return asyncio.run(main())


@pytest.fixture
def front(tmp_path: Path) -> Fixture:
    return Fixture(tmp_path / "sessions")


async def solved(client: httpx.AsyncClient, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Asks and reads the events to their end."""
    begun = await client.post("/sessions", json=body)
    assert begun.status_code == 201, begun.text
    events = await client.get(f"/sessions/{begun.json()['id']}/events")
    assert events.headers["Content-Type"].startswith("text/event-stream")
    data = [line[6:] for line in events.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in data]


def test_a_question_its_steps_and_its_answer(front: Fixture) -> None:
    events = front.use(lambda client: solved(client, ASKED))
    assert [event["event"] for event in events] == ["asked", "step", "solution"]
    assert [event["number"] for event in events] == [0, 1, 2]
    assert events[-1]["solution"]["answer"] == 11.76
    ((task, how),) = front.asked
    assert (task.question, task.unit, task.answer_type) == (*ASKED.values(), "number")
    assert how.mode == "deep"


def test_sessions_last_and_events_are_read_from_where_one_was(front: Fixture) -> None:
    front.use(lambda client: solved(client, {**ASKED, "mode": "native"}))
    assert front.asked[0][1].mode == "native"

    async def later(client: httpx.AsyncClient) -> tuple[Any, str]:
        (summary,) = (await client.get("/sessions")).json()
        rest = await client.get(f"/sessions/{summary['id']}/events?after=1")
        return summary, rest.text

    summary, rest = front.use(later)
    assert (summary["state"], summary["answer"]) == ("solved", 11.76)
    assert rest.startswith("id: 2\nevent: solution\n")
    assert len(front.asked) == 1


def test_a_session_left_in_the_middle_is_gone_on_with(front: Fixture) -> None:
    async def leave(client: httpx.AsyncClient) -> None:
        front.gate = asyncio.Event()
        begun = (await client.post("/sessions", json=ASKED)).json()
        while len((await client.get(f"/sessions/{begun['id']}")).json()["events"]) < 2:
            await asyncio.sleep(0.01)

    async def wait(client: httpx.AsyncClient) -> str:
        (summary,) = (await client.get("/sessions")).json()
        return (await client.get(f"/sessions/{summary['id']}/events")).text

    front.use(leave)
    front.gate = None
    assert "event: solution" in front.use(wait)
    assert front.asked[0][0] == front.asked[1][0]


def test_a_solver_that_breaks_is_told(front: Fixture) -> None:
    front.failure = RuntimeError("no\nsandbox")
    events = front.use(lambda client: solved(client, ASKED))
    assert events[-1]["event"] == "failed"
    assert events[-1]["reason"] == "RuntimeError: no sandbox"


def test_accept_improve_and_continue(front: Fixture) -> None:
    async def decide(client: httpx.AsyncClient) -> list[httpx.Response]:
        await solved(client, ASKED)
        name = (await client.get("/sessions")).json()[0]["id"]
        path = f"/sessions/{name}/decision"
        said = [
            {"decision": "accept"},
            {"decision": "accept"},
            {"decision": "improve"},
            {"decision": "improve", "text": "use ase"},
            {"decision": "continue", "text": "and of silver?"},
        ]
        answers = [await client.post(path, json=one) for one in said]
        for answer in answers[-2:]:
            await client.get(f"/sessions/{answer.json()['id']}/events")
        return answers

    answers = front.use(decide)
    assert [one.status_code for one in answers] == [200, 409, 422, 201, 201]
    assert answers[0].json()["decisions"] == ["accept"]
    assert len(front.accepted) == 1
    improved, continued = (task.question for task, _ in front.asked[1:])
    assert "answer = 11.76" in improved
    assert improved.endswith("What to improve: use ase")
    assert "Its answer: 11.76" in continued
    assert continued.endswith("Now go on: and of silver?")
    assert answers[3].json()["after"] == answers[4].json()["after"]


def test_an_answer_that_is_none_cannot_be_accepted(front: Fixture) -> None:
    front.solution = {**SOLVED, "solved": False, "answer": None, "reason": "no program"}

    async def decide(client: httpx.AsyncClient) -> httpx.Response:
        await solved(client, ASKED)
        name = (await client.get("/sessions")).json()[0]["id"]
        return await client.post(f"/sessions/{name}/decision", json={"decision": "accept"})

    assert front.use(decide).status_code == 409


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"question": ""}, 422, "question"),
        ({"question": "x", "moed": "deep"}, 422, "moed: unknown key"),
        ({"question": "x", "answer_type": "float"}, 422, "answer_type"),
        ({"question": "x" * 3000}, 413, "at most 2000 bytes"),
        ([], 422, ""),
    ],
)
def test_mistakes_are_told_and_nothing_is_begun(
    front: Fixture, body: Any, status: int, said: str
) -> None:
    answer = front.use(lambda client: client.post("/sessions", json=body))
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]
    assert front.asked == []


def test_what_is_not_there(front: Fixture) -> None:
    for path in ("/nothing", "/sessions/none", "/sessions/none/events", "/skills/none"):
        assert front.use(lambda client, path=path: client.get(path)).status_code == 404
    assert front.use(lambda client: client.get("/skills")).json() == []


def test_more_than_can_be_solved_is_refused(front: Fixture) -> None:
    front.most_open = 1

    async def two(client: httpx.AsyncClient) -> list[int]:
        front.gate = asyncio.Event()
        return [(await client.post("/sessions", json=ASKED)).status_code for _ in range(2)]

    assert front.use(two) == [201, 503]


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Bearer Ärger"])
def test_with_a_token_nothing_but_health_and_the_page_is_open(front: Fixture, given: str) -> None:
    headers = {"Authorization": given.encode()}
    away = {"headers": headers, "client": ("203.0.113.5", 5), "base": "http://lab.example"}
    for path in ("/sessions", "/skills", "/sessions/x/events"):
        answer = front.use(lambda client, path=path: client.get(path), **away)
        assert answer.status_code == 401
    assert front.use(lambda client: client.get("/health"), **away).status_code == 200
    page = front.use(lambda client: client.get("/"), **away)
    assert page.status_code == 200
    assert TOKEN not in page.text


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 200),
        ({"base": "http://localhost:8001"}, 200),
        ({"base": "http://[::1]:8001", "client": ("::1", 5)}, 200),
        ({"client": ("203.0.113.5", 5)}, 403),
        ({"base": "http://rebound.example:8001"}, 403),
        ({"headers": {"Origin": "https://evil.example"}}, 403),
        ({"headers": {"Origin": "http://127.0.0.1:8001"}}, 200),
        ({"headers": {"Origin": "null"}}, 403),
    ],
)
def test_without_a_token_only_this_machine_may_ask(
    front: Fixture, options: dict[str, Any], status: int
) -> None:
    front.token = None
    given = {"headers": {}, **options}
    assert front.use(lambda client: client.get("/sessions"), **given).status_code == status


def test_a_form_of_another_page_cannot_ask(front: Fixture) -> None:
    front.token = None
    answer = front.use(
        lambda client: client.post("/sessions", content=json.dumps(ASKED)), headers={}
    )
    assert answer.status_code == 415


def test_the_page_needs_nothing_from_elsewhere(front: Fixture) -> None:
    page = front.use(lambda client: client.get("/"))
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for outside in ("http://", "https://", "src=", "@import", "innerHTML"):
        assert outside not in page.text
