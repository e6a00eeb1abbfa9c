from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import replace

import pytest
from tiny_server import TinyServer

from ray_matdesign.agents.llm.openai_client import OpenAiClient
from ray_matdesign.agents.llm.protocol import Answer, Message, Request, Unreachable
from ray_matdesign.config.llm import EndpointSettings

TOKEN = "kept-secret-1234"


def client(server: TinyServer, **settings: object) -> OpenAiClient:
    quick = {"url": server.url, "backoff_s": 0.01, "timeout_s": 60.0, **settings}
    return OpenAiClient(EndpointSettings(**quick), {"LLM_TOKEN": TOKEN})


def question(text: str, **changes: object) -> Request:
    return replace(Request("planner", "1", (Message("user", text),)), **changes)


def whole(llm: OpenAiClient, request: Request) -> tuple[list[str], Answer]:
    pieces = []
    writing = llm.stream(request)
    while True:
        try:
            pieces.append(next(writing))
        except StopIteration as end:
            return pieces, end.value


def test_an_answer_comes_with_its_cost(server: TinyServer) -> None:
    with client(server) as llm:
        answer = llm.ask(question("say iron and boron"))
    assert (answer.text, answer.model, answer.finish) == ("iron and boron", "tiny", "stop")
    assert (answer.prompt_tokens, answer.completion_tokens) == (4, 3)
    assert answer.seconds > 0.0


def test_all_that_was_asked_for_is_sent(server: TinyServer) -> None:
    schema = {"type": "object", "properties": {"hard": {"type": "boolean"}}}
    messages = (Message("system", "Be brief."), Message("tool", "42"), Message("user", "answer"))
    asked = Request("planner.first", "1", messages, schema, 77, 0.5, 9, ("END",))
    with client(server, model="tiny") as llm:
        answer = llm.ask(asked)
    assert answer.text == '{"hard": true}'
    (seen,) = server.seen
    assert seen["body"] == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Output of a tool:\n42"},
            {"role": "user", "content": "answer"},
        ],
        "max_tokens": 77,
        "temperature": 0.5,
        "seed": 9,
        "stop": ["END"],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "planner_first", "schema": schema},
        },
    }


def test_an_answer_that_was_cut_off_says_so(server: TinyServer) -> None:
    with client(server) as llm:
        assert llm.ask(question("say one two three", max_tokens=2)).finish == "length"


def test_a_stream_comes_in_pieces_and_ends_with_the_whole(server: TinyServer) -> None:
    with client(server) as llm:
        pieces, answer = whole(llm, question("say iron and boron"))
        assert pieces == ["iron", " and", " boron"]
        assert answer == replace(llm.ask(question("say iron and boron")), seconds=answer.seconds)


def test_a_stream_without_an_end_is_no_answer(server: TinyServer) -> None:
    with client(server) as llm, pytest.raises(Unreachable, match="broke off"):
        whole(llm, question("break it here"))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_retried(server: TinyServer, status: int) -> None:
    with client(server, model="tiny") as llm:
        assert llm.ask(question(f"fail {status} 2")).text == "at last"
        assert len(server.seen) == 3
        server.failures.clear()
        assert whole(llm, question(f"fail {status} 2"))[1].text == "at last"


def test_retries_come_to_an_end_with_the_reason(server: TinyServer) -> None:
    reason = r"127\.0\.0\.1.*: status 503: busy \(3 tries\)"
    with client(server, retries=2) as llm, pytest.raises(Unreachable, match=reason):
        llm.ask(question("fail 503 9"))
    assert len(server.seen) == 3


def test_what_will_not_pass_is_not_retried(server: TinyServer) -> None:
    with client(server) as llm, pytest.raises(Unreachable, match="status 400: busy"):
        llm.ask(question("fail 400 9"))
    assert len(server.seen) == 1


def test_nobody_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = EndpointSettings(url=f"http://127.0.0.1:{port}/v1", retries=1, backoff_s=0.01)
    with OpenAiClient(endpoint, {}) as llm, pytest.raises(Unreachable, match=rf"{port}.*2 tries"):
        llm.ask(question("say hello"))


def test_silence_ends_at_the_time_out(server: TinyServer) -> None:
    with client(server, model="tiny", timeout_s=0.2, retries=0) as llm:
        begun = time.monotonic()
        with pytest.raises(Unreachable, match=r"ReadTimeout.*1 try"):
            llm.ask(question("wait 60 too long"))
        assert time.monotonic() - begun < 50.0


def test_another_form_is_told(server: TinyServer) -> None:
    with client(server) as llm, pytest.raises(Unreachable, match="not of the form of OpenAI's"):
        llm.ask(question("form"))


def test_the_token_is_sent_and_written_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with TinyServer(["tiny"], key=TOKEN) as server:
        with client(server, token_env="LLM_TOKEN") as llm:
            assert llm.ask(question("say yes")).text == "yes"
            assert TOKEN not in repr(vars(llm))
        with client(server) as llm, pytest.raises(Unreachable) as refused:
            llm.ask(question("say yes"))
    assert "status 401: unauthorized" in str(refused.value)
    assert TOKEN not in caplog.text + str(refused.value)


@pytest.mark.parametrize("environment", [{}, {"LLM_TOKEN": "  "}])
def test_a_token_that_is_not_there_is_told_by_its_variable(environment: dict[str, str]) -> None:
    with pytest.raises(Unreachable, match="environment variable LLM_TOKEN is not set"):
        OpenAiClient(EndpointSettings(token_env="LLM_TOKEN"), environment)


def test_of_several_models_one_must_be_named() -> None:
    with TinyServer(["one", "two"]) as server:
        with client(server) as llm, pytest.raises(Unreachable, match=r"set model; .* one, two"):
            llm.ask(question("say yes"))
        with client(server, model="two") as llm:
            assert llm.ask(question("say yes")).model == "two"


def test_threads_ask_at_once(server: TinyServer) -> None:
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        answers[number] = llm.ask(question(f"wait 2 {number}")).text

    with client(server) as llm:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {number: str(number) for number in range(12)}
    assert time.monotonic() - begun < 12 * 2
