from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ray_matdesign.agents.benchmark.running import Key
from ray_matdesign.agents.benchmark.suite import Suite

# The suite lies beside the benchmarks, and solvers are found by import path, as a user's would be.
_HERE = Path(__file__).resolve().parent
for folder in (_HERE, _HERE.parents[2] / "bench"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def offline_suite() -> Suite:
    from cascade_problems.suite import suite

    return suite()


@pytest.fixture(scope="session")
def key() -> Key:
    """Right answers, each computed once for all tests of a session."""
    return Key()
