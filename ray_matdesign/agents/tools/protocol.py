"""A tool: a typed function that an agent, or a person over HTTP or MCP, may call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from ray_matdesign.config.problems import describe, dotted

Asked = TypeVar("Asked", bound=BaseModel)
Told = TypeVar("Told", bound=BaseModel)


class ToolError(RuntimeError):
    """A call that cannot be answered; the message is one line fit to be fed back to a model."""


class Refused(ToolError):
    """A call that is not answered for reasons of safety; the message says which."""


@dataclass(frozen=True)
class Tool(Generic[Asked, Told]):
    """A function with what a caller needs to know of it.

    Attributes:
        name: In lower case, words joined by underscores; unique among the tools of an agent.
        description: What it does and when to use it, in a few sentences a model reads.
        asked: Its arguments; the descriptions of the fields are for the model as well.
        told: What it returns.
        run: Safe to call from several threads at once. Raises :class:`ToolError` alone.
    """

    name: str
    description: str
    asked: type[Asked]
    told: type[Told]
    run: Callable[[Asked], Told]

    def call(self, arguments: Mapping[str, Any]) -> Told:
        """Checks the arguments, then runs.

        Raises:
            ToolError: The arguments do not fit, or the function says why it cannot answer.
        """
        try:
            asked = self.asked.model_validate(dict(arguments))
        except ValidationError as error:
            problems = describe(error, self.asked, dict(arguments))
            told = "; ".join(f"{dotted(path)}: {what}" if path else what for path, what in problems)
            raise ToolError(f"{self.name}: {told}") from error
        return self.run(asked)

    def schema(self) -> dict[str, Any]:
        """Name, description and JSON schema of the arguments, as tool calls and MCP want them."""
        return {
            "name": self.name,
            "description": self.description,
            "parameters": self.asked.model_json_schema(),
        }


class Toolbox(Mapping[str, Tool[Any, Any]]):
    """Tools by name.

    Args:
        tools: With names of their own.

    Raises:
        ValueError: Two have one name.
    """

    def __init__(self, tools: Iterable[Tool[Any, Any]]) -> None:
        self._tools: dict[str, Tool[Any, Any]] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ValueError(f"two tools are called {tool.name}")
            self._tools[tool.name] = tool

    def __getitem__(self, name: str) -> Tool[Any, Any]:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    def call(self, name: str, arguments: Mapping[str, Any]) -> BaseModel:
        """Calls a tool.

        Raises:
            ToolError: There is none of that name, or it cannot answer.
        """
        if name not in self._tools:
            raise ToolError(f"no tool {name!r}; there are {', '.join(sorted(self._tools))}")
        told: BaseModel = self._tools[name].call(arguments)
        return told
