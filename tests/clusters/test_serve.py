"""Serve's files: what Serve takes, and that the manifest has room for what it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kuberay
import pytest
import yaml
from files import CLUSTERS, documents, own_image
from ray.serve.schema import ServeDeploySchema

from ray_matdesign.config.llm import ServedModelSettings
from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.serve import llm

SERVICE = CLUSTERS / "kuberay" / "rayservice.yaml"
PATHS = [CLUSTERS / "serve" / "llm.yaml", SERVICE]


def service() -> kuberay.RayServiceSpec:
    (document,) = documents(SERVICE)
    return kuberay.RayService.model_validate(document).spec


def serve_config(path: Path) -> dict[str, Any]:
    if path == SERVICE:
        found: dict[str, Any] = yaml.safe_load(service().serve_config_v2)
        return found
    (found,) = documents(path)
    return found


def settings(path: Path) -> ServedModelSettings:
    (application,) = serve_config(path)["applications"]
    return apply_overrides(ServedModelSettings, application["args"], path.name, ())


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_serve_takes_the_file_and_builds_the_application(path: Path) -> None:
    config = serve_config(path)
    schema = ServeDeploySchema.model_validate(config)
    (application,) = schema.applications
    assert set(config["applications"][0]) <= set(type(application).model_fields)
    module, _, name = application.import_path.partition(":")
    assert getattr(llm, name) is llm.app
    assert module == llm.__name__
    assert llm.app(application.args)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_nobody_is_let_in_without_a_token(path: Path) -> None:
    assert settings(path).token_env == "RAY_MATDESIGN_LLM_TOKEN"


def test_the_application_gives_up_before_the_proxy_does() -> None:
    path = CLUSTERS / "serve" / "llm.yaml"
    proxy = serve_config(path)["http_options"]
    assert proxy["host"] == "127.0.0.1"
    assert settings(path).request_timeout_s < proxy["request_timeout_s"]


def test_the_cluster_has_room_for_every_replica_and_its_token() -> None:
    served, cluster = settings(SERVICE), service().ray_cluster_config
    (group,) = cluster.worker_group_specs
    gpus = int(group.ray_start_params["num-gpus"])
    cpus = float(group.ray_start_params["num-cpus"])
    a_pod = min(gpus // served.tensor_parallel, int(cpus // served.cpus))
    assert a_pod * group.replicas >= served.replicas
    (container,) = group.template.spec.containers
    (token,) = (env for env in container.env if env.name == served.token_env)
    assert token.value_from is not None
    assert token.value_from.secret_key_ref.name == "matdesign-llm-token"


def test_every_pod_has_serve_and_its_vllm() -> None:
    cluster = service().ray_cluster_config
    pods = [cluster.head_group_spec, *cluster.worker_group_specs]
    for pod in pods:
        (container,) = pod.template.spec.containers
        assert container.image == own_image("llm")
        assert 8000 in [port.container_port for port in container.ports]
    dockerfile = (CLUSTERS / "docker" / "llm.Dockerfile").read_text()
    python, *_ = settings(SERVICE).command
    assert python.removesuffix("/bin/python") in dockerfile
