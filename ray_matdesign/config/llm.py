"""Language models: whom each role asks, what a campaign may spend, and how one is served."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from ray_matdesign.config.settings import Settings

EMBEDDED = "embedded"
EMBEDDED_SMALL = "embedded-small"
"""Models that ``ray-matdesign llm prepare`` makes, in place of a path or a name."""


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} is no URL such as http://127.0.0.1:8000/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("a URL holds no user, password or query; name the token in token_env")
    return text.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]
EnvironmentVariable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class EndpointSettings(Settings):
    """An OpenAI-compatible endpoint."""

    url: BaseUrl = "http://127.0.0.1:8000/v1"
    """Up to and including its version, such as ``/v1``."""
    model: str | None = None
    """Name of the model there; ``None`` takes the only one that is served."""
    token_env: EnvironmentVariable | None = None
    """Environment variable that holds the bearer token; the token itself is written nowhere."""
    connect_timeout_s: PositiveFloat = 10.0
    timeout_s: PositiveFloat = 600.0
    """Longest silence: without streaming, longest wait for the whole answer."""
    retries: NonNegativeInt = 4
    """After a refused connection, a time-out, or the statuses 408, 429 and 5xx."""
    backoff_s: PositiveFloat = 1.0
    """Pause before the first retry; it doubles with each, and is cut at random by up to a half."""
    most_backoff_s: PositiveFloat = 60.0


class RoleEndpoints(Settings):
    """Whom single roles ask; by default all ask the same."""

    planner: EndpointSettings | None = None
    implementer: EndpointSettings | None = None
    matcher: EndpointSettings | None = None
    optimizer: EndpointSettings | None = None
    analyzer: EndpointSettings | None = None
    selector: EndpointSettings | None = None
    solver: EndpointSettings | None = None

    def given(self) -> dict[str, EndpointSettings]:
        """Endpoints by role, where there are any."""
        return {role: found for role in type(self).model_fields if (found := getattr(self, role))}


class BudgetSettings(Settings):
    """What a campaign may spend on language models in all, whatever interrupts it."""

    tokens: PositiveInt = 2_000_000
    """Read and written."""
    requests: PositiveInt = 5_000
    seconds: PositiveFloat = 86_400.0
    """Spent waiting for answers, added up. The question that is open when they run out is still
    waited for."""


class LlmSettings(Settings):
    """The language models of a campaign."""

    default: EndpointSettings = EndpointSettings()
    """Asked by every role without one of its own."""
    roles: RoleEndpoints = RoleEndpoints()
    budget: BudgetSettings = BudgetSettings()
    replay: str | None = None
    """Cassette of an earlier campaign to take every answer from; no endpoint is asked then."""


class ServedModelSettings(Settings):
    """A language model behind an OpenAI-compatible endpoint, on Ray Serve."""

    model: str = Field(default=EMBEDDED, min_length=1)
    """``embedded`` or ``embedded-small``, as ``ray-matdesign llm prepare`` made them; a folder that
    every node has; or a name that vLLM can fetch."""
    served_name: str | None = None
    """What clients call it; by default as ``model``."""
    replicas: PositiveInt = 1
    tensor_parallel: PositiveInt = 1
    """GPUs that share one replica's model."""
    gpus: bool = False
    """Whether a replica holds ``tensor_parallel`` GPUs; otherwise it computes on ``cpus``."""
    cpus: PositiveFloat = 1.0
    """Ray's CPUs for each replica."""
    max_context: PositiveInt = 8192
    """Most tokens of a prompt and its answer together."""
    max_ongoing_requests: PositiveInt = 8
    """Requests that a replica works on at once."""
    max_queued_requests: NonNegativeInt = 64
    """Requests that wait for a replica, at each proxy; more are refused with status 503."""
    token_env: EnvironmentVariable | None = None
    """Environment variable of the replicas that holds the bearer token clients must send; without
    one, whoever reaches the endpoint may use it."""
    max_request_bytes: PositiveInt = 4_000_000
    request_timeout_s: PositiveFloat = 600.0
    """Longest an answer may take, its last token included."""
    start_timeout_s: PositiveFloat = 1800.0
    """Longest a model may take to load."""
    health_period_s: PositiveFloat = 2.0
    """Time between two looks at a replica; three bad ones in a row replace it."""
    command: tuple[str, ...] = ()
    """What starts the server, without its options; by default vLLM's server module in the
    replica's own Python. A Python of its own: ``[/path/to/python, -m,
    vllm.entrypoints.openai.api_server]``."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Further options of the server, by name without dashes: ``{dtype: bfloat16}``; ``true`` is an
    option without a value."""
    env_vars: dict[str, str] = Field(default_factory=dict)
    """Added to the server's environment, such as ``VLLM_CPU_KVCACHE_SPACE``."""

    @model_validator(mode="after")
    def _parallel_on_gpus(self) -> Self:
        if self.tensor_parallel > 1 and not self.gpus:
            raise ValueError(f"tensor_parallel {self.tensor_parallel} needs gpus: true")
        return self

    @model_validator(mode="after")
    def _options_of_their_own(self) -> Self:
        taken = {
            "model", "served-model-name", "host", "port", "max-model-len", "tensor-parallel-size",
            "api-key", "uds",
        }  # fmt: skip
        for name in self.options:
            if name.startswith("-") or name.replace("_", "-") in taken:
                raise ValueError(f"options.{name}: not here; it is set by other keys, or misspelt")
        return self

    @property
    def name(self) -> str:
        """What clients call the model."""
        return self.served_name or self.model
