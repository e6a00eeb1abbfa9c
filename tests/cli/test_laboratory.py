"""``ray-matdesign cascade lab``, as its own command."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ray_matdesign.cli.laboratory import NOT_FOUND, app


def test_routes_are_listed() -> None:
    done = CliRunner().invoke(app, ["plan", "BaTiO3", "--most", "3"])
    assert done.exit_code == 0
    header, *rows = done.output.splitlines()
    assert header.startswith("rank,reaction,atmosphere")
    assert len(rows) == 3
    assert "-> BaTiO3" in rows[0]


def test_a_token_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    done = CliRunner().invoke(app, ["jobs", "http://127.0.0.1:9", "--token-env", "NO_SUCH_TOKEN"])
    assert "NO_SUCH_TOKEN is not set" in str(done.exception)


def test_a_campaign_without_the_target_says_so_and_goes_on_later(tmp_path: Path) -> None:
    command = ["run", "BaTiO3", "--out", str(tmp_path / "c"), "--goal", "1.0", "--budget", "1"]
    for _ in range(2):
        done = CliRunner().invoke(app, command)
        assert done.exit_code in (0, NOT_FOUND)
    assert len((tmp_path / "c" / "journal.jsonl").read_text().splitlines()) == 2
