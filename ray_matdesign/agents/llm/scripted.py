"""A model that says what it was told to: for tests, and for trying out a campaign by hand."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping

from ray_matdesign.agents.llm.protocol import Answer, LlmError, NotRecorded, Request

Line = str | Answer | LlmError
"""What it says next: a text, a whole answer, or an error that it raises."""


class Scripted:
    """Gives answers in the order they were written down: an ``Llm``.

    Tokens of a plain text are counted as its words.

    Args:
        lines: For every question in turn, or for the questions of each purpose in turn.
        model: Name that it gives itself.

    Attributes:
        asked: The questions so far.
    """

    def __init__(
        self, lines: Iterable[Line] | Mapping[str, Iterable[Line]], *, model: str = "scripted"
    ) -> None:
        self.asked: list[Request] = []
        self._model = model
        self._lock = threading.Lock()
        self._by_purpose = isinstance(lines, Mapping)
        if isinstance(lines, Mapping):
            self._lines = {purpose: deque(said) for purpose, said in lines.items()}
        else:
            self._lines = {"": deque(lines)}

    def ask(self, request: Request) -> Answer:
        """The next answer.

        Raises:
            NotRecorded: There is none left for the purpose.
            LlmError: The script says so.
        """
        with self._lock:
            self.asked.append(request)
            left = self._lines.get(request.purpose if self._by_purpose else "")
            if not left:
                raise NotRecorded(f"{request.purpose}: the script has no answer left for it")
            line = left.popleft()
        if isinstance(line, LlmError):
            raise line
        if isinstance(line, Answer):
            return line
        read = sum(len(message.content.split()) for message in request.messages)
        return Answer(line, self._model, read, len(line.split()), 0.0, "stop")
