"""``ray-matdesign report``."""

import csv
import json
from pathlib import Path


def loops(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_the_page_goes_where_it_is_asked_to(command, campaign: Path, tmp_path: Path) -> None:
    assert command("run", campaign, "--out", "run").status == 0
    (tmp_path / "run" / "report.html").unlink()
    assert command("report", "run").out == "run/report.html\n"
    assert command("report", "run", "--out", "elsewhere.html").out == "elsewhere.html\n"
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "elsewhere.html").exists()


def test_hits_are_exported_for_other_programs(command, campaign: Path, tmp_path: Path) -> None:
    assert command("run", campaign, "--out", "run").status == 0
    assert command("report", "run", "--export", "hits.csv").out == "run/report.html\nhits.csv\n"
    with (tmp_path / "hits.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(row["sun"] for row in loops(tmp_path / "run")) > 0
    assert all(row["cif"].startswith("data_") for row in rows)
    refused = command("report", "run", "--export", "hits.pdf")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == (
        "ray-matdesign: hits.pdf: cannot export to '.pdf'; use .extxyz, .xyz, .csv, .parquet, or a "
        "folder\n"
    )


def test_a_folder_that_is_no_run(command, tmp_path: Path) -> None:
    outcome = command("report", tmp_path)
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"ray-matdesign: {tmp_path} is not a run directory")
