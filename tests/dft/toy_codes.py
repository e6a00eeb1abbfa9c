"""Codes that compute nothing, to see what becomes of their ends."""

import os
import signal
import subprocess
import sys
import time

from ray_matdesign.dft.code import Task
from ray_matdesign.dft.result import DftError, DftResult, NotConverged

RESULT = DftResult(-1.5, 2.0, 2.5, None, 7, "toy 1")


def _started(task: Task) -> int:
    """Starts so far, this one included."""
    with open(task.folder.parent / "starts", "a") as log:
        log.write(f"{task.name}\n")
    return len((task.folder.parent / "starts").read_text().splitlines())


def succeeds(task: Task) -> DftResult:
    _started(task)
    (task.folder / "density").write_text("large")
    return RESULT


def never_converges(task: Task) -> DftResult:
    _started(task)
    raise NotConverged("not converged in 3 steps")


def has_no_licence(task: Task) -> DftResult:
    _started(task)
    raise DftError("no licence left")


def goes_on_from_its_density(task: Task) -> DftResult:
    density = task.folder / "density"
    if not density.exists():
        density.write_text("half way")
        os.kill(os.getpid(), signal.SIGKILL)
    return RESULT


def takes_for_ever(task: Task) -> DftResult:
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], process_group=0
    )
    (task.folder.parent / "child").write_text(str(child.pid))
    time.sleep(600)
    return RESULT


def takes_a_while(task: Task) -> DftResult:
    _started(task)
    time.sleep(1.0)
    return RESULT


def eats_memory(task: Task) -> DftResult:
    bytearray(2**33)
    return RESULT


def crashes(task: Task) -> DftResult:
    print("the matrix is singular", flush=True)
    os._exit(3)


def adds_up(task: Task) -> DftResult:
    mixing = 0.25 if len(task.crystal.elements) > 1 else 0.0
    energy = -float(task.crystal.numbers.mean()) - mixing
    return DftResult(energy, 0.0, 0.0, None, 1, "toy 1")
