"""``ray-matdesign llm``."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))


def test_an_endpoint_that_will_do(command) -> None:
    from tiny_server import TinyServer

    with TinyServer(["tiny"]) as server:
        outcome = command("llm", "check", server.url)
    assert (outcome.status, outcome.err) == (0, "")
    rows = {row["check"]: row for row in csv.DictReader(io.StringIO(outcome.out))}
    assert list(rows) == ["health", "models", "schema", "speed"]
    assert {row["result"] for row in rows.values()} == {"ok"}
    assert rows["models"]["found"] == "tiny"
    assert rows["schema"]["found"] == '{"symbol":"Fe","is_magnetic":true}'
    assert "tokens/s (" in rows["speed"]["found"]


def test_an_endpoint_that_is_unwell(command) -> None:
    from tiny_server import TinyServer

    with TinyServer(["tiny"]) as server:
        server.health = 503
        outcome = command("llm", "check", server.url)
    assert outcome.status == 1
    assert "health,FAILED,status 503" in outcome.out


def test_a_choice_of_models_and_a_token(command, monkeypatch: pytest.MonkeyPatch) -> None:
    from tiny_server import TinyServer

    monkeypatch.setenv("MY_TOKEN", "abc")
    with TinyServer(["one", "two"], key="abc") as server:
        undecided = command("llm", "check", server.url, "--token-env", "MY_TOKEN")
        assert undecided.status == 2
        assert "serves one, two: choose with --model" in undecided.err
        chosen = command("llm", "check", server.url, "--token-env", "MY_TOKEN", "--model", "two")
        assert chosen.status == 0, chosen.err
        assert "status 401" in command("llm", "check", server.url).err


def test_mistakes_are_one_line(command) -> None:
    outcome = command("llm", "check", "127.0.0.1:8000")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("ray-matdesign: command line: url: '127.0.0.1:8000' is no URL")
    gone = command("llm", "check", "http://127.0.0.1:9/v1")
    assert gone.status == 2
    assert len(gone.err.splitlines()) == 1


def test_a_model_that_is_there_is_not_made_again(command, tmp_path: Path) -> None:
    from ray_matdesign.agents.llm.embedded import MANIFEST, MODELS

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / MANIFEST).write_text(f'{{"sha256": "{MODELS["embedded-small"].sha256}"}}')
    outcome = command("llm", "prepare", "--small", "--out", folder)
    assert (outcome.status, outcome.out) == (0, f"{folder}\n")
    refused = command("llm", "prepare", "--out", folder)
    assert refused.status == 2
    assert "is in the way" in refused.err
