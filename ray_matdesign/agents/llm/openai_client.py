"""Asks an OpenAI-compatible endpoint, whoever serves it."""

from __future__ import annotations

import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

import httpx

from ray_matdesign.agents.llm.protocol import Answer, Message, Request, Unreachable
from ray_matdesign.config.llm import EndpointSettings

T = TypeVar("T")

_WORTH_A_RETRY = frozenset({408, 429, *range(500, 600)})
_MOST_REASON = 300


class _Passing(Exception):
    """A failure that may be gone at the next try."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class OpenAiClient:
    """A model behind a URL: an ``Llm``.

    Messages of a tool are sent as the user's, marked as such, for endpoints take those of the role
    ``tool`` only as replies to calls that are numbered.

    Args:
        endpoint: Where, and how patiently.
        environment: Where the token is looked up; by default the process's own.

    Raises:
        Unreachable: The variable that should hold the token is not set.
    """

    def __init__(
        self, endpoint: EndpointSettings, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._endpoint = endpoint
        headers = {}
        if endpoint.token_env is not None:
            token = environment.get(endpoint.token_env, "").strip()
            if not token:
                raise Unreachable(
                    f"{endpoint.url}: token_env: the environment variable {endpoint.token_env} "
                    f"is not set"
                )
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(endpoint.timeout_s, connect=endpoint.connect_timeout_s),
            # A campaign asks from many threads; the endpoint bounds what it works on.
            limits=httpx.Limits(max_connections=None),
        )
        self._model = endpoint.model
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections; idempotent."""
        self._http.close()

    def ask(self, request: Request) -> Answer:
        """Waits for the whole answer; see :meth:`Llm.ask`."""
        begun = time.monotonic()
        told = self._call("POST", "chat/completions", self._body(request))
        try:
            (choice,) = told["choices"]
            usage = told["usage"]
            return Answer(
                text=choice["message"]["content"] or "",
                model=str(told["model"]),
                prompt_tokens=int(usage["prompt_tokens"]),
                completion_tokens=int(usage["completion_tokens"]),
                seconds=time.monotonic() - begun,
                finish=str(choice["finish_reason"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            self._strange(told, error)

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """The answer in pieces, as they are written; the generator returns the whole.

        Failures are retried until the first piece is there; after that an answer that breaks off
        is lost.

        Raises:
            Unreachable: As :meth:`ask`, or the answer broke off.
        """
        begun = time.monotonic()
        body = {**self._body(request), "stream": True, "stream_options": {"include_usage": True}}
        with self._opened(body) as events:
            story = _Story()
            try:
                for event in events:
                    if piece := story.add(event):
                        yield piece
            except (KeyError, TypeError, IndexError, AttributeError) as error:
                self._strange(story.last, error)
            except httpx.TransportError as error:
                raise Unreachable(f"{self._endpoint.url}: broke off: {_why(error)}") from error
        if story.error:
            raise Unreachable(f"{self._endpoint.url}: broke off: {story.error}")
        if not story.finish:
            raise Unreachable(f"{self._endpoint.url}: the answer broke off without an end")
        return story.answer(time.monotonic() - begun)

    def models(self) -> list[str]:
        """Names of the models that the endpoint serves.

        Raises:
            Unreachable: It does not say.
        """
        told = self._call("GET", "models", None)
        try:
            return [str(entry["id"]) for entry in told["data"]]
        except (KeyError, TypeError) as error:
            self._strange(told, error)

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model_name(),
            "messages": [_message(message) for message in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.schema is not None:
            name = re.sub(r"[^a-zA-Z0-9_-]", "_", request.purpose)[:64] or "answer"
            schema = {"name": name, "schema": dict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _model_name(self) -> str:
        with self._lock:
            if self._model is None:
                served = self.models()
                if len(served) != 1:
                    names = ", ".join(served) or "none"
                    raise Unreachable(
                        f"{self._endpoint.url}: set model; those served there are {names}"
                    )
                self._model = served[0]
            return self._model

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        def attempt() -> Any:
            response = self._http.request(method, f"{self._endpoint.url}/{path}", json=body)
            _check(response)
            try:
                return response.json()
            except ValueError as error:
                raise Unreachable(f"not JSON: {_cut(response.text)}") from error

        return self._patiently(attempt)

    @contextmanager
    def _opened(self, body: Mapping[str, Any]) -> Iterator[Iterator[Any]]:
        """The events of a streamed answer."""
        url = f"{self._endpoint.url}/chat/completions"

        def attempt() -> httpx.Response:
            response = self._http.send(
                self._http.build_request("POST", url, json=body), stream=True
            )
            if response.is_error:
                try:
                    response.read()
                finally:
                    response.close()
            _check(response)
            return response

        response = self._patiently(attempt)
        try:
            yield _events(response)
        finally:
            response.close()

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """What ``attempt`` returns, tried as often as the settings say."""
        pause = self._endpoint.backoff_s
        for left in range(self._endpoint.retries, -1, -1):
            try:
                return attempt()
            except httpx.TransportError as error:
                passing = _Passing(_why(error))
            except _Passing as error:
                passing = error
            except Unreachable as error:
                raise Unreachable(f"{self._endpoint.url}: {error}") from error
            if left:
                wait = max(pause * random.uniform(0.5, 1.0), passing.wait_s)
                time.sleep(min(wait, self._endpoint.most_backoff_s))
                pause *= 2.0
        tries = self._endpoint.retries + 1
        raise Unreachable(
            f"{self._endpoint.url}: {passing} ({tries} {'tries' if tries > 1 else 'try'})"
        ) from passing

    def _strange(self, told: object, error: Exception) -> NoReturn:
        raise Unreachable(
            f"{self._endpoint.url}: the answer is not of the form of OpenAI's: {_cut(str(told))}"
        ) from error


class _Story:
    """A streamed answer, put together again."""

    def __init__(self) -> None:
        self.finish = ""
        self.error = ""
        self.last: Any = None
        self._pieces: list[str] = []
        self._model = ""
        self._usage: Mapping[str, Any] = {}

    def add(self, event: Any) -> str:
        """Takes an event in; the text it adds."""
        self.last = event
        if "error" in event:
            self.error = _message_of(event)
            return ""
        self._model = str(event["model"])
        self._usage = event.get("usage") or self._usage
        piece = ""
        for choice in event["choices"]:
            piece += choice["delta"].get("content") or ""
            self.finish = choice.get("finish_reason") or self.finish
        self._pieces.append(piece)
        return piece

    def answer(self, seconds: float) -> Answer:
        """The whole; an endpoint that tells no tokens has sent one a piece."""
        pieces = sum(map(bool, self._pieces))
        return Answer(
            text="".join(self._pieces),
            model=self._model,
            prompt_tokens=int(self._usage.get("prompt_tokens", 0)),
            completion_tokens=int(self._usage.get("completion_tokens", pieces)),
            seconds=seconds,
            finish=self.finish,
        )


def _events(response: httpx.Response) -> Iterator[Any]:
    for line in response.iter_lines():
        name, _, value = line.partition(":")
        if name != "data" or value.strip() == "[DONE]":
            continue
        try:
            yield json.loads(value)
        except ValueError as error:
            raise Unreachable(f"{response.url}: an event is not JSON: {_cut(value)}") from error


def _message(message: Message) -> dict[str, str]:
    if message.role == "tool":
        return {"role": "user", "content": f"Output of a tool:\n{message.content}"}
    return {"role": message.role, "content": message.content}


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    try:
        told = _message_of(response.json())
    except ValueError:
        told = _cut(response.text)
    reason = f"status {response.status_code}{': ' if told else ''}{told}"
    if response.status_code in _WORTH_A_RETRY:
        raise _Passing(reason, _retry_after(response))
    raise Unreachable(reason)


def _message_of(told: Any) -> str:
    error = told.get("error", told) if isinstance(told, Mapping) else told
    return _cut(str(error.get("message", error) if isinstance(error, Mapping) else error))


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "0")))
    except ValueError:  # a date; the pause of our own will do
        return 0.0


def _why(error: httpx.TransportError) -> str:
    return _cut(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_REASON else f"{line[: _MOST_REASON - 3]}..."
