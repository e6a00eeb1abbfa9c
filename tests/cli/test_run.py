"""``ray-matdesign run``, with the toy generator, in this process and as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from ray_matdesign.config.loading import load_run_config, load_settings
from ray_matdesign.config.schema import RunConfig
from tests.signals import born_with

TOY = Path(__file__).parents[1] / "rl"
SLOW_TOY = Path(__file__).parents[1] / "distributed"


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


def test_settings_on_top_of_a_recipe(command, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("rl: {loops: 3, samples: 5}\n")
    outcome = command("run", "density", "--config", "small.yaml", "rl.samples=4", "--dry-run")
    config = load_settings(RunConfig, outcome.out, "stdout")
    assert (config.rl.loops, config.rl.samples) == (3, 4)
    (tmp_path / "small.yaml").write_text("rl: {lops: 3}\n")
    wrong = command("run", "density", "--config", "small.yaml", "--dry-run")
    assert wrong.status == 2
    assert wrong.err.startswith("ray-matdesign: small.yaml: rl.lops: ")


def test_the_log_as_json_takes_the_place_of_progress(command, campaign: Path) -> None:
    outcome = command("run", campaign, "--out", "run", "--log-json")
    assert (outcome.status, outcome.out) == (0, "report: run/report.html\n")
    shown = [json.loads(line) for line in outcome.err.splitlines()]
    kept = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    assert shown == kept
    assert [line["loop"] for line in shown if line.get("event") == "loop_finished"] == [1, 2]
    assert shown[-1]["outcome"] == "finished"


def test_a_stopped_run_says_so_in_its_log_of_json(campaign: Path, tmp_path: Path) -> None:
    run = tmp_path / "long"
    with long_run(run, campaign, "--log-json") as process:
        assert wait_for_loop(run, 1, process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (143, "")
    last = json.loads(err.splitlines()[-1])
    assert last["outcome"] == "interrupted"
    assert last["message"].startswith("stopped after loop ")


def test_resuming_with_other_settings_is_refused(command, campaign: Path) -> None:
    assert command("run", campaign, "--out", "here").status == 0
    outcome = command("run", campaign, "rl.sigma=1", "--out", "here", "--resume")
    assert outcome.status == 2
    assert "started with another rl.sigma" in outcome.err


def test_nothing_to_resume(command, campaign: Path) -> None:
    outcome = command("run", campaign, "--out", "new", "--resume")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith("ray-matdesign: new holds no run to resume")


def test_a_run_may_be_kept_at_a_uri(
    command, campaign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow import fs

    from ray_matdesign.rl import storage

    bucket = fs._MockFileSystem()

    def opened(place: str) -> storage.Storage:
        return storage.ArrowStorage(bucket, place.removeprefix("s3://"), place)

    monkeypatch.setattr(storage, "open_storage", opened)
    assert command("run", campaign, "--out", "s3://b/toy", "--resume").err.endswith(
        "s3://b/toy holds no run to resume; start one without --resume\n"
    )
    first = command("run", campaign, "--out", "s3://b/toy")
    assert first.status == 0, first.err
    assert first.out == "report: s3://b/toy/report.html\n"
    names = opened("s3://b/toy").names()
    assert {"report.html", "config.yaml", "metrics.jsonl"} <= set(names)
    again = command("run", campaign, "--out", "s3://b/toy")
    assert again.status == 2
    assert "s3://b/toy holds a run already; continue it with --resume" in again.err
    more = command("run", "s3://b/toy", "rl.loops=3", "--resume")
    assert more.status == 0, more.err
    rows = (opened("s3://b/toy").read("metrics.jsonl") or b"").decode().splitlines()
    assert [json.loads(row)["loop"] for row in rows] == [1, 2, 3]
    assert not list(tmp_path.glob("s3*"))


def test_a_generator_that_is_not_there(command, campaign: Path) -> None:
    outcome = command("run", campaign, "generator.name=toys:load", "--out", "new")
    assert outcome.status == 2
    assert "generator 'toys:load': there is no module 'toys' to import" in outcome.err


@contextmanager
def long_run(
    directory: Path,
    campaign: Path,
    *options: str,
    sigint: signal.Handlers = signal.SIG_DFL,
    modules: Path = SLOW_TOY,
) -> Iterator[subprocess.Popen[str]]:
    """A run without end, in a process group of its own."""
    call = [sys.executable, "-m", "ray_matdesign", "run", campaign, "rl.loops=100000"]
    with born_with(signal.SIGINT, sigint):
        process = subprocess.Popen(
            [*map(str, call), "--out", str(directory), *options],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TOY, modules)))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_loop(directory: Path, number: int, process: subprocess.Popen[str]) -> bool:
    metrics = directory / "metrics.jsonl"
    return wait_for(lambda: metrics.exists() and len(loops(directory)) >= number, process)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
    until = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.1)
    return False


def assert_stopped_cleanly(process: subprocess.Popen[str], status: int) -> None:
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert out == ""
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("ray-matdesign: stopped after loop ")
    assert "go on with --resume" in last


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_goes_on(
    command, campaign: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    run = tmp_path / "long"
    with long_run(run, campaign) as process:
        assert wait_for_loop(run, 1, process)
        process.send_signal(number)
        assert_stopped_cleanly(process, status)
    done = len(loops(run))
    assert command("run", run, f"rl.loops={done + 1}", "--resume").status == 0
    assert [row["loop"] for row in loops(run)] == list(range(1, done + 2))


def test_a_run_started_with_sigint_ignored_heeds_sigterm_alone(
    campaign: Path, tmp_path: Path
) -> None:
    run = tmp_path / "long"
    with long_run(run, campaign, sigint=signal.SIG_IGN) as process:
        assert wait_for_loop(run, 1, process)
        process.send_signal(signal.SIGINT)
        assert wait_for_loop(run, len(loops(run)) + 2, process), "SIGINT was not ignored"
        process.send_signal(signal.SIGTERM)
        assert_stopped_cleanly(process, 143)


def test_a_run_stopped_while_it_starts_says_so(campaign: Path, tmp_path: Path) -> None:
    (tmp_path / "stopping.py").write_text(
        "import os, signal\n"
        "def load(settings):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    raise AssertionError('SIGTERM was not heeded')\n"
    )
    call = [sys.executable, "-m", "ray_matdesign", "run", str(campaign)]
    done = subprocess.run(
        [*call, "generator.name=stopping:load"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TOY), str(tmp_path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (143, "")
    assert done.stderr.splitlines() == [
        "ray-matdesign: stopped before the run began; runs/toy holds nothing to resume"
    ]


def slow_generator(log: Path, delay_s: float) -> list[str]:
    """Settings of a generator that signs in when it begins and takes its time."""
    options = {"name": "slow_toy:load", "options.log": log, "options.delay": delay_s}
    return [f"generator.{key}={value}" for key, value in options.items()]


@pytest.mark.ray
@pytest.mark.timeout(600)  # Ray takes minutes to start where the processor is busy
@pytest.mark.parametrize("whole_group", [pytest.param(False, marks=pytest.mark.slow), True])
def test_on_ray_sigterm_stops_a_run_and_its_workers(
    command,
    campaign: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole_group: bool,
) -> None:
    run = tmp_path / "long"
    # When Ray has waited for a second, it is Ray that hears of signals, and not Python.
    slow = slow_generator(tmp_path / "log", 1.5)
    with long_run(run, campaign, "--backend", "ray", *slow) as process:
        assert wait_for_loop(run, 1, process)
        family = psutil.Process(process.pid).children(recursive=True)
        if whole_group:  # as batch schedulers do; what Ray runs on must outlive the way out
            assert process.pid not in {os.getpgid(child.pid) for child in family}
            os.killpg(process.pid, signal.SIGTERM)
        else:
            process.send_signal(signal.SIGTERM)
        assert_stopped_cleanly(process, 143)
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    done = len(loops(run))
    monkeypatch.syspath_prepend(SLOW_TOY)
    assert command("run", run, f"rl.loops={done + 1}", "--backend", "local", "--resume").status == 0


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_on_ray_a_run_stopped_while_its_workers_start_says_so(
    campaign: Path, tmp_path: Path
) -> None:
    (tmp_path / "starting.py").write_text(
        "import pathlib, time\n"
        "def load(settings):\n"
        "    pathlib.Path(settings.options['log']).touch()\n"
        "    time.sleep(600.0)\n"
    )
    log = tmp_path / "log"
    settings = ["generator.name=starting:load", f"generator.options.log={log}"]
    options = ("--backend", "ray", *settings)
    with long_run(tmp_path / "run", campaign, *options, modules=tmp_path) as process:
        assert wait_for(log.exists, process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    (line,) = err.splitlines()
    assert line.startswith("ray-matdesign: stopped before the run began; ")


@pytest.mark.slow  # so do campaigns in tests/distributed
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_on_ray_the_same_crystals_come_out_though_a_worker_dies(
    command, campaign: Path, tmp_path: Path
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    slow = slow_generator(log, 1.5)
    with long_run(run, campaign, "rl.loops=2", "--backend", "ray", *slow) as process:
        assert wait_for(lambda: log.exists() and log.read_text().endswith("\n"), process)
        os.kill(int(log.read_text().split()[0]), signal.SIGKILL)
        out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert out == f"report: {run / 'report.html'}\n"
    assert "worker died" in err
    assert command("run", campaign, "--out", "alone").status == 0
    figures = [
        [(row["mean_density"], row["sun"], row["reward_max"]) for row in loops(run)]
        for run in (run, tmp_path / "alone")
    ]
    assert figures[0] == figures[1]
