"""A sweep small enough for tests: the toy generator and potential, two cheap properties."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ray_matdesign.config.loading import dump
from ray_matdesign.config.yaml_text import format_yaml

TESTS = Path(__file__).parents[1]
for folder in (TESTS / "rl", TESTS / "distributed"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import toy

    folder: Path = tmp_path_factory.mktemp("reference") / "metals"
    toy.write_reference(folder, toy.solid())
    return folder


@pytest.fixture(scope="session")
def base(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YAML file of a run: dense and cheap, three loops."""
    import toy
    from test_front import two_properties

    config = toy.config(
        reference,
        **{
            "objective.terms": two_properties(),
            "objective.aggregation": "chebyshev",
            "rl.loops": 3,
            "rl.samples": 8,
            "rl.evaluations": 4,
            "execution.cpus_per_worker": 0.5,
            "execution.object_store_mib": 80,
        },
    )
    path = tmp_path_factory.mktemp("base") / "toy.yaml"
    path.write_text(dump(config))
    return path


@pytest.fixture
def sweep_file(base: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a sweep over the base; arguments replace its settings."""

    def write(**changes: Any) -> Path:
        settings: dict[str, Any] = {
            "name": "toy",
            "recipe": str(base),
            "space": {"rl.lr": {"kind": "loguniform", "low": 0.001, "high": 0.1}},
            "algorithm": {"kind": "random"},
            "metrics": [{"name": "score.density"}, {"name": "score.hhi"}],
            "trials": 4,
            "concurrency": 2,
            **changes,
        }
        path = tmp_path / "sweep.yaml"
        path.write_text(format_yaml({k: v for k, v in settings.items() if v is not None}))
        return path

    return write


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A small Ray of this module's own."""
    import ray
    from processes import eventually, ray_processes

    assert os.environ.get("RAY_AUTH_MODE", "token") == "token"
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # trials inherit Ray's environment, not the test's
    ray.init(
        address="local",
        num_cpus=4,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()
    assert eventually(lambda: not ray_processes())
