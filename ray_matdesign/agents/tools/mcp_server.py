"""A toolbox offered as an MCP server, over standard input and output or streamable HTTP.

Needs the extra ``mcp``.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ray_matdesign.agents.tools.loopback import is_loopback
from ray_matdesign.agents.tools.protocol import Toolbox, ToolError

if TYPE_CHECKING:
    from mcp.server import Server
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

NAME = "ray-matdesign"
PATH = "/mcp"
"""Where the streamable HTTP endpoint is."""


class NotOffered(RuntimeError):
    """A server that would not be safe, or whose token is missing; the message says which."""


def mcp_server(toolbox: Toolbox) -> Server[Any]:
    """The server, not yet on any wire.

    What a tool cannot answer goes back as an error of the tool, which a model can read and act on.

    Args:
        toolbox: All of it is offered. Tools run in threads, several at once.
    """
    import mcp_types as types
    from anyio import to_thread
    from mcp.server import Server

    async def list_tools(context: Any, asked: Any) -> types.ListToolsResult:
        offered = [tool.schema() | {"told": tool.told} for tool in toolbox.values()]
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=one["name"],
                    description=one["description"],
                    input_schema=one["parameters"],
                    output_schema=one["told"].model_json_schema(),
                )
                for one in offered
            ]
        )

    async def call_tool(context: Any, asked: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            told = await to_thread.run_sync(toolbox.call, asked.name, asked.arguments or {})
        except ToolError as error:
            return types.CallToolResult(content=[types.TextContent(text=str(error))], is_error=True)
        return types.CallToolResult(
            content=[types.TextContent(text=told.model_dump_json())],
            structured_content=told.model_dump(mode="json"),
        )

    return Server(NAME, on_list_tools=list_tools, on_call_tool=call_tool)


def serve_stdio(toolbox: Toolbox) -> None:
    """Serves until standard input ends."""
    import anyio
    from mcp.server.stdio import stdio_server

    server = mcp_server(toolbox)

    async def serve() -> None:
        async with stdio_server() as (receive, send):
            await server.run(receive, send, server.create_initialization_options())

    anyio.run(serve)


def http_app(
    toolbox: Toolbox,
    host: str = "127.0.0.1",
    token_env: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Starlette:
    """The server as an ASGI application with its endpoint at ``/mcp``.

    Args:
        toolbox: All of it is offered.
        host: Where it will listen. Requests that name another host are refused on loopback.
        token_env: Environment variable with the bearer token that clients must send.
        environment: Where the token is looked up; by default the process's own.

    Raises:
        NotOffered: Others could reach it, and no token is asked of them; or the variable is empty.
    """
    token = ""
    if token_env is not None:
        token = environment.get(token_env, "").strip()
        if not token:
            raise NotOffered(f"token_env: the environment variable {token_env} is not set")
    elif not is_loopback(host):
        raise NotOffered(f"host {host}: others can reach it, so set token_env")
    app = mcp_server(toolbox).streamable_http_app(host=host, streamable_http_path=PATH)
    if token:
        app.add_middleware(_Bearer, token=token)
    return app


def serve_http(
    toolbox: Toolbox, host: str = "127.0.0.1", port: int = 8765, token_env: str | None = None
) -> None:
    """Serves until the process is told to end; see :func:`http_app`."""
    import uvicorn

    uvicorn.run(http_app(toolbox, host, token_env), host=host, port=port, log_level="warning")


class _Bearer:
    """Answers 401 to requests without the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                from starlette.responses import PlainTextResponse

                await PlainTextResponse("bearer token missing or wrong", 401)(scope, receive, send)
                return
        await self._app(scope, receive, send)
