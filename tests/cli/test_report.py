"""``ray-matdesign report``."""

from pathlib import Path


def test_the_page_goes_where_it_is_asked_to(command, campaign: Path, tmp_path: Path) -> None:
    assert command("run", campaign, "--out", "run").status == 0
    (tmp_path / "run" / "report.html").unlink()
    assert command("report", "run").out == "run/report.html\n"
    assert command("report", "run", "--out", "elsewhere.html").out == "elsewhere.html\n"
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "elsewhere.html").exists()


def test_a_folder_that_is_no_run(command, tmp_path: Path) -> None:
    outcome = command("report", tmp_path)
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"ray-matdesign: {tmp_path} is not a run directory")
