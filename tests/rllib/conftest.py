from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("gymnasium", reason="needs the extra `rllib`")
pytest.importorskip("tree", reason="needs the extra `rllib`")

HERE = Path(__file__).parent
# Workers are found by import path, as a user's own would be.
for folder in (HERE.parent / "rl", HERE.parent / "distributed"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a reference set of fcc metals on the toy potential's energy scale."""
    import toy

    folder = tmp_path_factory.mktemp("reference") / "metals"
    toy.write_reference(folder, toy.solid())
    return folder


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A small Ray of this module's own."""
    import ray
    from processes import eventually, ray_processes

    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()
    assert eventually(lambda: not ray_processes())
