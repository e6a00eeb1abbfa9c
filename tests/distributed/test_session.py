"""Ray is joined or started, kept locked, and left as it was found."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from processes import eventually, is_ray, ray_processes

from ray_matdesign.config.schema import ExecutionSettings
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.distributed.resources import NotEnoughResources
from ray_matdesign.distributed.session import ClusterUnreachable, RaySession
from ray_matdesign.rl.executor import Role
from tests.signals import born_with

pytestmark = pytest.mark.ray

HERE = Path(__file__).parent


def role(**changes: Any) -> Role:
    fields = {"name": "reward", "factory": "faulty_workers:make", "workers": 1, **changes}
    return Role(**fields)


def settings(**changes: Any) -> ExecutionSettings:
    return ExecutionSettings(backend="ray", object_store_mib=80, **changes)


@pytest.fixture(autouse=True)
def _no_cluster_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs 2 CPUs")
def test_a_local_ray_is_started_locked_and_leaves_nothing_behind() -> None:
    with RayExecutor([role(cpus=2.0)], settings()) as executor:
        assert os.environ["RAY_AUTH_MODE"] == "token"
        token = Path.home() / ".ray" / "auth_token"
        if token.exists():
            assert not stat.S_IMODE(token.stat().st_mode) & stat.S_IWOTH
        ((_, answer),) = executor.map("reward", "threads", [{}])
        assert answer == {"torch": 2, "omp": "2"}
        assert _metrics_appear(
            "ray_matdesign_batch_seconds_count{", 'role="reward"', 'verb="threads"'
        )
    assert not ray.is_initialized()
    assert eventually(lambda: not ray_processes())


def _metrics_appear(*parts: str) -> bool:
    port = ray.nodes()[0]["MetricsExportPort"]

    def scraped() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            text = page.read().decode()
        return any(all(part in line for part in parts) for line in text.splitlines())

    return eventually(scraped, seconds=40.0)


def test_too_many_workers_for_this_machine_start_nothing() -> None:
    cpus = len(os.sched_getaffinity(0))
    message = rf"needs {cpus + 1} CPUs \({cpus + 1} reward workers x 1\), this machine has {cpus}"
    with pytest.raises(NotEnoughResources, match=message):
        RayExecutor([role(workers=cpus + 1)], settings())
    assert not ray.is_initialized()


@pytest.mark.slow
def test_more_gpus_than_there_are_stop_what_was_started() -> None:
    with pytest.raises(NotEnoughResources, match="needs 99 GPUs"):
        RayExecutor([role(gpus=99.0)], settings())
    assert not ray.is_initialized()
    assert eventually(lambda: not ray_processes())


def test_no_cluster_at_the_address_is_one_line_at_once() -> None:
    with pytest.raises(ClusterUnreachable, match=r"to join at 127.0.0.1:1: .* refused") as caught:
        RaySession([role()], settings(address="127.0.0.1:1"))
    assert "\n" not in str(caught.value)


def test_ray_client_is_refused() -> None:
    with pytest.raises(ClusterUnreachable, match="ray job submit"):
        RaySession([role()], settings(address="ray://head:10001"))


@pytest.mark.slow
def test_a_cluster_is_joined_with_its_token_and_the_drivers_code_and_left_running(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = _free_port()
    temporary = tmp_path_factory.mktemp("r")  # short: it holds sockets
    options = ["--num-cpus=2", f"--port={port}", f"--ray-client-server-port={_free_port()}"]
    options += ["--include-dashboard=false", "--object-store-memory=80000000"]
    options += ["--disable-usage-stats", f"--temp-dir={temporary}"]
    monkeypatch.chdir(temporary)  # on one machine Ray would let workers import from our folder
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["RAY_AUTH_MODE"] = "token"
    head = subprocess.Popen(
        [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", *options],
        env=environment,
        cwd=temporary,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"127.0.0.1:{port}"
        assert eventually(lambda: _listens(port))
        with pytest.raises(NotEnoughResources, match=r"cluster has 2$"):
            RayExecutor([role(workers=3)], settings(address=address))
        with RayExecutor([role(cpus=0.5)], settings(address=address)) as executor:
            ((_, answer),) = executor.map("reward", "where", [{}])
            assert "runtime_resources" in answer["package"]
            ((_, squared),) = executor.map("reward", "square", [{"x": 3}])
            assert squared["square"] == 9
        assert not ray.is_initialized()
        assert head.poll() is None
    finally:
        head.terminate()
        head.wait(timeout=60.0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


DRIVER = """
import sys
sys.path.insert(0, {here!r})
from ray_matdesign.config.schema import ExecutionSettings
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.rl.executor import Role

if __name__ == "__main__":
    roles = [Role(name="reward", factory="faulty_workers:make", workers=2, cpus=0.5)]
    execution = ExecutionSettings(backend="ray", object_store_mib=80)
    with RayExecutor(roles, execution) as executor:
        batches = [{{"x": x, "file": {log!r}, "sleep": 30.0}} for x in range(4)]
        list(executor.map("reward", "note", batches))
"""


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_driver_that_ends_early_leaves_no_process_behind(
    how: signal.Signals, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(here=str(HERE), log=str(log)))
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    with born_with(signal.SIGINT, signal.SIG_DFL):
        driver = subprocess.Popen(
            [sys.executable, str(script)],
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        assert eventually(lambda: log.exists() or driver.poll() is not None, seconds=90.0)
        assert driver.poll() is None, driver.stderr.read() if driver.stderr else ""
        family = psutil.Process(driver.pid).children(recursive=True)
        assert any(is_ray(process) for process in family)
        names = {process: process.name() for process in family}
        start = time.monotonic()
        if how == signal.SIGINT:  # as a terminal sends it: to the whole group
            os.killpg(driver.pid, how)
        else:
            driver.send_signal(how)
        driver.wait(timeout=30.0)
        assert time.monotonic() - start < 30.0
        # After a kill, Ray's two idle agents look for their cluster for another minute.
        busy = [p for p in family if how == signal.SIGINT or not names[p].endswith("Agent")]
        assert eventually(lambda: not any(_lives(process) for process in busy))
    finally:
        driver.kill()
        driver.wait()
        if driver.stderr:  # not read to its end: Ray's agents may hold the other one
            driver.stderr.close()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
