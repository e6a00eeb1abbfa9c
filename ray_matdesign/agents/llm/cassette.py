"""Answers on record: a campaign replayed without a model, and resumed without paying twice."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ray_matdesign.agents.json_lines import append_line, read_lines
from ray_matdesign.agents.llm.protocol import Answer, Llm, NotRecorded, Request

_ANSWER = TypeAdapter(Answer)


class BadCassette(ValueError):
    """A file that is no cassette; the message names the file and line."""


def key_of(request: Request) -> str:
    """Sha256 of a question: purpose, prompt version, messages, schema, seed, sampling settings."""
    return _key(_plain(request))


class Replayer:
    """Answers from a cassette and from nothing else: an ``Llm``.

    Args:
        path: A file that :class:`Recorder` wrote.

    Raises:
        OSError: There is no such file.
        BadCassette: It is no cassette.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answers = _read(path)

    def ask(self, request: Request) -> Answer:
        """The answer on record.

        Raises:
            NotRecorded: There is none.
        """
        key = key_of(request)
        if key not in self._answers:
            raise NotRecorded(
                f"{self._path}: no answer for {request.purpose} {request.prompt_version}, "
                f"key {key}; record the campaign anew"
            )
        return self._answers[key]


class Recorder:
    """Asks another, and keeps each question with its answer: an ``Llm``.

    A question on the cassette is answered from there, so a campaign that is resumed asks nothing
    twice. Threads that ask the same share one answer. Errors are not recorded.

    Args:
        llm: Who is asked.
        path: The cassette, begun if it is not there; its folder must exist.

    Raises:
        BadCassette: There is a file, and it is no cassette.
    """

    def __init__(self, llm: Llm, path: Path) -> None:
        self._llm = llm
        self._path = path
        self._answers = _read(path) if path.exists() else {}
        self._lock = threading.Lock()
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def ask(self, request: Request) -> Answer:
        """The answer on record, or a new one; see :meth:`Llm.ask`."""
        key = key_of(request)
        with self._lock:
            turn = self._turns[key]
        with turn:
            if key in self._answers:
                return self._answers[key]
            answer = self._llm.ask(request)
            append_line(
                self._path, {"key": key, "request": _plain(request), "answer": asdict(answer)}
            )
            self._answers[key] = answer
            return answer


def _plain(request: Request) -> dict[str, Any]:
    return {
        "purpose": request.purpose,
        "prompt_version": request.prompt_version,
        "messages": [asdict(message) for message in request.messages],
        "schema": None if request.schema is None else dict(request.schema),
        "seed": request.seed,
        "temperature": float(request.temperature),
        "max_tokens": request.max_tokens,
        "stop": list(request.stop),
    }


def _key(plain: dict[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> dict[str, Answer]:
    """Answers by key; of two to the same question the first counts."""
    answers: dict[str, Answer] = {}
    for number, entry in read_lines(path):
        where = f"{path}: line {number}"
        if entry.keys() != {"key", "request", "answer"}:
            raise BadCassette(f"{where}: must have the keys key, request and answer")
        if entry["key"] != _key(entry["request"]):
            raise BadCassette(f"{where}: the question is not the one its key was made from")
        try:
            answer = _ANSWER.validate_python(entry["answer"], strict=False)
        except ValidationError as error:
            detail = error.errors()[0]
            key = ".".join(map(str, detail["loc"]))
            raise BadCassette(f"{where}: answer.{key}: {detail['msg']}") from error
        answers.setdefault(entry["key"], answer)
    return answers
