"""The frame: help, versions, and errors as one line with the right status."""

import subprocess
import sys
from pathlib import Path

import pytest

import ray_matdesign

COMMANDS = [
    "run",
    "sample",
    "train",
    "relax",
    "score",
    "reference",
    "potential",
    "report",
    "status",
    "config",
]


def test_help_names_every_command(command) -> None:
    shown = command("--help")
    assert shown.status == 0
    assert all(f" {name} " in shown.out for name in COMMANDS)


@pytest.mark.parametrize(
    "name", [*COMMANDS, "reference build", "reference info", "config show", "potential check"]
)
def test_every_command_explains_itself(command, name: str) -> None:
    shown = command(*name.split(), "--help")
    assert shown.status == 0
    assert f"ray-matdesign {name}" in shown.out


def test_version(command) -> None:
    assert command("--version").out == f"ray-matdesign {ray_matdesign.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fly"], "ray-matdesign: No such command 'fly'; see ray-matdesign --help"),
        (
            ["run"],
            "ray-matdesign: Missing argument 'RECIPE|FILE|RUN_DIR'; see ray-matdesign run --help",
        ),
        (
            ["sample", "--zzz", "1"],
            "ray-matdesign: No such option: --zzz; see ray-matdesign sample --help",
        ),
    ],
)
def test_a_wrong_command_line_is_one_line(command, arguments: list[str], line: str) -> None:
    outcome = command(*arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == f"{line}\n"


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plug-in with a bug in it."""
    (tmp_path / "broken.py").write_text("def potential():\n    return {}['nothing']\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("broken")
def test_a_bug_is_told_from_a_mistake_of_the_user(command, copper: Path) -> None:
    outcome = command("relax", copper, "--potential", "broken:potential")
    assert outcome.status == 1
    assert outcome.err == (
        "ray-matdesign: internal error: KeyError: 'nothing' (ray-matdesign --debug ... shows "
        "where)\n"
    )


@pytest.mark.usefixtures("broken")
def test_debug_shows_the_traceback(command, copper: Path, monkeypatch) -> None:
    monkeypatch.setenv("RAY_MATDESIGN_DEBUG", "1")
    outcome = command("relax", copper, "--potential", "broken:potential")
    assert outcome.status == 1
    assert "Traceback" in outcome.err
    assert "broken.py" in outcome.err


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ray_matdesign", "report", "/nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("ray-matdesign: /nowhere is not a run directory")
