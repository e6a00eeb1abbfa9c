"""A headless Chromium, driven through its own debugging pipe: nothing else is needed."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
    "--disable-dev-shm-usage", "--remote-debugging-pipe", "--disable-background-networking",
)  # fmt: skip


def chromium() -> str | None:
    """Path of the browser, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a browser.

    Args:
        program: Path of the browser.
        profile: An empty folder.
        url: Of the page.
    """

    def __init__(self, program: str, profile: Path, url: str) -> None:
        command_read, self._command = os.pipe()
        self._told, told_write = os.pipe()
        # The browser reads from 3 and writes to 4.
        script = f'exec "$@" 3<&{command_read} 4>&{told_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", program, *_FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(command_read, told_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_read)
        os.close(told_write)
        self._rest = b""
        self._numbers = itertools.count(1)
        target = self._send("Target.createTarget", {"url": url})["targetId"]
        attached = self._send("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = attached["sessionId"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._command)  # at which the browser ends
        try:
            self._process.wait(20.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._told)

    def run(self, script: str) -> Any:
        """Value of an expression on the page, as JSON."""
        told = self._send(
            "Runtime.evaluate",
            {"expression": script, "returnByValue": True, "awaitPromise": True},
            self._session,
        )
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def text(self, selector: str) -> str:
        """What an element shows; empty if it is not there or hidden."""
        found = f"document.querySelector({json.dumps(selector)})"
        return str(self.run(f"{found} && {found}.offsetParent ? {found}.innerText : ''"))

    def fill(self, selector: str, text: str) -> None:
        """Types into a field."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{found}.value = {json.dumps(text)}; {found}.dispatchEvent(new Event('change'))")

    def click(self, selector: str) -> None:
        """Presses a button."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def wait(self, selector: str, part: str, within_s: float = 60.0) -> str:
        """Waits until an element shows a text; returns all that it shows."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            shown = self.text(selector)
            if part in shown:
                return shown
            time.sleep(0.1)
        raise AssertionError(f"{selector} shows {self.text(selector)!r}, not {part!r}")

    def _send(self, method: str, options: dict[str, Any], session: str | None = None) -> Any:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": options}
        if session is not None:
            message["sessionId"] = session
        os.write(self._command, json.dumps(message).encode() + b"\0")
        while True:
            told = self._read()
            if told.get("id") == number:
                assert "error" not in told, told
                return told["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._told, 65536)
            if not piece:
                raise AssertionError("the browser has ended")
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told
