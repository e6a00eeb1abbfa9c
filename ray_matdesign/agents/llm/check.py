"""Whether an endpoint does what campaigns need of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict

from ray_matdesign.agents.llm.openai_client import OpenAiClient
from ray_matdesign.agents.llm.protocol import (
    BadAnswer,
    Message,
    Request,
    Truncated,
    Unreachable,
    parsed,
)
from ray_matdesign.config.llm import EndpointSettings

_TOKENS = 64


class _Metal(BaseModel):
    """What the schema-constrained question asks for; no free text would fit by chance."""

    model_config = ConfigDict(extra="forbid")

    symbol: Literal["Fe", "Cu", "Al"]
    is_magnetic: bool


@dataclass(frozen=True)
class Check:
    """One thing that was tried.

    Attributes:
        name: What.
        ok: Whether it went well.
        found: What came of it.
    """

    name: str
    ok: bool
    found: str


def check_endpoint(endpoint: EndpointSettings) -> list[Check]:
    """Tries health, the model's name, a question under a schema, and the speed of a stream.

    Raises:
        Unreachable: There is no endpoint, or it takes no question at all.
    """
    checks = [_health(endpoint)]
    with OpenAiClient(endpoint) as client:
        served = client.models()
        checks.append(Check("models", bool(served), ", ".join(served) or "none"))
        if endpoint.model is None and len(served) > 1:
            raise Unreachable(f"{endpoint.url}: serves {', '.join(served)}: choose with --model")
        checks.append(_schema(client))
        checks.append(_speed(client))
    return checks


def _health(endpoint: EndpointSettings) -> Check:
    """Beside ``/v1``, where vLLM and this package's own application have it; others need not."""
    url = f"{endpoint.url.removesuffix('/v1')}/health"
    try:
        status = httpx.get(url, timeout=endpoint.connect_timeout_s).status_code
    except httpx.TransportError as error:
        raise Unreachable(f"{url}: {type(error).__name__}: {error}") from error
    if status == 404:
        return Check("health", True, "the endpoint has no such page")
    return Check("health", status == 200, f"status {status}")


def _schema(client: OpenAiClient) -> Check:
    question = Message("user", "Which of iron, copper and aluminium is ferromagnetic? JSON only.")
    request = Request(
        "check.schema", "1", (question,), _Metal.model_json_schema(), max_tokens=_TOKENS
    )
    try:
        metal = parsed(client.ask(request), _Metal)
    except (BadAnswer, Truncated) as error:
        return Check("schema", False, str(error))
    return Check("schema", True, metal.model_dump_json())


def _speed(client: OpenAiClient) -> Check:
    question = Message("user", "List the first thirty chemical elements with their symbols.")
    request = Request("check.speed", "1", (question,), max_tokens=_TOKENS)
    # The second differs only in its seed: what the first one loaded is warm by then.
    for seed in (0, 1):
        writing = client.stream(replace(request, seed=seed))
        try:
            while True:
                next(writing)
        except StopIteration as end:
            answer = end.value
    rate = answer.completion_tokens / answer.seconds
    return Check(
        "speed",
        answer.completion_tokens > 0,
        f"{rate:.1f} tokens/s ({answer.completion_tokens} in {answer.seconds:.1f} s, one request)",
    )
