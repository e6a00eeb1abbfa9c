"""Reading run directories in every state a run can leave them in."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ray_matdesign.report.run_data import RunDirectoryError, read_run

RunMaker = Callable[..., Path]


def test_a_finished_run_is_complete_and_without_notices(finished_run: Path) -> None:
    run = read_run(finished_run)
    assert run.complete
    assert not run.running
    assert run.notices == ()
    assert len(run.candidates) == 8 * 32
    assert [prop.axis for prop in run.properties] == ["Mass density (g/cm³)"]


def test_filters_bring_their_units(make_run: RunMaker) -> None:
    directory = make_run(
        loops=1,
        objective={
            "terms": [{"scorer": "density", "transform": {"kind": "step", "low": 5}}],
            "filters": [{"scorer": "density", "max": 20}, {"scorer": "price", "max": 100}],
        },
    )
    told = json.loads((directory / "objective.json").read_text())
    told["filters"] = [{"name": "price", "unit": "USD/kg", "source": "a table"}]
    (directory / "objective.json").write_text(json.dumps(told))
    limited = read_run(directory).limited
    assert [prop.axis for prop in limited] == [
        "Mass density (g/cm³)",
        "Price of the elements (USD/kg)",
    ]
    assert limited[1].source == "a table"


def test_a_run_in_progress_is_known_by_its_lock(make_run: RunMaker) -> None:
    directory = make_run(loops=2)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert read_run(directory).running
    assert not read_run(directory).running


def test_a_line_cut_short_is_left_out_and_told(make_run: RunMaker) -> None:
    directory = make_run(loops=3)
    log = directory / "metrics.jsonl"
    log.write_text(log.read_text()[:-40])
    run = read_run(directory)
    assert [record["loop"] for record in run.metrics] == [1, 2]
    assert run.notices == ("metrics.jsonl, line 3, is no record of a loop: left out.",)


def test_a_loop_recorded_twice_counts_once(make_run: RunMaker) -> None:
    directory = make_run(loops=2)
    log = directory / "metrics.jsonl"
    log.write_text(log.read_text() + log.read_text().splitlines()[-1] + "\n")
    run = read_run(directory)
    assert [record["loop"] for record in run.metrics] == [1, 2]
    assert "recorded twice" in run.notices[0]


def test_a_damaged_table_is_left_out_and_told(make_run: RunMaker) -> None:
    directory = make_run(loops=3)
    table = directory / "candidates" / "loop-00002.parquet"
    table.write_bytes(table.read_bytes()[:200])
    run = read_run(directory)
    assert set(run.candidates["loop"]) == {1, 3}
    assert "candidates/loop-00002.parquet could not be read" in run.notices[0]
    assert run.notices[1] == "No candidates on file for loop(s) 2."


def test_missing_side_files_are_told_and_units_then_unknown(make_run: RunMaker) -> None:
    directory = make_run(loops=1)
    (directory / "versions.json").unlink()
    (directory / "objective.json").write_text("{")
    run = read_run(directory)
    assert run.notices[0].startswith("versions.json is missing")
    assert run.notices[1].startswith("objective.json could not be read")
    assert run.properties[0].axis == "Mass density (unit not recorded)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is not a run directory"),
        ("a: [", r"config.yaml: line 1, column 5: "),
        ("name: x\nrl: {lop: 3}\nobjective: {terms: []}", "did you mean rl.loops"),
    ],
)
def test_no_readable_configuration_is_an_error_that_names_the_file(
    tmp_path: Path, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(RunDirectoryError, match=message) as caught:
        read_run(tmp_path)
    assert all(line.startswith(str(tmp_path)) for line in str(caught.value).splitlines())
