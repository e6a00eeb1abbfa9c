from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest

from ray_matdesign.agents.sandbox.box import SandboxUnavailable
from ray_matdesign.agents.sandbox.job import BadJob, Job
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.agents.sandbox.result import Limit, Outcome
from ray_matdesign.agents.sandbox.tiers import best_tier
from ray_matdesign.distributed.sandboxes import SandboxPool

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

LIMITS = Limits(cpu_s=10.0, wall_s=200.0, memory_mib=64)


@pytest.fixture(scope="module")
def pool(local_ray: None) -> Iterator[SandboxPool]:
    try:
        best_tier()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with SandboxPool(2, preload=["numpy"], cpus=0.5, longest_s=200.0) as warm:
        yield warm


def test_results_come_back_in_order_and_typed(pool: SandboxPool) -> None:
    code = "def square(x):\n    return {'y': x**2}\n"
    jobs = [
        Job.of(code, entry="main.py:square", inputs={"x": np.full(3, k)}, limits=LIMITS)
        for k in range(6)
    ]
    jobs.append(Job.of("kept = bytearray(b'x') * 2**30", limits=LIMITS))
    jobs.append(Job.of("import os; os.abort()", limits=LIMITS))
    *squares, greedy, aborted = pool.run(jobs)
    for k, result in enumerate(squares):
        assert result.ok, result.stderr
        np.testing.assert_array_equal(result.values["y"], np.full(3, k**2))
    assert (greedy.outcome, greedy.limit) == (Outcome.STOPPED, Limit.MEMORY)
    assert (aborted.outcome, aborted.signal) == (Outcome.SIGNALLED, "SIGABRT")
    assert len({(result.tier, result.walls) for result in squares}) == 1


def test_code_sees_nothing_of_ray(pool: SandboxPool) -> None:
    code = "import os, sys\nprint([n for n in os.environ if 'RAY' in n], 'ray' in sys.modules)"
    (result,) = pool.run([Job.of(code, limits=LIMITS)])
    assert result.stdout == "[] False\n"


def test_workers_that_die_are_replaced(pool: SandboxPool) -> None:
    pool.run([Job.of("", limits=LIMITS)])
    killed = pool.pids
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    results = pool.run([Job.of(f"print({k})", limits=LIMITS) for k in range(4)])
    assert [result.stdout for result in results] == [f"{k}\n" for k in range(4)]
    assert not set(killed) & set(pool.pids)
    deadline = time.monotonic() + 60
    while any(_alive(pid) for pid in killed) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_alive(pid) for pid in killed)


def test_jobs_longer_than_the_pool_waits_are_refused(pool: SandboxPool) -> None:
    with pytest.raises(BadJob, match="end after 200 s"):
        pool.run([Job.of("", limits=Limits(wall_s=201.0))])


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
