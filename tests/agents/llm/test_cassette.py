from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.agents.json_lines import BadLines
from ray_matdesign.agents.llm.cassette import BadCassette, Recorder, Replayer, key_of
from ray_matdesign.agents.llm.protocol import Answer, Message, NotRecorded, Request, Unreachable
from ray_matdesign.agents.llm.scripted import Scripted

QUESTION = Request("planner", "1", (Message("user", "Which?"),), {"type": "object"})

texts = st.text(max_size=20)
requests = st.builds(
    Request,
    purpose=texts,
    prompt_version=texts,
    messages=st.lists(
        st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), texts),
        max_size=3,
    ).map(tuple),
    schema=st.none() | st.dictionaries(texts, st.integers() | texts, max_size=3),
    max_tokens=st.integers(1, 4096),
    temperature=st.floats(0.0, 2.0),
    seed=st.integers(0, 2**31),
    stop=st.lists(texts, max_size=2).map(tuple),
)


@given(asked=requests, text=st.text())
def test_what_is_recorded_is_replayed(
    tmp_path_factory: pytest.TempPathFactory, asked: Request, text: str
) -> None:
    path = tmp_path_factory.mktemp("cassette") / "c.jsonl"
    answer = Answer(text, "m", 7, 11, 1.25, "stop")
    assert Recorder(Scripted([answer]), path).ask(asked) == answer
    assert Replayer(path).ask(asked) == answer


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "analyzer"},
        {"prompt_version": "2"},
        {"messages": (Message("system", "Which?"),)},
        {"messages": (Message("user", "Which?"), Message("user", ""))},
        {"schema": None},
        {"schema": {"type": "array"}},
        {"seed": 1},
        {"temperature": 0.5},
        {"max_tokens": 10},
        {"stop": ("\n",)},
    ],
)
def test_everything_that_an_answer_depends_on_is_in_the_key(change: dict[str, object]) -> None:
    assert key_of(replace(QUESTION, **change)) != key_of(QUESTION)


def test_the_key_is_the_same_on_every_machine_and_whatever_the_order_of_a_schema() -> None:
    one = replace(QUESTION, schema={"a": 1, "b": 2}, temperature=0)
    other = replace(QUESTION, schema={"b": 2, "a": 1}, temperature=0.0)
    assert key_of(one) == key_of(other)
    # Known from sha256 of the canonical JSON, made by hand; a change would void every cassette.
    plain = (
        '{"max_tokens":1024,"messages":[{"content":"Which?","role":"user"}],"prompt_version":"1",'
        '"purpose":"planner","schema":{"type":"object"},"seed":0,"stop":[],"temperature":0.0}'
    )
    import hashlib

    assert key_of(QUESTION) == hashlib.sha256(plain.encode()).hexdigest()


def test_a_miss_names_purpose_and_key_and_asks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    Recorder(Scripted(["yes"]), path).ask(QUESTION)
    other = replace(QUESTION, seed=5)
    with pytest.raises(NotRecorded, match=f"planner 1, key {key_of(other)}"):
        Replayer(path).ask(other)


def test_a_question_is_asked_once_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    llm = Scripted(["first", "second"])
    recorder = Recorder(llm, path)
    assert [recorder.ask(QUESTION).text for _ in range(2)] == ["first", "first"]
    assert Recorder(llm, path).ask(QUESTION).text == "first"
    assert len(llm.asked) == 1


class Slow:
    def __init__(self) -> None:
        self.asked = 0

    def ask(self, request: Request) -> Answer:
        self.asked += 1
        time.sleep(0.05)
        return Answer(str(request.seed), "slow", 1, 1, 0.05, "stop")


def test_threads_share_answers_and_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    llm = Slow()
    recorder = Recorder(llm, path)
    threads = [
        threading.Thread(target=recorder.ask, args=(replace(QUESTION, seed=k % 5),))
        for k in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert llm.asked == 5
    replayer = Replayer(path)
    assert [replayer.ask(replace(QUESTION, seed=k)).text for k in range(5)] == list("01234")


def test_errors_are_not_recorded(tmp_path: Path) -> None:
    recorder = Recorder(Scripted([Unreachable("gone"), "back"]), tmp_path / "c.jsonl")
    with pytest.raises(Unreachable):
        recorder.ask(QUESTION)
    assert recorder.ask(QUESTION).text == "back"


def test_half_a_line_of_a_writer_that_died_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    Recorder(Scripted(["one"]), path).ask(QUESTION)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    other = replace(QUESTION, seed=1)
    recorder = Recorder(Scripted(["two"]), path)
    assert recorder.ask(other).text == "two"
    replayer = Replayer(path)
    assert (replayer.ask(QUESTION).text, replayer.ask(other).text) == ("one", "two")
    assert path.read_bytes().startswith(whole)


def test_a_damaged_cassette_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    Recorder(Scripted(["one"]), path).ask(QUESTION)
    line = path.read_text()
    path.write_text(line + "{\n")
    with pytest.raises(BadLines, match=r"c\.jsonl: line 2: not JSON"):
        Replayer(path)
    path.write_text(line.replace("Which?", "What?"))
    with pytest.raises(BadCassette, match="line 1: the question is not the one"):
        Replayer(path)
    entry = json.loads(line)
    entry["answer"]["prompt_tokens"] = "many"
    path.write_text(json.dumps(entry) + "\n")
    with pytest.raises(BadCassette, match=r"line 1: answer\.prompt_tokens"):
        Replayer(path)
    with pytest.raises(FileNotFoundError):
        Replayer(tmp_path / "none.jsonl")
