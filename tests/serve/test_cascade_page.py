"""The page in a real browser, before a front whose solver is a script."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, chromium
from starlette.requests import Request

from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.cascade.task import Task
from ray_matdesign.serve.cascade_front import Front
from ray_matdesign.serve.sessions import Sessions

TOKEN = "outer-token"


@dataclass
class Stage:
    """What the script's solver was asked, and when it may go on."""

    url: str = ""
    asked: list[Task] = field(default_factory=list)
    curtain: threading.Event = field(default_factory=threading.Event)


class Shelf:
    """A library with one skill, as the front sees it."""

    def standings(self) -> list[Any]:
        return [self.standing("fcc_volume-1")]

    def standing(self, name: str) -> Any:
        from ray_matdesign.agents.objectives.artifact import Check
        from ray_matdesign.agents.skills.lifecycle import Standing
        from ray_matdesign.agents.skills.skill import Status
        from ray_matdesign.agents.skills.statistics import Attribution

        if name != "fcc_volume-1":
            raise KeyError(name)
        return Standing(
            name, "fcc_volume", "1.0.0", None, Status.ACTIVE, "solved 3 of 4", True, "x", "y",
            "(a: float) -> float", "Volume of an fcc cell. <b>", 4, 3, Attribution(),
            (Check(name="two identical runs", passed=True),),
        )  # fmt: skip

    def code(self, name: str) -> str:
        return "def fcc_volume(a: float) -> float:\n    return a**3 / 4\n"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    import uvicorn

    acted = Stage()

    async def solve(task: Task, how: CascadeSettings) -> AsyncIterator[dict[str, Any]]:
        acted.asked.append(task)
        yield {"event": "step", "phase": "code", "kind": "asked", "text": "40 tokens <i>"}
        while not acted.curtain.is_set():
            await asyncio.sleep(0.02)
        cost = {"requests": 2, "prompt_tokens": 300, "completion_tokens": 40, "runs": 1,
                "seconds": 1.5}  # fmt: skip
        yield {
            "event": "solution",
            "solution": {"solved": True, "answer": 11.76, "code": "answer = 11.76\n",
                         "reason": "", "skills": ["fcc_volume-1"], "cost": cost},
        }  # fmt: skip

    async def learn(task: Task, solution: dict[str, Any]) -> str:
        return "learnt the skill fcc_volume-1"

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        response = await front.answer(Request(scope, receive))
        await response(scope, receive, send)

    front = Front(
        Sessions(tmp_path / "sessions"),
        CascadeSettings(),
        solve,
        learn=learn,
        library=Shelf(),  # type: ignore[arg-type]
        token=TOKEN,
    )
    config = uvicorn.Config(asgi, port=0, lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            threading.Event().wait(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        acted.url = f"http://127.0.0.1:{port}/"
        yield acted
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def browser(stage: Stage, tmp_path: Path) -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    with Browser(program, tmp_path / "profile", stage.url) as opened:
        opened.wait("#complaint", "bearer token")
        yield opened


def test_ask_watch_and_decide(stage: Stage, browser: Browser) -> None:
    browser.fill("#token", TOKEN)
    browser.wait("#skills", "fcc_volume 1.0.0")
    browser.fill("#question", "Volume of fcc copper?")
    browser.fill("#unit", "Angstrom^3")
    browser.click("#send")
    # The step is shown before there is an answer, and as text, whatever a model wrote.
    assert "40 tokens <i>" in browser.wait("#steps", "code asked")
    assert browser.text("#answer") == ""
    assert browser.text("#decide") == ""
    stage.curtain.set()
    assert browser.wait("#answer", "11.76") == "11.76 Angstrom^3"
    assert browser.text("#code").strip() == "answer = 11.76"
    assert "2 questions, 340 tokens, 1 runs, 1.5 s" in browser.text("#cost")
    browser.click("#accept")
    browser.wait("#learnt", "learnt the skill fcc_volume-1")
    browser.wait("#sessions", "solved: 11.76; accept")
    browser.click("#improve")
    browser.wait("#complaint", "say what to improve")
    browser.fill("#remark", "of silver")
    browser.click("#continue")
    browser.wait("#sessions", "accept, continue")
    assert stage.asked[1].question.endswith("Now go on: of silver")
    assert browser.text("#complaint") == ""


def test_skills_are_shown_with_their_evidence(stage: Stage, browser: Browser) -> None:
    browser.fill("#token", TOKEN)
    browser.wait("#skills", "active, solved 3 of 4")
    browser.click("#skills button")
    assert browser.wait("#skillname", "fcc_volume(a: float) -> float")
    assert browser.text("#skilltext") == "Volume of an fcc cell. <b>"
    evidence = browser.text("#evidence")
    assert "given to 4 programs, 3 of them solved their task" in evidence
    assert "passed: two identical runs" in evidence
    assert "return a**3 / 4" in browser.text("#source")
