"""The log of a run: every line is JSON, and says which run, loop and candidates it is about."""

from __future__ import annotations

import io
import json
import logging
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import toy

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.rl import log
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.log import JsonLines, RunLog, run_id
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of


def run(config: RunConfig, directory: Path, stream: io.StringIO | None = None, **options: Any):
    with RunLog(stream) as watcher, closing(LocalExecutor(roles_of(config))) as executor:
        start_run(config, directory, executor, progress=watcher, **options)


def lines(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def config(reference: Path) -> RunConfig:
    return toy.config(reference, **{"rl.loops": 2})


def test_a_run_tells_its_story(config: RunConfig, tmp_path: Path) -> None:
    run(config, tmp_path / "run")
    story = lines(tmp_path / "run")
    events = [line["event"] for line in story if "event" in line and line["event"] != "stage"]
    assert events == [
        "run_started", *["loop_started", "loop_finished"] * 2, "run_ended"
    ]  # fmt: skip
    assert story[-1]["outcome"] == "finished"
    (identity,) = {line["run"] for line in story}
    assert identity == run_id(tmp_path / "run")
    assert identity.startswith("run-0-2")
    rows = [json.loads(row) for row in (tmp_path / "run" / "metrics.jsonl").open()]
    told = [line for line in story if line.get("event") == "loop_finished"]
    assert [(t["loop"], t["sun"], t["reward_max"]) for t in told] == [
        (row["loop"], row["sun"], row["reward_max"]) for row in rows
    ]


def test_batches_carry_the_keys_of_their_candidates(config: RunConfig, tmp_path: Path) -> None:
    run(config, tmp_path / "run")
    paid = [line for line in lines(tmp_path / "run") if "candidates" in line]
    ledgers = sorted((tmp_path / "run" / "ledger").glob("*.jsonl"))
    entries = [json.loads(row) for path in ledgers for row in path.open()]
    assert [line["candidates"] for line in paid] == [list(entry["results"]) for entry in entries]
    for line in paid:
        assert line["stage"] in ("relax", "evaluate")
        assert all(key.startswith(f"{line['loop']:05d}-") for key in line["candidates"])


def test_every_stage_is_logged_as_it_begins_and_ends(config: RunConfig, tmp_path: Path) -> None:
    run(config, tmp_path / "run")
    stages = [line for line in lines(tmp_path / "run") if line.get("event") == "stage"]
    for loop in (1, 2):
        mine = [s for s in stages if s["loop"] == loop]
        names = list(dict.fromkeys(s["stage"] for s in mine))
        assert names == ["sample", "relax", "evaluate", "finetune"]
        for name in names:
            done = [s["done"] for s in mine if s["stage"] == name]
            total = next(s["total"] for s in mine if s["stage"] == name)
            assert (done[0], done[-1]) == (0, total)


def test_quick_stages_do_not_flood_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    with RunLog(stream) as watcher:
        for done in range(1001):
            watcher.stage("relax", done, 1000)
        monkeypatch.setattr(log, "STAGE_EVERY_S", 0.0)
        watcher.stage("evaluate", 0, 10)
        watcher.stage("evaluate", 5, 10)
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(t["stage"], t["done"]) for t in told if t["event"] == "stage"] == [
        ("relax", 0), ("relax", 1000), ("evaluate", 0), ("evaluate", 5)
    ]  # fmt: skip


def test_what_comes_before_the_run_directory_is_kept(config: RunConfig, tmp_path: Path) -> None:
    stream = io.StringIO()
    with RunLog(stream) as watcher, closing(LocalExecutor(roles_of(config))) as executor:
        logging.getLogger("ray_matdesign.distributed.pool").warning("worker 7 was lost")
        start_run(config, tmp_path / "run", executor, progress=watcher)
    first = lines(tmp_path / "run")[0]
    assert (first["message"], first["level"]) == ("worker 7 was lost", "warning")
    assert first["run"] == run_id(tmp_path / "run")
    assert "run" not in json.loads(stream.getvalue().splitlines()[0])


def test_a_resumed_run_goes_on_in_the_same_log(config: RunConfig, tmp_path: Path) -> None:
    run(config, tmp_path / "run")
    before = lines(tmp_path / "run")
    longer = config.model_copy(update={"rl": config.rl.model_copy(update={"loops": 3})})
    run(longer, tmp_path / "run", resume=True)
    after = lines(tmp_path / "run")
    assert after[: len(before)] == before
    started = [line["first_loop"] for line in after if line.get("event") == "run_started"]
    assert started == [1, 3]
    assert len({line["run"] for line in after}) == 1


@pytest.mark.parametrize(
    ("error", "outcome", "level"),
    [
        (KeyboardInterrupt("stopped after loop 3"), "interrupted", "info"),
        (ValueError("no"), "failed", "error"),
    ],
)
def test_how_a_run_ended(error: BaseException, outcome: str, level: str) -> None:
    stream = io.StringIO()
    with pytest.raises(type(error)), RunLog(stream):
        raise error
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["outcome"], line["level"]) == (outcome, level)
    assert str(error) in line["message"]


def test_nothing_is_left_behind_on_the_loggers() -> None:
    package = logging.getLogger("ray_matdesign")
    before = (list(package.handlers), package.level)
    with RunLog(io.StringIO()):
        assert package.level == logging.INFO
    assert (list(package.handlers), package.level) == before


def test_warnings_are_printed_but_notes_are_the_consoles(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own
    with RunLog() as watcher:
        logging.getLogger("ray_matdesign.distributed.pool").warning("worker 7 was lost")
        logging.getLogger("ray_matdesign.rl.stages").info("batch done")
        watcher.note("loop 1: a batch failed")
    assert capsys.readouterr().err == "worker 7 was lost\n"


def test_a_line_is_json_whatever_it_carries() -> None:
    formatter = JsonLines()
    formatter.context["run"] = "demo"
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord(
            "ray_matdesign.x", logging.ERROR, __file__, 1, "%s failed", ("CuAu",), None
        )
        record.exc_info = sys.exc_info()
    record.where = Path("runs")
    text = formatter.format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["message"], line["run"], line["where"]) == ("CuAu failed", "demo", "runs")
    assert line["traceback"].endswith("ValueError: two\nlines")
    assert line["time"].endswith("+00:00")
