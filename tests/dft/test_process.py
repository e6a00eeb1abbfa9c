import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ray_matdesign.dft.process import OutOfTime, run_capped

Gone = Callable[[int], bool]

FAMILY = """
    import os, subprocess, sys, time
    # MPI's launcher gives each rank a process group of its own.
    child = subprocess.Popen(["sleep", "600"], process_group=0)
    open(sys.argv[1], "w").write(f"{child.pid} {os.getpid()}")
    time.sleep(600)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def run(command: list[str], log: Path, limit_s: float) -> int:
    with open(log, "wb") as file:
        return run_capped(command, limit_s=limit_s, log=file, environment=os.environ)


def test_output_and_status_come_back(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('hello'); raise SystemExit(3)"]
    assert run(command, tmp_path / "log", 60) == 3
    assert (tmp_path / "log").read_text() == "hello\n"


def test_at_the_limit_the_whole_family_is_killed(tmp_path: Path, gone: Gone) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(OutOfTime):
        run([sys.executable, "-c", textwrap.dedent(FAMILY), str(pids)], tmp_path / "log", 5.0)
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_what_a_finished_command_leaves_behind_is_killed(tmp_path: Path, gone: Gone) -> None:
    leaver = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid)"
    assert run([sys.executable, "-c", leaver], tmp_path / "log", 60) == 0
    assert gone(int((tmp_path / "log").read_text()))


def test_a_command_ends_with_the_process_that_started_it(tmp_path: Path, gone: Gone) -> None:
    pids = tmp_path / "pids"
    watched = "from ray_matdesign.dft.process import die_with_parent; die_with_parent()\n"
    child = watched + textwrap.dedent(FAMILY)
    parent = textwrap.dedent(f"""
        import os, sys
        from ray_matdesign.dft.process import run_capped
        command = [sys.executable, "-c", {child!r}, {str(pids)!r}]
        with open(os.devnull, "wb") as log:
            run_capped(command, limit_s=600, log=log, environment=os.environ)
    """)
    process = subprocess.Popen([sys.executable, "-c", parent])
    try:
        assert wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2, 60)
    finally:
        process.kill()
        process.wait()
    assert wait_until(lambda: all(gone(int(pid)) for pid in pids.read_text().split()))
