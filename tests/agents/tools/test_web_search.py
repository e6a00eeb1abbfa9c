from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from ray_matdesign.agents.tools.protocol import ToolError
from ray_matdesign.agents.tools.web_search import web_search_tool
from ray_matdesign.config.documentation import WebSearchSettings


class _Engine(BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[dict[str, list[str]], str | None]]] = []

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.seen.append((parse_qs(parts.query), self.headers.get("Authorization")))
        answer = {
            "/search": json.dumps(
                {"results": [{"title": "T", "url": "http://a", "content": "x " * 900}] * 9}
            ),
            "/strange": "<html>",
            "/flood": "[" + "1," * 2_000_000 + "1]",
        }.get(parts.path)
        self.send_response(200 if answer else 503)
        self.end_headers()
        self.wfile.write((answer or "").encode())

    def log_message(self, *_: object) -> None:
        """Nothing is written."""


@pytest.fixture
def engine() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Engine)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_pages_come_back_cut_and_counted(engine: str) -> None:
    settings = WebSearchSettings(url=f"{engine}/search", token_env="TOKEN", most_results=3)
    tool = web_search_tool(settings, {"TOKEN": "s3cret"})
    told = tool.call({"question": "band gap of ZnO"})
    assert len(told.pages) == 3
    assert len(told.pages[0].excerpt) == 800
    query, token = _Engine.seen[-1]
    assert query == {"q": ["band gap of ZnO"], "format": ["json"]}
    assert token == "Bearer s3cret"


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/strange", "SearXNG"), ("/down", "503"), ("/flood", "more than 2 MB")],
)
def test_an_engine_that_fails_is_an_error_of_the_tool(engine: str, path: str, reason: str) -> None:
    tool = web_search_tool(WebSearchSettings(url=f"{engine}{path}"))
    with pytest.raises(ToolError, match=reason):
        tool.call({"question": "anything"})


def test_a_token_that_is_not_set_is_an_error() -> None:
    settings = WebSearchSettings(url="http://127.0.0.1:1", token_env="NO_SUCH_TOKEN")
    with pytest.raises(ToolError, match="NO_SUCH_TOKEN is not set"):
        web_search_tool(settings, {})
