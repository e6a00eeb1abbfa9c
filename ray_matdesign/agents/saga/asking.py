"""Questions to a language model whose answers are checked further than a schema can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ray_matdesign.agents.llm.protocol import (
    AnyModel,
    BadAnswer,
    BudgetSpent,
    Llm,
    LlmError,
    Message,
    NotRecorded,
    Request,
    Truncated,
    Unreachable,
    corrected,
    parsed,
)
from ray_matdesign.agents.saga.protocol import FailureKind, RoleError, RoleName

Checked = TypeVar("Checked")

REPAIRS = 2
"""How often a model may correct an answer."""

_KINDS: Mapping[type[LlmError], FailureKind] = {
    Unreachable: "unreachable",
    BudgetSpent: "budget",
    NotRecorded: "not_recorded",
    Truncated: "truncated",
    BadAnswer: "bad_answer",
}


def ask_checked(
    llm: Llm,
    request: Request,
    model: type[AnyModel],
    check: Callable[[AnyModel], Checked],
    repairs: int = REPAIRS,
) -> Checked:
    """Asks for an object and makes something of it; what will not do goes back with the reason.

    Args:
        llm: Who is asked.
        request: The question, with its schema.
        model: What the answer must be.
        check: Makes something of the answer; raises :class:`BadAnswer` if that cannot be.
        repairs: How often the model may correct itself.

    Raises:
        BadAnswer: No answer would do; the reason is that of the last one.
        LlmError: As :func:`ray_matdesign.agents.llm.protocol.ask_for`.
    """
    for turn in range(repairs + 1):
        answer = llm.ask(request)
        try:
            return check(parsed(answer, model))
        except BadAnswer as error:
            if turn == repairs:
                raise
            request = corrected(request, answer, str(error))
    raise AssertionError("the last turn returns or raises")


@contextmanager
def answering_as(role: RoleName) -> Iterator[None]:
    """Errors of the language model as those of a role."""
    try:
        yield
    except LlmError as error:
        kind = next((kind for one, kind in _KINDS.items() if isinstance(error, one)), None)
        if kind is None:
            raise
        raise RoleError(role, kind, str(error)) from error


def request_of(
    purpose: str,
    version: str,
    system: str,
    user: str,
    schema: Mapping[str, Any],
    *,
    max_tokens: int,
    seed: int,
) -> Request:
    """A question of two messages."""
    messages = (Message("system", system), Message("user", user))
    return Request(purpose, version, messages, schema, max_tokens=max_tokens, seed=seed)


def narrowed(schema: Mapping[str, Any], choices: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A JSON schema in which lists of strings may hold certain strings only.

    Args:
        schema: Of a pydantic model.
        choices: Allowed strings by name of the property, wherever in the schema it stands; a
            property with no choice must be empty.
    """
    found: dict[str, Any] = _narrowed(dict(schema), choices)
    return found


def _narrowed(node: Any, choices: Mapping[str, Sequence[str]]) -> Any:
    if isinstance(node, list):
        return [_narrowed(item, choices) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _narrowed(value, choices) for key, value in node.items()}
    properties = found.get("properties")
    if isinstance(properties, dict):
        for name in choices.keys() & properties.keys():
            properties[name] = _limited(properties[name], choices[name])
    return found


def _limited(node: Mapping[str, Any], choice: Sequence[str]) -> dict[str, Any]:
    if node.get("type") != "array":
        return {**node, "enum": list(choice)}
    if not choice:
        return {**node, "maxItems": 0}
    return {**node, "items": {"type": "string", "enum": list(choice)}}


def shown(value: float | None) -> str:
    """A figure as prompts have it: the same on every machine, and short."""
    return "none" if value is None else f"{value:.4g}"
