"""CASCADE on a real Ray Serve: recorded answers of a model, real sandboxes, real kills."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import eventually, patiently, ray_processes

from ray_matdesign.agents.cascade.prompts import CODE, code_request
from ray_matdesign.agents.cascade.settings import PromptSettings
from ray_matdesign.agents.cascade.task import Task
from ray_matdesign.agents.llm.cassette import Recorder
from ray_matdesign.agents.llm.scripted import Scripted
from ray_matdesign.agents.sandbox.box import SandboxUnavailable
from ray_matdesign.agents.sandbox.tiers import best_tier
from ray_matdesign.config.loading import ConfigError

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

TOKEN = "outer-token"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
QUICK = {"question": "Volume of the primitive cell of fcc copper, a = 3.61 Angstrom?", "seed": 1}
SLOW = {"question": "The same, slowly.", "seed": 2}
PROGRAMS = {
    QUICK["question"]: "answer = 3.61 ** 3 / 4",
    SLOW["question"]: "import time\ntime.sleep(3)\nanswer = 3.61 ** 3 / 4",
}


@dataclass(frozen=True)
class Served:
    url: str
    folder: Path

    def begin(self, body: dict[str, Any]) -> str:
        answer = httpx.post(f"{self.url}/sessions", json=body, headers=HEADERS, timeout=60.0)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def follow(self, name: str) -> Iterator[dict[str, Any]]:
        path = f"{self.url}/sessions/{name}/events"
        with httpx.stream("GET", path, headers=HEADERS, timeout=120.0) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line[6:])


def record(path: Path) -> None:
    """A cassette with the model's answers to both questions."""
    for asked in (QUICK, SLOW):
        task = Task(id="x", question=str(asked["question"]), answer_type="number",
                    seed=int(str(asked["seed"])))  # fmt: skip
        program = f"```python\n{PROGRAMS[task.question]}\n```"
        request = code_request(task, PromptSettings(), temperature=0.2, purpose=CODE)
        Recorder(Scripted([program]), path).ask(request)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    import ray
    from ray import serve

    from ray_matdesign.serve.cascade import app

    try:
        best_tier()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("cascade")
    record(folder / "cassette.jsonl")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_MATDESIGN_CASCADE_TOKEN", TOKEN)
        patiently(
            lambda: ray.init(
                address="local",
                num_cpus=3,
                object_store_memory=80 * 2**20,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
        )
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        application = app(
            {
                "directory": str(folder),
                "token_env": "RAY_MATDESIGN_CASCADE_TOKEN",
                "solver_cpus": 0.5,
                "workshop": {
                    "solver": {"mode": "native"},
                    "llm": {"replay": str(folder / "cassette.jsonl")},
                    "skills": str(folder / "skills"),
                    "preload": ["ray_matdesign.agents.cascade.harness"],
                },
            }
        )
        serve.run(application, route_prefix="/", name="cascade")
        yield Served(f"http://127.0.0.1:{port}", folder)
        serve.shutdown()
        ray.shutdown()
    assert eventually(lambda: not ray_processes())


def test_a_question_is_answered_and_its_steps_are_streamed(served: Served) -> None:
    events = list(served.follow(served.begin(QUICK)))
    assert [one["event"] for one in events] == ["asked", "step", "step", "step", "step", "solution"]
    assert [one["kind"] for one in events[1:4]] == ["began", "asked", "ran"]
    solution = events[-1]["solution"]
    assert solution["answer"] == pytest.approx(3.61**3 / 4)
    assert (solution["cost"]["requests"], solution["cost"]["runs"]) == (1, 1)


def test_steps_come_while_the_program_runs(served: Served) -> None:
    came = [(one, time.monotonic()) for one in served.follow(served.begin(SLOW))]
    times = {one.get("kind", one["event"]): moment for one, moment in came}
    assert times["solution"] - times["asked"] > 2.0
    assert came[-1][0]["solution"]["solved"]


def test_an_unknown_question_is_told_as_a_failure(served: Served) -> None:
    *_, last = served.follow(served.begin({"question": "Unheard of?"}))
    assert last["event"] == "failed"
    assert "no answer for solver.code" in last["reason"]


def test_an_accepted_answer_may_become_a_skill(served: Served) -> None:
    name = served.begin(QUICK)
    list(served.follow(name))
    answer = httpx.post(
        f"{served.url}/sessions/{name}/decision",
        json={"decision": "accept"},
        headers=HEADERS,
        timeout=120.0,
    )
    assert answer.status_code == 200, answer.text
    told = httpx.get(f"{served.url}/sessions/{name}", headers=HEADERS, timeout=60.0).json()
    assert told["events"][-1]["event"] == "learnt"
    assert told["events"][-1]["text"]


def test_the_token_is_wanted(served: Served) -> None:
    assert httpx.get(f"{served.url}/sessions", timeout=60.0).status_code == 401
    assert httpx.get(f"{served.url}/", timeout=60.0).status_code == 200
    assert httpx.get(f"{served.url}/health", timeout=60.0).status_code == 200


def test_a_solver_killed_at_work_costs_no_question(served: Served) -> None:
    name = served.begin(SLOW)
    events, killed = [], None
    for event in served.follow(name):
        events.append(event)
        if event.get("kind") == "asked" and killed is None:
            victims = [
                int(entry.name)
                for entry in Path("/proc").iterdir()
                if entry.name.isdecimal() and b"ServeReplica:cascade:solver" in _title(entry)
            ]
            (killed,) = victims
            os.kill(killed, signal.SIGKILL)
    assert events[-1]["event"] == "solution", events
    assert events[-1]["solution"]["solved"]
    assert any(one.get("kind") == "broke" for one in events)
    answers = served.folder / "solved" / name / "phases" / name / "2" / "answers.jsonl"
    assert len(answers.read_text().splitlines()) == 1


def _title(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_mistakes_are_told_before_anything_is_deployed() -> None:
    from ray_matdesign.serve.cascade import app

    with pytest.raises(ConfigError, match=r"args of the application: solverz: unknown key"):
        app({"directory": "x", "solverz": 2})


def test_the_shipped_file_is_valid() -> None:
    from ray_matdesign.config.yaml_text import parse
    from ray_matdesign.serve.cascade import app

    path = Path(__file__).parents[2] / "clusters" / "serve" / "cascade.yaml"
    (described,) = parse(path.read_text())["applications"]
    assert described["import_path"] == "ray_matdesign.serve.cascade:app"
    app(described["args"])
