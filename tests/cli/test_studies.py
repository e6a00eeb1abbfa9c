from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ray_matdesign.cli.studies import app


@pytest.mark.slow
def test_a_person_can_run_a_study(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["copper", "--out", str(tmp_path / "copper")])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "copper").iterdir()) == [
        "data.json",
        "figure.png",
        "report.md",
    ]


@pytest.mark.slow
def test_silicon_under_strain_by_chgnet(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["elasticity", "Si", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    report = (tmp_path / "report.md").read_text()
    assert "McSkimin" in report
