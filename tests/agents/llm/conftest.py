"""A small OpenAI-compatible server of the tests' own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_SERVE = Path(__file__).parents[2] / "serve"
if str(_SERVE) not in sys.path:
    sys.path.insert(0, str(_SERVE))


@pytest.fixture
def server() -> Iterator[object]:
    from tiny_server import TinyServer

    with TinyServer(["tiny"]) as running:
        yield running
