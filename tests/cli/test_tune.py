"""``ray-matdesign tune``: what it lists, and what it refuses; sweeps as such: tests/tune."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ray_matdesign.config.yaml_text import format_yaml

Command = Callable[..., object]


@pytest.fixture
def sweep(campaign: Path, tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    settings = {
        "name": "lr",
        "recipe": str(campaign),
        "space": {"rl.lr": {"kind": "loguniform", "low": 0.001, "high": 0.1}},
        "algorithm": {"kind": "random"},
        "metrics": [{"name": "reward"}],
        "trials": 3,
    }
    path.write_text(format_yaml(settings))
    return path


def test_a_dry_run_lists_every_trial(command: Command, sweep: Path) -> None:
    done = command("tune", sweep, "--dry-run", "trials=5", "rl.loops=7")
    assert done.status == 0
    lines = done.out.splitlines()
    assert len(lines) == 5
    assert all("loops=7" in line and "rl.lr=" in line for line in lines)
    assert command("tune", sweep, "--dry-run").out.splitlines() == [
        line.replace("loops=7", "loops=2") for line in lines[:3]
    ]
    assert not (sweep.parent / "sweeps").exists()


def test_a_genetic_search_lists_its_first_generation(command: Command, sweep: Path) -> None:
    done = command(
        "tune", sweep, "--dry-run", "trials=9", "algorithm={kind: nsga2, population: 4}",
        "metrics=[{name: reward}, {name: sun_fraction}]",
    )  # fmt: skip
    assert len(done.out.splitlines()) == 5
    assert "5 more, bred from those before them" in done.out


def test_an_unknown_key_is_one_line(command: Command, sweep: Path) -> None:
    sweep.write_text(sweep.read_text().replace("rl.lr:", "rl.learning_rate:"))
    done = command("tune", sweep, "--dry-run")
    assert done.status == 2
    (line,) = done.err.splitlines()
    assert line.startswith(f"ray-matdesign: {sweep}: space: rl.learning_rate: unknown key")


def test_there_must_be_something_to_resume(command: Command, sweep: Path, tmp_path: Path) -> None:
    done = command("tune", sweep, "--resume", "--out", tmp_path / "nothing")
    assert done.status == 2
    assert "holds no sweep to resume" in done.err


def test_a_sweep_is_not_begun_twice(command: Command, sweep: Path, tmp_path: Path) -> None:
    folder = tmp_path / "begun"
    folder.mkdir()
    (folder / "sweep.yaml").write_text(sweep.read_text())
    (folder / "bases.json").write_text("{}")
    assert "add --resume" in command("tune", folder).err
    assert "holds a sweep already" in command("tune", sweep, "--out", folder).err
