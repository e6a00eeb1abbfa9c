"""``ray-matdesign run``, with the toy generator, in this process and as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ray_matdesign.config.loading import load_run_config, load_settings
from ray_matdesign.config.schema import RunConfig

TOY = Path(__file__).parents[1] / "rl"


def loops(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_dry_run_prints_the_settings_and_does_nothing(command, tmp_path: Path) -> None:
    outcome = command("run", "density", "rl.lr=1e-4", "--backend", "ray", "--dry-run")
    assert outcome.status == 0
    expected = load_run_config("density", ["rl.lr=1e-4", "execution.backend=ray"])
    assert load_settings(RunConfig, outcome.out, "stdout") == expected
    assert list(tmp_path.iterdir()) == []


def test_a_run_writes_its_report_and_is_not_overwritten(
    command, campaign: Path, tmp_path: Path
) -> None:
    first = command("run", campaign)
    run = Path("runs") / "toy"
    assert first.status == 0, first.err
    assert first.out == f"report: {run / 'report.html'}\n"
    assert "density" in (run / "report.html").read_text()
    assert "loop 2/2" in first.err

    again = command("run", campaign)
    assert again.status == 2
    assert again.err.splitlines()[-1] == (
        f"ray-matdesign: {run} holds a run already; continue it with --resume, or choose another "
        "folder"
    )
    assert command("run", run).err == (
        f"ray-matdesign: {run} is a run already; add --resume to go on with it\n"
    )

    more = command("run", run, "rl.loops=3", "--resume")
    assert more.status == 0, more.err
    assert [row["loop"] for row in loops(run)] == [1, 2, 3]


def test_resuming_with_other_settings_is_refused(command, campaign: Path) -> None:
    assert command("run", campaign, "--out", "here").status == 0
    outcome = command("run", campaign, "rl.sigma=1", "--out", "here", "--resume")
    assert outcome.status == 2
    assert "started with another rl.sigma" in outcome.err


def test_nothing_to_resume(command, campaign: Path) -> None:
    outcome = command("run", campaign, "--out", "new", "--resume")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith("ray-matdesign: new holds no run to resume")


def test_a_generator_that_is_not_there(command, campaign: Path) -> None:
    outcome = command("run", campaign, "generator.name=toys:load", "--out", "new")
    assert outcome.status == 2
    assert "generator 'toys:load': there is no module 'toys' to import" in outcome.err


def test_ctrl_c_stops_cleanly_and_the_run_goes_on(command, campaign: Path, tmp_path: Path) -> None:
    run = tmp_path / "long"
    call = [sys.executable, "-m", "ray_matdesign", "run", campaign, "rl.loops=100000"]
    environment = {**os.environ, "PYTHONPATH": str(TOY)}
    process = subprocess.Popen(
        [*map(str, call), "--out", str(run)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 120
        while not ((run / "metrics.jsonl").exists() and loops(run)) and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("ray-matdesign: stopped after loop ")
    assert "go on with --resume" in last

    done = len(loops(run))
    assert command("run", run, f"rl.loops={done + 1}", "--resume").status == 0
    assert len(loops(run)) == done + 1


@pytest.mark.ray
def test_on_ray_the_same_crystals_come_out(command, campaign: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ray_matdesign", "run", campaign, "--backend", "ray"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TOY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert command("run", campaign, "--out", "alone").status == 0
    figures = [
        [(row["mean_density"], row["sun"], row["reward_max"]) for row in loops(run)]
        for run in (tmp_path / "runs" / "toy", tmp_path / "alone")
    ]
    assert figures[0] == figures[1]
