"""A small OpenAI-compatible server that stands where vLLM's does: its options, key and routes.

It does what the last message says: ``say TEXT``; ``wait SECONDS TEXT``, in a stream between the
words; ``fail STATUS TIMES`` before it answers ``at last``; ``break`` ends a stream without an end;
``form`` answers with something else than OpenAI's form. Under a JSON schema it answers with the
first object that fits, unless told to say something. A word is a token.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def first_that_fits(schema: dict[str, Any]) -> Any:
    """The first value of a schema, for the schemas of flat objects."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {name: first_that_fits(part) for name, part in schema["properties"].items()}
    return {"boolean": True, "number": 1.0, "integer": 1, "string": "", "array": []}[schema["type"]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TinyServer

    def log_message(self, *arguments: object) -> None:
        """Requests are no news."""

    def do_GET(self) -> None:
        if self.path == "/health":
            self._send(self.server.health, b"")
        elif not self._known():
            self._send_json(401, {"error": "unauthorized"})
        elif self.path == "/v1/models":
            self._send_json(200, {"data": [{"id": name} for name in self.server.models]})
        elif self.path == "/metrics":
            self._send(200, b"vllm:num_requests_running 0.0\n", "text/plain; version=0.0.4")
        else:
            self._send_json(404, {"error": {"message": "no such page"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append({"headers": dict(self.headers), "body": body})
        if not self._known():
            self._send_json(401, {"error": {"message": "wrong key"}})
            return
        verb, _, rest = body["messages"][-1]["content"].partition(" ")
        wait_s = 0.0
        if verb == "fail":
            status, times = map(int, rest.split())
            if self._failed_less(rest, times):
                self._send_json(status, {"error": {"message": "busy"}}, {"Retry-After": "0"})
                return
            rest = "at last"
        elif verb == "wait":
            seconds, _, rest = rest.partition(" ")
            wait_s = float(seconds)
        elif verb == "form":
            self._send_json(200, {"choices": []})
            return
        elif verb != "say" and "response_format" in body:
            schema = body["response_format"]["json_schema"]["schema"]
            rest = json.dumps(first_that_fits(schema))
        words = rest.split(" ")[: body["max_tokens"]]
        finish = "length" if len(rest.split(" ")) > body["max_tokens"] else "stop"
        if body.get("stream"):
            self._stream(body, words, wait_s, finish="" if verb == "break" else finish)
            return
        time.sleep(wait_s)
        message = {"role": "assistant", "content": " ".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        usage = self._usage(body, len(words))
        self._send_json(200, {"model": body["model"], "choices": [choice], "usage": usage})

    def _failed_less(self, what: str, times: int) -> bool:
        with self.server.lock:
            self.server.failures[what] += 1
            return self.server.failures[what] <= times

    def _stream(self, body: Any, words: list[str], wait_s: float, finish: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, word in enumerate(words):
            time.sleep(wait_s)
            text = word if number == 0 else f" {word}"
            self._event(body, [{"index": 0, "delta": {"content": text}, "finish_reason": None}])
        if finish:
            self._event(body, [{"index": 0, "delta": {}, "finish_reason": finish}])
            if body.get("stream_options", {}).get("include_usage"):
                self._event(body, [], self._usage(body, len(words)))
            self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, body: Any, choices: list[Any], usage: Any = None) -> None:
        event = {"model": body["model"], "choices": choices, "usage": usage}
        self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def _usage(self, body: Any, written: int) -> dict[str, int]:
        read = sum(len(message["content"].split()) for message in body["messages"])
        return {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }

    def _known(self) -> bool:
        key = self.server.key
        return not key or self.headers.get("Authorization") == f"Bearer {key}"

    def _send_json(self, status: int, told: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(told).encode(), "application/json", headers)

    def _send(
        self,
        status: int,
        content: bytes,
        kind: str = "text/plain",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class TinyServer(ThreadingHTTPServer):
    """Listens once made; ``with`` serves from a thread of its own."""

    daemon_threads = True

    def __init__(self, models: list[str], *, key: str = "", host: str = "127.0.0.1", port: int = 0):
        super().__init__((host, port), Handler)
        self.models = models
        self.key = key
        self.health = 200
        self.seen: list[dict[str, Any]] = []
        self.failures: Counter[str] = Counter()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self) -> TinyServer:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--model", required=True)
    options.add_argument("--served-model-name")
    options.add_argument("--host")
    options.add_argument("--port", type=int)
    options.add_argument("--max-model-len", type=int)
    options.add_argument("--max-num-seqs", type=int)
    options.add_argument("--max-num-batched-tokens", type=int)
    options.add_argument("--no-enable-chunked-prefill", action="store_true")
    options.add_argument("--die-at-start", type=int, default=0)
    options.add_argument("--never-listen", action="store_true")
    options.add_argument("--pid-file")
    given = options.parse_args()
    if given.pid_file:
        with open(given.pid_file, "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
    if given.die_at_start:
        sys.exit(given.die_at_start)
    if given.never_listen:
        time.sleep(3600)
    name = given.served_model_name or given.model
    key = os.environ["VLLM_API_KEY"]
    TinyServer([name], key=key, host=given.host, port=given.port).serve_forever()


if __name__ == "__main__":
    main()
