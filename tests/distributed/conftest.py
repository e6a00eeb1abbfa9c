from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Workers are found by import path, as a user's own would be.
for folder in (HERE, HERE.parent / "rl"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A small Ray of this module's own, with token authentication as Ray has it by default."""
    import ray
    from processes import eventually, patiently, ray_processes

    assert os.environ.get("RAY_AUTH_MODE", "token") == "token"
    patiently(
        lambda: ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=80 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    )
    yield
    ray.shutdown()
    assert eventually(lambda: not ray_processes())
