"""What is asked of a language model, what it answers, and what can go wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from ray_matdesign.config.problems import describe, dotted

AnyModel = TypeVar("AnyModel", bound=BaseModel)

LENGTH = "length"
"""``finish`` of an answer that ended at ``max_tokens`` or at the end of the model's context."""

_FENCED = re.compile(r"\s*```[a-z]*\n(.*?)```\s*", re.DOTALL)
_MOST_PROBLEMS = 5
_SECOND_THOUGHTS = 0.7
"""Least temperature of a corrected answer."""


class LlmError(RuntimeError):
    """A question that got no answer one can use."""


class Unreachable(LlmError):
    """The endpoint refused, failed or was silent, also after every retry."""


class Truncated(LlmError):
    """The answer ended at a limit of tokens, not where the model meant it to."""


class BudgetSpent(LlmError):
    """The question was not sent, for it could cost more than the campaign may still spend."""


class NotRecorded(LlmError):
    """The cassette holds no answer to the question."""


class BadAnswer(LlmError):
    """The answer does not fit the schema; the message is one line fit to be fed back."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: Whose turn it is.
        content: What is said.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str


@dataclass(frozen=True)
class Request:
    """A question, with all that its answer depends on besides the model.

    Attributes:
        purpose: What the answer is for, such as ``planner``; names it in records and errors.
        prompt_version: Version of the prompt's wording; a new wording makes a new question.
        messages: The conversation so far, oldest first.
        schema: JSON schema that the answer's text must fit; ``None`` for free text.
        max_tokens: Most tokens of the answer.
        temperature: 0 for the likeliest answer, up to 2.
        seed: Of the sampling.
        stop: Texts that end the answer, and are not part of it.
    """

    purpose: str
    prompt_version: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What the model said, and what it cost.

    Attributes:
        text: The answer; JSON where a schema was asked for.
        model: Name of the model, as its endpoint tells it.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
        seconds: From sending to the last token, retries included.
        finish: ``stop`` where the model came to an end, ``length`` where it was cut off, or the
            endpoint's own word.
    """

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    finish: str


class Llm(Protocol):
    """A language model, near or far; safe to ask from several threads at once."""

    def ask(self, request: Request) -> Answer:
        """Waits for the whole answer.

        An answer that was cut off is an answer all the same, with ``finish`` saying so: its tokens
        are spent. :func:`parsed` refuses it.

        Raises:
            Unreachable: No answer could be had.
            BudgetSpent: A budget forbids the question.
            NotRecorded: The answers are recorded ones, and this is not among them.
        """
        ...


def check_whole(answer: Answer) -> None:
    """Checks that an answer came to its end.

    Raises:
        Truncated: It was cut off.
    """
    if answer.finish == LENGTH:
        raise Truncated(f"{answer.model}: cut off after {answer.completion_tokens} tokens")


def parsed(answer: Answer, model: type[AnyModel]) -> AnyModel:
    """Reads an answer as an object of a given kind.

    A fence of three backticks around the JSON is taken off. Nothing is converted, except a whole
    number where a real one is asked for.

    Args:
        answer: Whose text is JSON.
        model: What it must be.

    Raises:
        Truncated: The answer was cut off.
        BadAnswer: It is no JSON, or does not fit.
    """
    check_whole(answer)
    fenced = _FENCED.fullmatch(answer.text)
    text = fenced[1] if fenced else answer.text
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"the answer is not JSON: {_one_line(error)}") from error
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise BadAnswer(_reason(error, model, data)) from error


def ask_for(llm: Llm, request: Request, model: type[AnyModel], repairs: int = 2) -> AnyModel:
    """Asks for an object; what does not fit goes back to the model with the reason.

    Args:
        llm: Who is asked.
        request: The question; without a schema it is asked with that of ``model``.
        model: What the answer must be.
        repairs: How often the model may correct itself.

    Raises:
        BadAnswer: No answer fitted; the reason is that of the last one.
        LlmError: As :meth:`Llm.ask` and :func:`parsed`.
    """
    if request.schema is None:
        request = replace(request, schema=model.model_json_schema())
    for _ in range(repairs):
        answer = llm.ask(request)
        try:
            return parsed(answer, model)
        except BadAnswer as error:
            request = corrected(request, answer, str(error))
    return parsed(llm.ask(request), model)


def corrected(request: Request, answer: Answer, reason: str) -> Request:
    """The question that asks for a better answer than the one given.

    It is drawn at some temperature and with another seed: small models that give their likeliest
    answer give the refused one again, whatever they are told.

    Args:
        request: As it was asked.
        answer: What came.
        reason: What is wrong with it, in one line.
    """
    feedback = (
        f"That answer was refused: {reason}\n"
        "Answer again, in full and in the same form, with this put right."
    )
    turns = (Message("assistant", answer.text), Message("user", feedback))
    return replace(
        request,
        messages=(*request.messages, *turns),
        temperature=max(request.temperature, _SECOND_THOUGHTS),
        seed=request.seed + 1,
    )


def _reason(error: ValidationError, model: type[BaseModel], data: Any) -> str:
    problems = [
        f"{dotted(path)}: {problem}" if path else problem
        for path, problem in describe(error, model, data)
    ]
    more = len(problems) - _MOST_PROBLEMS
    rest = [f"and {more} more"] if more > 0 else []
    return _one_line("; ".join([*problems[:_MOST_PROBLEMS], *rest]))


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
