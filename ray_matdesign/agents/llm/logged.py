"""Every question, its answer and its cost, as a line of a file in the run directory."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from ray_matdesign.agents.json_lines import append_line
from ray_matdesign.agents.llm.protocol import Answer, Llm, LlmError, Request


class Logged:
    """Asks another and writes down what was said, errors included: an ``Llm``.

    A line has ``time`` (UTC, of the question), the fields of the request, and either the fields of
    the answer or ``error`` and ``reason``; ``seconds`` in both cases.

    Args:
        llm: Who is asked.
        path: JSON lines, appended to; its folder must exist.
    """

    def __init__(self, llm: Llm, path: Path) -> None:
        self._llm = llm
        self._path = path

    def ask(self, request: Request) -> Answer:
        """As the one behind it; see :meth:`Llm.ask`."""
        asked = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **asdict(request)}
        begun = time.monotonic()
        try:
            answer = self._llm.ask(request)
        except LlmError as error:
            seconds = round(time.monotonic() - begun, 3)
            failure = {"error": type(error).__name__, "reason": str(error), "seconds": seconds}
            append_line(self._path, {**asked, **failure})
            raise
        append_line(self._path, {**asked, **asdict(answer)})
        return answer
