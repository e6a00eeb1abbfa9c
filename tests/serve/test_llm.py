"""The application on a real Ray Serve, with a small server in vLLM's place."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from processes import eventually, patiently, ray_processes

from ray_matdesign.agents.llm.openai_client import OpenAiClient
from ray_matdesign.agents.llm.protocol import Answer, Message, Request, Unreachable
from ray_matdesign.config.llm import EndpointSettings
from ray_matdesign.config.loading import ConfigError

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

TINY = [sys.executable, str(Path(__file__).with_name("tiny_server.py"))]
TOKEN = "outer-token"
QUESTION = Request("planner", "1", (Message("user", "say iron and boron"),), max_tokens=200)


@dataclass(frozen=True)
class Served:
    url: str
    pid_file: Path

    @property
    def child(self) -> int:
        """The model's server that was started last."""
        return int(self.pid_file.read_text().split()[-1])

    def client(self, **settings: object) -> OpenAiClient:
        quick = {"url": self.url, "token_env": "T", "backoff_s": 0.2, **settings}
        return OpenAiClient(EndpointSettings(**quick), {"T": TOKEN})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    import ray
    from ray import serve

    from ray_matdesign.serve.llm import app

    pid_file = tmp_path_factory.mktemp("serve") / "pids"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_MATDESIGN_LLM_TOKEN", TOKEN)
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
                "model": "toy",
                "command": TINY,
                "options": {"pid-file": str(pid_file)},
                "token_env": "RAY_MATDESIGN_LLM_TOKEN",
                "max_request_bytes": 20_000,
                "request_timeout_s": 120.0,
                "health_period_s": 0.5,
                "cpus": 0.5,
            }
        )
        serve.run(application, route_prefix="/", name="llm")
        yield Served(f"http://127.0.0.1:{port}/v1", pid_file)
        child = int(pid_file.read_text().split()[-1])
        serve.shutdown()
        ray.shutdown()
    assert eventually(lambda: not ray_processes())
    assert eventually(lambda: not Path(f"/proc/{child}").exists())


def streamed(llm: OpenAiClient, request: Request) -> tuple[list[tuple[float, str]], Answer]:
    """Pieces with the time at which each came, and the whole."""
    pieces = []
    writing = llm.stream(request)
    while True:
        try:
            piece = next(writing)
        except StopIteration as end:
            return pieces, end.value
        pieces.append((time.monotonic(), piece))


def test_it_answers(served: Served) -> None:
    with served.client() as llm:
        answer = llm.ask(QUESTION)
    assert (answer.text, answer.model, answer.completion_tokens) == ("iron and boron", "toy", 3)


def test_schemas_reach_the_model(served: Served) -> None:
    schema = {"type": "object", "properties": {"hard": {"type": "boolean"}}}
    asked = replace(QUESTION, messages=(Message("user", "hard?"),), schema=schema)
    with served.client() as llm:
        assert json.loads(llm.ask(asked).text) == {"hard": True}


def test_pieces_of_a_stream_come_while_it_is_written(served: Served) -> None:
    asked = replace(QUESTION, messages=(Message("user", "wait 1 one two three"),))
    with served.client() as llm:
        pieces, answer = streamed(llm, asked)
    assert [piece for _, piece in pieces] == ["one", " two", " three"]
    assert answer.text == "one two three"
    # Two seconds lie between the first and the last; together, they would come at once.
    assert pieces[-1][0] - pieces[0][0] > 1.0


def test_the_token_is_wanted(served: Served) -> None:
    endpoint = EndpointSettings(url=served.url, model="toy", retries=0)
    with OpenAiClient(endpoint, {}) as llm, pytest.raises(Unreachable, match="status 401"):
        llm.ask(QUESTION)
    assert httpx.get(served.url.replace("/v1", "/health"), timeout=60.0).status_code == 200


def test_large_requests_are_refused(served: Served) -> None:
    asked = replace(QUESTION, messages=(Message("user", "say " + "x" * 30_000),))
    with served.client() as llm, pytest.raises(Unreachable, match="413: a request holds at most"):
        llm.ask(asked)


def test_a_kill_in_mid_request_is_a_typed_error_or_a_retry_away(served: Served) -> None:
    slow = replace(QUESTION, messages=(Message("user", "wait 20 late but whole"),))
    outcomes: dict[str, object] = {}

    def ask(name: str, retries: int, stream: bool) -> None:
        with served.client(retries=retries, model="toy") as llm:
            try:
                outcomes[name] = streamed(llm, slow)[1] if stream else llm.ask(slow)
            except Unreachable as error:
                outcomes[name] = error

    threads = [
        threading.Thread(target=ask, args=("once", 0, False)),
        threading.Thread(target=ask, args=("patient", 30, False)),
        threading.Thread(target=ask, args=("stream", 0, True)),
    ]
    killed = served.child
    for thread in threads:
        thread.start()
    time.sleep(8.0)  # until all have reached the child
    os.kill(killed, signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert isinstance(outcomes["once"], Unreachable)
    assert "status 503: the model's server died; ask again" in str(outcomes["once"])
    assert isinstance(outcomes["stream"], Unreachable)
    assert "broke off: the model's server died; ask again" in str(outcomes["stream"])
    assert isinstance(outcomes["patient"], Answer)
    assert outcomes["patient"].text == "late but whole"
    assert served.child != killed


def test_mistakes_are_told_before_anything_is_deployed() -> None:
    from ray_matdesign.serve.llm import app

    with pytest.raises(ConfigError, match=r"args of the application: max_contxt: unknown key"):
        app({"max_contxt": 5})
