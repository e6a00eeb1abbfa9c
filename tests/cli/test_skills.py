"""``ray-matdesign skills``."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import typer

from ray_matdesign.agents.benchmark.journal import Finished, Journal
from ray_matdesign.agents.sandbox.box import SandboxUnavailable
from ray_matdesign.agents.sandbox.tiers import best_tier
from ray_matdesign.cli import app as frame
from ray_matdesign.cli import skills

FOLDER = {
    "SKILL.md": """---
name: cell-volume
description: Volume of an orthorhombic cell.
---
Multiply the edges.
""",
    "skill.py": '''
def cell_volume(a: float, b: float, c: float) -> float:
    """Volume of an orthorhombic cell, in the cube of the edges' unit."""
    return a * b * c
''',
    "tests.json": json.dumps(
        {
            "cases": [
                {"inputs": {"a": 2.0, "b": 3.0, "c": 4.0}, "expected": 24.0},
                {"inputs": {"a": 1.5, "b": 3.0, "c": 4.0}, "expected": 18.0, "held_out": True},
            ]
        }
    ),
}
ID = "cell_volume@1.0.0"


@pytest.fixture
def call(command: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls ``ray-matdesign skills``, also where it is mounted elsewhere."""
    app = typer.Typer()
    app.add_typer(frame.app)
    app.add_typer(skills.app, name="skills")
    monkeypatch.setattr(frame, "app", app)
    return lambda *arguments: command("skills", *arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Somebody's skill."""
    try:
        best_tier()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    made = tmp_path / "cell-volume"
    made.mkdir()
    for name, text in FOLDER.items():
        (made / name).write_text(text)
    return made


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_skill_is_taken_in_judged_and_passed_on(call: Any, folder: Path, tmp_path: Path) -> None:
    imported = call("import", folder)
    assert (imported.status, imported.out) == (0, f"{ID}\n"), imported.err
    (row,) = _rows(call("list").out)
    assert (row["id"], row["status"], row["on offer"], row["at least"]) == (
        ID, "candidate", "yes", "0.05",
    )  # fmt: skip
    assert call("promote", ID, "--reason", "checked by hand").status == 0
    shown = call("show", ID).out
    assert f"{ID}: active, checked by hand" in shown
    assert "return a * b * c" in shown
    assert "replay: 2 calls, twice the same" in shown
    assert "(held out)" in shown
    verified = call("verify")
    assert (verified.status, _rows(verified.out)[0]["result"]) == (0, "ok")
    exported = call("export", ID, tmp_path / "out")
    meta = json.loads((Path(exported.out.strip()) / "meta.json").read_text())
    assert (meta["id"], meta["status"], meta["uses"]) == (ID, "active", 0)
    again = call("import", tmp_path / "out" / "cell-volume")
    assert again.status == 1
    assert again.err == f"refused: duplicate: the same code as {ID}\n"
    assert call("retire", ID, "--reason", "too simple").status == 0
    assert _rows(call("list").out) == []
    assert _rows(call("list", "--all").out)[0]["reason"] == "too simple"


def test_a_wrong_skill_is_refused_in_one_line(call: Any, folder: Path) -> None:
    (folder / "skill.py").write_text(FOLDER["skill.py"].replace("a * b * c", "a + b + c"))
    refused = call("import", folder)
    assert (refused.status, refused.out) == (1, "")
    assert refused.err == "refused: shown: a=2.0, b=3.0, c=4.0 gave 9.0, expected 24.0\n"


def test_mistakes_of_the_user_are_one_line(call: Any, folder: Path) -> None:
    nowhere = call("list", "--library", "nowhere")
    assert nowhere.status == 2
    assert nowhere.err == (
        "ray-matdesign: nowhere: no library of skills there; name one by --library\n"
    )
    assert call("import", folder).status == 0
    unknown = call("show", "x@1.0.0")
    assert (unknown.status, unknown.err) == (2, "ray-matdesign: x@1.0.0: no skill with that id\n")
    first = call("rollback", "cell_volume")
    assert first.status == 2
    assert first.err == f"ray-matdesign: {ID}: there is no version before it to go back to\n"
    (folder / "tests.json").unlink()
    assert "tests.json: missing" in call("import", folder).err


def test_two_runs_retire_a_skill_that_tasks_are_lost_by(
    call: Any, folder: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    assert call("import", folder, "--library", library).status == 0
    for mode, outcome, given in (("with", "wrong", [ID]), ("without", "right", [])):
        run = Journal(tmp_path / mode, {"mode": mode})
        for number in range(4):
            told = {"task": f"t{number}", "problem": f"p{number}", "outcome": outcome}
            same = {"question": "q", "category": "c", "level": 0, "variant": 1, "seconds": 1.0}
            run.add(Finished(**told, **same, repetition=0, skills=tuple(given)))
    runs = tmp_path / "with", tmp_path / "without"
    (row,) = _rows(call("weed", *runs, "--library", library).out)
    assert row == {"id": ID, "reason": "tasks are lost by it: 4 lost and 0 gained"}
    assert _rows(call("list", "--library", library).out) == []
