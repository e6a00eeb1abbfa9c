"""``ray job submit`` against a cluster of this machine: logs, progress, results, and stopping."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import toy
import yaml
from processes import eventually

from ray_matdesign.config.loading import dump
from ray_matdesign.report.status import State, read_status

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1500)]  # where the processor is busy

HERE = Path(__file__).resolve().parent
RAY = Path(sys.executable).parent / "ray"
STARTS = 4
"""Ray gives its processes half a minute, which a busy machine exceeds now and then."""


@dataclass(frozen=True)
class Cluster:
    """A head node with a dashboard, and the environment that its users need."""

    dashboard: str
    environment: dict[str, str]

    def job(self, *arguments: object, seconds: float = 600.0) -> subprocess.CompletedProcess[str]:
        """Runs ``ray job ...``."""
        verb, *rest = map(str, arguments)
        return subprocess.run(
            [str(RAY), "job", verb, "--address", self.dashboard, *rest],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1.0).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Started by ``ray start`` in a folder of its own, with a token of its own, and ended by its
    process: ``ray stop`` would end every cluster of this machine."""
    folder = tempfile.mkdtemp(prefix="ray-")  # sockets want a short path
    token = Path(folder) / "token"
    token.write_text("0123456789abcdef" * 4)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    try:
        found, head = start(Path(folder), environment)
        yield found
        end(head)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(folder: Path, environment: dict[str, str]) -> tuple[Cluster, subprocess.Popen[bytes]]:
    for attempt in range(1, STARTS + 1):
        port, dashboard = free_port(), free_port()
        options = {
            "node-ip-address": socket.gethostbyname(socket.gethostname()),
            "port": port,
            "dashboard-port": dashboard,
            "dashboard-agent-listen-port": free_port(),
            "ray-client-server-port": free_port(),
            "num-cpus": 2,
            "object-store-memory": 100 * 2**20,
            "temp-dir": folder,
        }
        log = folder / f"start-{attempt}.log"
        with log.open("w") as output:
            head = subprocess.Popen(
                [
                    str(RAY),
                    "start",
                    "--head",
                    "--block",
                    *(f"--{k}={v}" for k, v in options.items()),
                ],
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        found = Cluster(f"http://127.0.0.1:{dashboard}", environment)
        if comes_up(found, head, log):
            return found, head
        end(head)
    raise AssertionError(f"Ray did not start: {log.read_text()}")


def comes_up(cluster: Cluster, head: subprocess.Popen[bytes], log: Path) -> bool:
    """Whether the head starts; its dashboard may answer before that, and be ended with the rest."""

    def started() -> bool:
        return "Ray runtime started" in log.read_text()

    eventually(lambda: head.poll() is not None or started(), seconds=180.0)
    eventually(lambda: head.poll() is not None or answers(cluster), seconds=60.0)
    return head.poll() is None


def answers(cluster: Cluster) -> bool:
    """Whether jobs can be submitted: the dashboard listens before it can take any."""
    host, port = cluster.dashboard.removeprefix("http://").split(":")
    return listens((host, int(port))) and cluster.job("list").returncode == 0


def end(head: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(head.pid).children(recursive=True) if head.poll() is None else []
    head.terminate()
    try:
        head.wait(timeout=60)
    except subprocess.TimeoutExpired:
        head.kill()
        head.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    for process in alive:
        process.kill()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """What a user has: a recipe, a module of their own beside it, and an environment."""
    toy.write_reference(tmp_path / "metals", toy.solid())
    config = toy.config(
        tmp_path / "metals",
        **{
            "generator.name": "slow_toy:load",
            "generator.options": {"log": str(tmp_path / "sampling"), "delay": 0.5},
            "execution.backend": "ray",
            "execution.cpus_per_worker": 0.25,
        },
    )
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "toy.yaml").write_text(dump(config))
    for module in (HERE / "slow_toy.py", HERE.parent / "rl" / "toy.py"):
        shutil.copy(module, folder)
    environment = {
        "working_dir": str(folder),
        "env_vars": {
            # On a cluster `python` is the image's; here it is to be the one of the tests.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(HERE.parents[1]),
            "RAY_JOB_STOP_WAIT_TIME_S": "60",
        },
    }
    (tmp_path / "environment.yaml").write_text(yaml.safe_dump(environment))
    return folder


def submit(
    cluster: Cluster, work: Path, name: str, run: Path, *options: object, wait: bool = True
) -> subprocess.CompletedProcess[str]:
    given = ["--submission-id", name, "--runtime-env", work.parent / "environment.yaml"]
    call = ["python", "-m", "ray_matdesign", "run", "toy.yaml", "--out", run, "--log-json"]
    return cluster.job("submit", *given, *(() if wait else ("--no-wait",)), "--", *call, *options)


def loops(run: Path) -> list[int]:
    path = run / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line)["loop"] for line in text.splitlines()]


def events(log: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.splitlines() if line.startswith('{"time"')]
    return [line for line in lines if "event" in line]


def test_a_job_is_followed_stopped_and_resumed(
    cluster: Cluster, work: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    submitted = submit(cluster, work, "first", run, "rl.loops=100000", wait=False)
    assert submitted.returncode == 0, submitted.stderr
    assert eventually(lambda: bool(loops(run)), seconds=400.0), cluster.job("logs", "first").stdout

    state = read_status(run)
    assert state.state is State.RUNNING
    assert state.loop >= 1
    workers = {int(line) for line in (tmp_path / "sampling").read_text().split()}

    stopped = cluster.job("stop", "first")
    assert stopped.returncode == 0, stopped.stderr
    assert "STOPPED" in cluster.job("status", "first").stdout.upper()
    told = events(cluster.job("logs", "first").stdout)
    assert told[0]["event"] == "run_started"
    assert told[-1]["outcome"] == "interrupted"
    assert "go on with --resume" in told[-1]["message"]
    assert eventually(lambda: not any(psutil.pid_exists(pid) for pid in workers))
    done = len(loops(run))
    assert read_status(run).state is State.STOPPED
    checkpoint = read_status(run).checkpoint
    assert checkpoint is not None
    assert checkpoint.loop == done

    again = submit(cluster, work, "second", run, f"rl.loops={done + 1}", "--resume")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "succeeded" in again.stdout.lower() + again.stderr.lower()
    story = events(again.stdout)
    assert [line["first_loop"] for line in story if line["event"] == "run_started"] == [done + 1]
    assert story[-1]["outcome"] == "finished"
    assert f"report: {run / 'report.html'}" in again.stdout
    assert loops(run) == list(range(1, done + 2))
    assert read_status(run).state is State.FINISHED


def test_a_job_that_cannot_run_fails_with_its_one_line(
    cluster: Cluster, work: Path, tmp_path: Path
) -> None:
    failed = submit(cluster, work, "wrong", tmp_path / "run", "rl.lops=3")
    assert failed.returncode != 0
    assert "ray-matdesign: command line: rl.lops" in failed.stdout
    assert "FAILED" in cluster.job("status", "wrong").stdout.upper()
    assert not (tmp_path / "run").exists()
