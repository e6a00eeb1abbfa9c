"""Kubernetes manifests: structure, and that their parts agree with each other and with us."""

from __future__ import annotations

import shlex
from pathlib import Path

import kuberay
import pytest
import yaml
from files import CLUSTERS, documents, own_image
from pydantic import ValidationError

from ray_matdesign.config.loading import load_run_config
from ray_matdesign.distributed.resources import Node, NotEnoughResources, check_cluster
from ray_matdesign.rl.workers import roles_of

FOLDER = CLUSTERS / "kuberay"
PATHS = sorted(FOLDER.glob("*.yaml"))
ON_GPUS = [FOLDER / "raycluster-dev.yaml", FOLDER / "rayjob.yaml", FOLDER / "rayservice.yaml"]
CLUSTERED = [*ON_GPUS, FOLDER / "rayservice-agents.yaml"]
RUNNING = ON_GPUS[:2]
GPU = "nvidia.com/gpu"


def read(path: Path) -> kuberay.Part:
    (document,) = documents(path)
    return kuberay.KINDS[document["kind"]].model_validate(document)


def cluster(path: Path) -> kuberay.RayClusterSpec:
    manifest = read(path)
    if isinstance(manifest, kuberay.RayJob):
        return manifest.spec.ray_cluster_spec
    if isinstance(manifest, kuberay.RayService):
        return manifest.spec.ray_cluster_config
    assert isinstance(manifest, kuberay.RayCluster)
    return manifest.spec


def job() -> kuberay.RayJobSpec:
    manifest = read(FOLDER / "rayjob.yaml")
    assert isinstance(manifest, kuberay.RayJob)
    return manifest.spec


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_manifests_have_the_form_that_kubernetes_takes(path: Path) -> None:
    manifest = read(path)
    assert (manifest.metadata.name is None) != (manifest.metadata.generate_name is None)


def test_the_form_is_strict() -> None:
    (document,) = documents(CLUSTERED[0])
    document["spec"]["headGroupSpec"]["rayStartParameters"] = {}
    with pytest.raises(ValidationError, match="rayStartParameters"):
        kuberay.RayCluster.model_validate(document)


@pytest.mark.parametrize("path", CLUSTERED, ids=lambda path: path.stem)
def test_ray_counts_what_kubernetes_gives(path: Path) -> None:
    spec = cluster(path)
    for group in spec.worker_group_specs:
        (container,) = group.template.spec.containers
        limits, params = container.resources.limits, group.ray_start_params
        assert float(params["num-cpus"]) == kuberay.quantity(limits["cpu"])
        assert container.resources.requests["cpu"] == limits["cpu"]
        assert float(params.get("num-gpus", "0")) == kuberay.quantity(limits.get(GPU, "0"))
        assert container.resources.requests.get(GPU) == limits.get(GPU)
        # The run's workers have to fit when it starts.
        assert group.min_replicas == group.replicas == group.max_replicas
    assert spec.head_group_spec.ray_start_params["num-cpus"] == "0"


@pytest.mark.parametrize("path", CLUSTERED, ids=lambda path: path.stem)
def test_pods_are_confined(path: Path) -> None:
    spec = cluster(path)
    groups = [spec.head_group_spec, *spec.worker_group_specs]
    assert spec.auth_options.mode == "token"
    for pod in (group.template.spec for group in groups):
        (container,) = pod.containers
        assert pod.security_context.run_as_non_root
        assert not container.security_context.allow_privilege_escalation
        assert container.security_context.capabilities.drop == ["ALL"]
        memory = kuberay.quantity(container.resources.limits["memory"])
        assert memory == kuberay.quantity(container.resources.requests["memory"])
        volumes = {volume.name: volume for volume in pod.volumes}
        assert {mount.name for mount in container.volume_mounts} == set(volumes)
        shared = volumes["shm"].empty_dir
        assert shared is not None
        # Ray's object store lives there, and counts as the pod's memory.
        assert shared.medium == "Memory"
        assert kuberay.quantity(shared.size_limit) <= memory / 2


@pytest.mark.parametrize("path", CLUSTERED, ids=lambda path: path.stem)
def test_gpu_pods_may_stand_on_gpu_nodes_and_no_others_hold_any(path: Path) -> None:
    spec = cluster(path)
    for group in spec.worker_group_specs:
        (container,) = group.template.spec.containers
        tolerated = GPU in {taint.key for taint in group.template.spec.tolerations}
        assert tolerated == (GPU in container.resources.limits) == (path in ON_GPUS)
    (head,) = spec.head_group_spec.template.spec.containers
    assert GPU not in head.resources.limits


@pytest.mark.parametrize("path", RUNNING, ids=lambda path: path.stem)
def test_runs_outlive_the_cluster(path: Path) -> None:
    claim = read(FOLDER / "storage.yaml")
    pod = cluster(path).head_group_spec.template.spec
    claims = [v.persistent_volume_claim for v in pod.volumes if v.persistent_volume_claim]
    assert [c.claim_name for c in claims] == [claim.metadata.name]
    (mount,) = [m for m in pod.containers[0].volume_mounts if m.name == "runs"]
    assert mount.mount_path == "/runs"
    assert pod.containers[0].image == own_image("driver")


def test_the_job_shuts_its_cluster_down() -> None:
    spec = job()
    assert spec.shutdown_after_job_finishes
    assert spec.ttl_seconds_after_finished > 0


def test_the_job_is_a_run_that_fits_its_cluster() -> None:
    spec = job()
    script, directory, recipe, *rest = shlex.split(spec.entrypoint)
    assert (CLUSTERS / script).exists()
    assert directory.startswith("/runs/")
    overrides = [word for word in rest if "=" in word]
    assert set(rest) - set(overrides) == {"--backend", "ray", "--log-json"}
    config = load_run_config(recipe, [*overrides, "execution.backend=ray"])
    nodes = [
        Node(cpus=float(group.ray_start_params["num-cpus"]), gpus=1.0)
        for group in spec.ray_cluster_spec.worker_group_specs
        for _ in range(group.replicas)
    ]
    check_cluster(roles_of(config), nodes)
    with pytest.raises(NotEnoughResources):
        check_cluster(roles_of(config), nodes[1:])


def test_a_stopped_job_has_time_for_its_checkpoint() -> None:
    environment = yaml.safe_load(job().runtime_env_yaml)
    wait = float(environment["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"])
    head = cluster(FOLDER / "rayjob.yaml").head_group_spec
    assert 30.0 <= wait < head.template.spec.termination_grace_period_seconds


@pytest.mark.parametrize(
    ("text", "number"), [("500m", 0.5), ("8", 8.0), ("2Gi", 2.0**31), ("1.5Ki", 1536.0)]
)
def test_quantities(text: str, number: float) -> None:
    assert kuberay.quantity(text) == number


@pytest.mark.parametrize("text", ["8GB", "", "-1", "two"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        kuberay.quantity(text)
