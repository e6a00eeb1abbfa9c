from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import BaseModel, Field

from ray_matdesign.agents.tools.protocol import Tool, Toolbox, ToolError
from ray_matdesign.config.documentation import McpServerSettings

pytest.importorskip("mcp", reason="the extra mcp is not installed")

from ray_matdesign.agents.tools.mcp_client import McpTools
from ray_matdesign.agents.tools.mcp_server import NotOffered, http_app

PROGRAM = """
from pydantic import BaseModel
from ray_matdesign.agents.tools.mcp_server import serve_stdio
from ray_matdesign.agents.tools.protocol import Tool, Toolbox, ToolError


class Asked(BaseModel):
    kelvin: float


class Told(BaseModel):
    celsius: float


def convert(asked):
    if asked.kelvin < 0:
        raise ToolError("kelvin: there is nothing below zero")
    return Told(celsius=asked.kelvin - 273.15)


serve_stdio(Toolbox([Tool("to_celsius", "Converts a temperature.", Asked, Told, convert)]))
"""


class Asked(BaseModel):
    a: float
    b: float = Field(default=1.0, description="Second factor.")


class Told(BaseModel):
    product: float


TOOLBOX = Toolbox(
    [Tool("multiply", "Multiplies.", Asked, Told, lambda asked: Told(product=asked.a * asked.b))]
)


@pytest.fixture(scope="module")
def started() -> Iterator[McpTools]:
    settings = McpServerSettings(name="thermo", command=(sys.executable, "-c", PROGRAM))
    with McpTools(settings) as tools:
        yield tools


def test_tools_of_a_started_server_are_ours(started: McpTools) -> None:
    (tool,) = started.tools
    assert tool.name == "thermo_to_celsius"
    assert tool.schema()["parameters"]["properties"]["kelvin"]["type"] == "number"
    assert tool.call({"kelvin": 300.0}).structured == {"celsius": pytest.approx(26.85)}


def test_what_a_tool_cannot_answer_is_its_error(started: McpTools) -> None:
    (tool,) = started.tools
    with pytest.raises(ToolError, match="nothing below zero"):
        tool.call({"kelvin": -1.0})
    with pytest.raises(ToolError, match="kelvin"):
        tool.call({"kelvin": "warm"})


def test_calls_from_several_threads(started: McpTools) -> None:
    (tool,) = started.tools
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda k: tool.call({"kelvin": float(k)}).structured, range(12)))
    assert [round(one["celsius"] + 273.15) for one in told] == list(range(12))


def test_a_server_that_cannot_be_started_is_an_error() -> None:
    settings = McpServerSettings(name="none", command=("/no/such/program",))
    with pytest.raises(ToolError, match="MCP server none"):
        McpTools(settings)


def test_a_tool_that_is_not_there_is_an_error() -> None:
    settings = McpServerSettings(
        name="thermo", command=(sys.executable, "-c", PROGRAM), tools=("to_kelvin",)
    )
    with pytest.raises(ToolError, match="no tool to_kelvin"):
        McpTools(settings)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    import uvicorn

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = http_app(TOOLBOX, token_env="TOKEN", environment={"TOKEN": "s3cret"})
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/mcp"
    server.should_exit = True
    thread.join(30)


def test_tools_over_http(url: str) -> None:
    settings = McpServerSettings(name="far", url=url, token_env="TOKEN")
    with McpTools(settings, {"TOKEN": "s3cret"}) as tools:
        (tool,) = tools.tools
        assert tool.call({"a": 6.0, "b": 7.0}).structured == {"product": 42.0}


def test_without_the_token_nobody_is_served(url: str) -> None:
    settings = McpServerSettings(name="far", url=url, token_env="TOKEN")
    with pytest.raises(ToolError, match="MCP server far"):
        McpTools(settings, {"TOKEN": "wrong"})


def test_no_server_that_others_reach_goes_without_a_token() -> None:
    with pytest.raises(NotOffered, match="set token_env"):
        http_app(TOOLBOX, host="0.0.0.0")
    with pytest.raises(NotOffered, match="TOKEN is not set"):
        http_app(TOOLBOX, token_env="TOKEN", environment={})


@pytest.mark.parametrize(
    "given",
    [
        {"name": "x"},
        {"name": "x", "command": ["a"], "url": "http://a/mcp"},
        {"name": "x", "command": ["a"], "token_env": "T"},
        {"name": "No Spaces", "command": ["a"]},
    ],
)
def test_settings_that_contradict_themselves_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        McpServerSettings.model_validate(given)
