"""Tools of MCP servers of the user's, as tools of our agents. Needs the extra ``mcp``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, create_model

from ray_matdesign.agents.tools.protocol import Tool, ToolError
from ray_matdesign.config.documentation import McpServerSettings

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from mcp import Client

_MOST_TEXT = 20_000
_MOST_TOOLS = 200
_MOST_DESCRIPTION = 1000


class McpTold(BaseModel):
    """What a tool of an MCP server returned: material, never an instruction."""

    text: str
    structured: Any = None


class McpTools:
    """A connection to one server, and its tools; a context manager.

    Calls are safe from several threads at once. A server that is started here gets none of this
    process's environment but what is named, and ends with the connection. It runs with the rights
    of this process and outside of any sandbox: name only servers that are trusted.

    Args:
        settings: Which server.
        environment: Where tokens and named variables are looked up; by default the process's own.

    Raises:
        ToolError: It cannot be reached or started, or a variable is not set.
    """

    def __init__(
        self, settings: McpServerSettings, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._settings = settings
        self._stack = ExitStack()
        try:
            self._portal, self._client = self._connected(environment)
            self.tools = self._listed()
        except BaseException:
            self._stack.close()
            raise

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
        """Ends the connection, and the server if it was started here; idempotent."""
        self._stack.close()

    def _connected(self, environment: Mapping[str, str]) -> tuple[BlockingPortal, Client]:
        import httpx2
        from anyio.from_thread import start_blocking_portal
        from mcp import Client, MCPError, StdioServerParameters
        from mcp.client.streamable_http import streamable_http_client

        settings = self._settings
        if settings.url is None:
            program, *arguments = settings.command
            given = {name: _variable(environment, name, settings) for name in settings.environment}
            target: Any = StdioServerParameters(command=program, args=arguments, env=given)
        else:
            headers = {}
            if settings.token_env is not None:
                token = _variable(environment, settings.token_env, settings)
                headers["Authorization"] = f"Bearer {token}"
            target = streamable_http_client(
                settings.url,
                http_client=httpx2.AsyncClient(headers=headers, timeout=settings.timeout_s),
            )
        portal = self._stack.enter_context(start_blocking_portal())
        client = Client(target, read_timeout_seconds=settings.timeout_s)
        try:
            self._stack.enter_context(portal.wrap_async_context_manager(client))
        except (MCPError, OSError, TimeoutError, httpx2.HTTPError, ExceptionGroup) as error:
            raise ToolError(f"MCP server {settings.name}: {_line(error)}") from error
        return portal, client

    def _listed(self) -> list[Tool[Any, Any]]:
        from mcp import MCPError

        found: list[Any] = []
        cursor: str | None = None
        try:
            while True:
                page = self._portal.call(partial(self._client.list_tools, cursor=cursor))
                found += page.tools
                cursor = page.next_cursor
                if cursor is None or len(found) > _MOST_TOOLS:
                    break
        except (MCPError, TimeoutError) as error:
            raise ToolError(f"MCP server {self._settings.name}: {_line(error)}") from error
        if len(found) > _MOST_TOOLS:
            raise ToolError(f"MCP server {self._settings.name}: more than {_MOST_TOOLS} tools")
        wanted = self._settings.tools
        missing = sorted(set(wanted) - {one.name for one in found})
        if missing:
            raise ToolError(f"MCP server {self._settings.name}: it has no tool {missing[0]}")
        return [self._tool(one) for one in found if not wanted or one.name in wanted]

    def _tool(self, offered: Any) -> Tool[Any, Any]:
        plain = re.sub(r"[^a-z0-9]+", "_", offered.name.lower()).strip("_")
        return Tool(
            f"{self._settings.name}_{plain}",
            " ".join((offered.description or offered.name).split())[:_MOST_DESCRIPTION],
            _arguments(offered.name, offered.input_schema),
            McpTold,
            lambda asked: self._call(offered.name, asked.model_dump(mode="json")),
        )

    def _call(self, name: str, arguments: dict[str, Any]) -> McpTold:
        from mcp import MCPError

        try:
            result = self._portal.call(lambda: self._client.call_tool(name, arguments))
        except (MCPError, TimeoutError, OSError, RuntimeError) as error:
            raise ToolError(f"{self._settings.name}: {name}: {_line(error)}") from error
        texts = [one.text for one in result.content if one.type == "text"]
        text = "\n".join(texts)[:_MOST_TEXT]
        if result.is_error:
            raise ToolError(f"{self._settings.name}: {name}: {' '.join(text.split())[:500]}")
        return McpTold(text=text, structured=result.structured_content)


def _arguments(name: str, schema: Mapping[str, Any]) -> type[BaseModel]:
    """A model that shows the server's own schema; the server checks what it gets."""

    def shown(told: dict[str, Any]) -> None:
        told.clear()
        told.update(schema)

    config = ConfigDict(extra="allow", json_schema_extra=shown)
    model: type[BaseModel] = create_model(f"{name}_arguments", __config__=config)
    return model


def _variable(environment: Mapping[str, str], name: str, settings: McpServerSettings) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ToolError(f"MCP server {settings.name}: the environment variable {name} is not set")
    return value


def _line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):  # of the tasks that a connection is made of
        error = error.exceptions[0]
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
