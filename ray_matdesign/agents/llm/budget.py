"""What a campaign may spend on language models, enforced before each question."""

from __future__ import annotations

import fcntl
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, NonNegativeFloat, NonNegativeInt, ValidationError

from ray_matdesign.agents.llm.protocol import Answer, BudgetSpent, Llm, Request
from ray_matdesign.config.llm import BudgetSettings
from ray_matdesign.config.settings import Settings
from ray_matdesign.crystals.atomic import write_atomic

_TOKENS_PER_MESSAGE = 16
"""What chat templates put around a message, at most."""


class BadLedger(ValueError):
    """A file that is no account of a budget; the message names it."""


class Spending(Settings):
    """What has been spent so far.

    Attributes:
        tokens: Read and written.
        requests: Asked, with an answer or without.
        seconds: Waited for answers.
        reserved: Tokens set aside for questions that are open, by a name for each. What a process
            that died had set aside stays there, for its question may have been answered.
    """

    tokens: NonNegativeInt = 0
    requests: NonNegativeInt = 0
    seconds: NonNegativeFloat = 0.0
    reserved: dict[str, NonNegativeInt] = Field(default_factory=dict)


class Budgeted:
    """Asks another as long as the budget allows for it: an ``Llm``.

    Before a question is sent, the most tokens it can cost are set aside: its ``max_tokens`` and
    one for every byte of the prompt, as no tokenizer makes more of them. Once answered, the true
    cost takes their place. The account is a file that any number of threads, processes and later
    runs share.

    Args:
        llm: Who is asked.
        budget: How much may be spent.
        path: The account, begun if it is not there; its folder must exist.
    """

    def __init__(self, llm: Llm, budget: BudgetSettings, path: Path) -> None:
        self._llm = llm
        self._budget = budget
        self._path = path

    @property
    def spending(self) -> Spending:
        """What has been spent so far.

        Raises:
            BadLedger: The file is damaged.
        """
        try:
            return Spending.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return Spending()
        except ValidationError as error:
            raise BadLedger(f"{self._path}: {error.errors()[0]['msg']}") from error

    def ask(self, request: Request) -> Answer:
        """As the one behind it; see :meth:`Llm.ask`.

        Raises:
            BudgetSpent: The question could cost more than is left; it was not sent.
        """
        name = uuid.uuid4().hex
        self._reserve(name, request)
        begun = time.monotonic()
        tokens, seconds = 0, None
        try:
            answer = self._llm.ask(request)
            tokens, seconds = answer.prompt_tokens + answer.completion_tokens, answer.seconds
        finally:
            waited = time.monotonic() - begun if seconds is None else seconds
            self._settle(name, tokens, waited)
        return answer

    def _reserve(self, name: str, request: Request) -> None:
        wanted = most_tokens(request)
        with self._account():
            spent = self.spending
            held = spent.tokens + sum(spent.reserved.values())
            if held + wanted > self._budget.tokens:
                self._refuse(request, f"{wanted} tokens", f"{held}", f"{self._budget.tokens}")
            if spent.requests + 1 > self._budget.requests:
                self._refuse(request, "a request", f"{spent.requests}", f"{self._budget.requests}")
            if spent.seconds >= self._budget.seconds:
                self._refuse(
                    request, "time", f"{spent.seconds:.0f} s", f"{self._budget.seconds:g} s"
                )
            update = {
                "requests": spent.requests + 1,
                "reserved": {**spent.reserved, name: wanted},
            }
            write_atomic(self._path, spent.model_copy(update=update).model_dump_json())

    def _refuse(self, request: Request, wanted: str, held: str, allowed: str) -> None:
        raise BudgetSpent(
            f"{request.purpose}: needs up to {wanted}; {held} of {allowed} are spent or set aside "
            f"({self._path})"
        )

    def _settle(self, name: str, tokens: int, seconds: float) -> None:
        with self._account():
            spent = self.spending
            update = {
                "tokens": spent.tokens + tokens,
                "seconds": spent.seconds + seconds,
                "reserved": {key: n for key, n in spent.reserved.items() if key != name},
            }
            write_atomic(self._path, spent.model_copy(update=update).model_dump_json())

    @contextmanager
    def _account(self) -> Iterator[None]:
        """The account, for one at a time; each call opens a file, so threads take turns as well."""
        with open(self._path.with_name(f"{self._path.name}.lock"), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def most_tokens(request: Request) -> int:
    """The most tokens that a question and its answer can come to."""
    prompt = sum(len(message.content.encode()) for message in request.messages)
    return prompt + _TOKENS_PER_MESSAGE * (len(request.messages) + 1) + request.max_tokens
