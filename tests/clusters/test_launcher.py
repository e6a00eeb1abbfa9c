"""Cluster launcher files, against the schema that Ray ships and its own checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
from files import CLUSTERS, documents, own_image
from ray.autoscaler._private.util import prepare_config, validate_config

PATHS = sorted((CLUSTERS / "launcher").glob("*.yaml"))

pytestmark = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    (document,) = documents(path)
    assert isinstance(document, dict)
    return document


def test_ray_takes_the_file(path: Path) -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(read(path), schema)
    validate_config(prepare_config(read(path)))


def test_a_misspelt_key_is_found(path: Path) -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError, match="max_worker'"):
        jsonschema.validate({**read(path), "max_worker": 1}, schema)


def test_images_and_sizes(path: Path) -> None:
    config = read(path)
    assert config["docker"]["head_image"] == own_image("driver")
    assert config["docker"]["worker_image"] == own_image("generator")
    types = config["available_node_types"]
    assert types[config["head_node_type"]]["resources"] == {"CPU": 0}
    assert types["gpu"]["resources"]["GPU"] == 1
    assert 1 <= types["gpu"]["min_workers"] <= types["gpu"]["max_workers"] <= config["max_workers"]


def test_the_cluster_is_locked(path: Path) -> None:
    config = read(path)
    assert "--env RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    assert config["file_mounts"] == {"/home/ray/.ray/auth_token": "~/.ray/auth_token"}
    (start,) = [line for line in config["head_start_ray_commands"] if "--head" in line]
    assert "--dashboard-host=127.0.0.1" in start
    assert "--num-cpus=0" in start
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in start
    assert any("$RAY_HEAD_IP:6379" in line for line in config["worker_start_ray_commands"])


def test_runs_lie_on_the_host(path: Path) -> None:
    """A container that is removed takes what is inside it along."""
    (volume,) = read(path)["docker"]["head_run_options"]
    assert volume.endswith(":/runs")
    assert volume.startswith(f"--volume /home/{read(path)['auth']['ssh_user']}/")
