"""The manifest of the agents: what Serve takes, room, folders, tokens, and whom the agents ask."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import kuberay
import pytest
import yaml
from files import CLUSTERS, documents, own_image
from ray.serve.schema import ServeDeploySchema

from ray_matdesign.agents.saga.settings import load_campaign
from ray_matdesign.config.llm import EndpointSettings, ServedModelSettings
from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.config.settings import Settings
from ray_matdesign.serve import cascade, saga
from ray_matdesign.serve.cascade import CascadeServiceSettings
from ray_matdesign.serve.saga_campaigns import NewCampaign
from ray_matdesign.serve.saga_settings import ServedSagaSettings

FOLDER = CLUSTERS / "kuberay"
PATH = FOLDER / "rayservice-agents.yaml"
MODEL = FOLDER / "rayservice.yaml"
MODULES = {"saga": saga, "cascade": cascade}


def manifest(path: Path) -> kuberay.RayService:
    (document,) = documents(path)
    return kuberay.RayService.model_validate(document)


def applications() -> dict[str, dict[str, Any]]:
    config = yaml.safe_load(manifest(PATH).spec.serve_config_v2)
    return {one["name"]: one for one in config["applications"]}


def saga_settings() -> ServedSagaSettings:
    return apply_overrides(ServedSagaSettings, applications()["saga"]["args"], "saga", ())


def cascade_settings() -> CascadeServiceSettings:
    return apply_overrides(CascadeServiceSettings, applications()["cascade"]["args"], "cascade", ())


def group() -> kuberay.WorkerGroup:
    (found,) = manifest(PATH).spec.ray_cluster_config.worker_group_specs
    return found


def container() -> kuberay.Container:
    (found,) = group().template.spec.containers
    return found


def comment() -> str:
    """The head of the file, without its marks."""
    lines = PATH.read_text().split("apiVersion:")[0].splitlines()
    return "\n".join(line.removeprefix("#").strip() for line in lines)


def model_endpoint() -> tuple[str, str | None]:
    """Where rayservice.yaml serves its model, and the variable that its token is in."""
    service = manifest(MODEL)
    (application,) = yaml.safe_load(service.spec.serve_config_v2)["applications"]
    served = apply_overrides(ServedModelSettings, application["args"], MODEL.name, ())
    assert application["route_prefix"] == "/"
    return f"http://{service.metadata.name}-serve-svc:8000/v1", served.token_env


def check_endpoint(asked: EndpointSettings) -> None:
    url, _ = model_endpoint()
    assert asked.url == url
    assert asked.token_env in {variable.name for variable in container().env}


def test_serve_takes_the_file_and_builds_both_applications() -> None:
    config = yaml.safe_load(manifest(PATH).spec.serve_config_v2)
    read = ServeDeploySchema.model_validate(config).applications
    assert {one.name: one.route_prefix for one in read} == {"saga": "/saga", "cascade": "/cascade"}
    for one in read:
        module, _, name = one.import_path.partition(":")
        assert set(applications()[one.name]) <= set(type(one).model_fields)
        assert module == MODULES[one.name].__name__
        assert MODULES[one.name].app(one.args) is not None
        assert name == "app"


@pytest.mark.parametrize(
    ("read", "variable", "key"),
    [
        (saga_settings, "RAY_MATDESIGN_SAGA_TOKEN", "saga"),
        (cascade_settings, "RAY_MATDESIGN_CASCADE_TOKEN", "cascade"),
    ],
)
def test_nobody_is_let_in_without_a_token_that_the_pod_has(
    read: Any, variable: str, key: str
) -> None:
    settings: Settings = read()
    assert settings.token_env == variable  # type: ignore[attr-defined]
    (found,) = (one for one in container().env if one.name == variable)
    assert found.value_from is not None
    assert found.value_from.secret_key_ref.name == "matdesign-agents-tokens"
    assert found.value_from.secret_key_ref.key == key


def test_every_secret_is_one_that_a_file_says_how_to_make() -> None:
    text = "\n".join(path.read_text() for path in (PATH, MODEL)).replace("\\\n#", "")
    made = {
        (name, key)
        for name, rest in re.findall(r"# +kubectl create secret generic ([\w-]+)(.*)", text)
        for key in re.findall(r"--from-literal=(\w+)=", rest)
    }
    wanted = {
        (one.value_from.secret_key_ref.name, one.value_from.secret_key_ref.key)
        for one in container().env
        if one.value_from is not None
    }
    assert len(wanted) == 3
    assert wanted <= made


def test_both_ask_the_model_that_is_served_beside_them() -> None:
    _, variable = model_endpoint()
    (token,) = (one for one in container().env if one.name == variable)
    (group_of_model,) = manifest(MODEL).spec.ray_cluster_config.worker_group_specs
    (served,) = group_of_model.template.spec.containers
    assert token in served.env  # the same key of the same secret
    check_endpoint(cascade_settings().workshop.llm.default)


def test_the_campaign_that_is_begun_as_the_file_says_asks_it_too() -> None:
    (body,) = re.findall(r"-d '(\{.*?\})'", comment(), flags=re.DOTALL)
    asked = NewCampaign.model_validate(json.loads(body))
    assert asked.campaign is not None
    check_endpoint(load_campaign(asked.campaign, asked.overrides).llm.default)
    name = manifest(PATH).metadata.name
    assert f"kubectl port-forward service/{name}-serve-svc 8001:8000" in comment()
    assert "http://127.0.0.1:8001/saga/campaigns" in comment()


def test_state_lies_on_the_claim_and_apart() -> None:
    (claim,) = documents(FOLDER / "storage-agents.yaml")
    pod = group().template.spec
    (volume,) = (one for one in pod.volumes if one.persistent_volume_claim)
    assert volume.persistent_volume_claim is not None
    assert volume.persistent_volume_claim.claim_name == claim["metadata"]["name"]
    (mount,) = (one for one in container().volume_mounts if one.name == volume.name)
    workshop = cascade_settings().workshop
    assert workshop.skills is not None
    assert workshop.memory is not None
    folders = [
        Path(saga_settings().folder),
        Path(cascade_settings().directory),
        Path(workshop.skills),
        Path(workshop.memory).parent,
    ]
    assert len(set(folders)) == len(folders)
    assert {folder.parent for folder in folders} == {Path(mount.mount_path)}
    assert pod.security_context.fs_group == pod.security_context.run_as_user


def test_whatever_touches_the_folders_runs_on_the_one_pod_that_has_them() -> None:
    """SQLite's written-ahead files want one machine; a claim of one node has one anyway."""
    (claim,) = documents(FOLDER / "storage-agents.yaml")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert group().replicas == group().max_replicas == 1
    head = manifest(PATH).spec.ray_cluster_config.head_group_spec
    assert head.ray_start_params["num-cpus"] == "0"
    # What asks for no CPU at all might be put on the head.
    served = saga_settings()
    roles = [served.roles.of(name).cpus for name in served.roles.names()]
    solving = cascade_settings()
    assert min(*roles, served.controller_cpus) > 0
    assert min(solving.solver_cpus, solving.orchestrator_cpus) > 0


def test_the_pod_has_room_for_every_replica_and_controller() -> None:
    served, solving = saga_settings(), cascade_settings()
    roles = [served.roles.of(name) for name in served.roles.names()]
    cpus = 0.1 + sum(role.replicas * role.cpus for role in roles)  # 0.1: the HTTP interface
    cpus += served.max_campaigns * served.controller_cpus
    cpus += solving.orchestrator_cpus + solving.solvers * solving.solver_cpus
    # A core is left for Ray itself and the proxy, which are not counted.
    assert cpus + 1 <= float(group().ray_start_params["num-cpus"])
    # Programs may use what Ray gives their solver, and no more.
    assert solving.workshop.sandboxes <= solving.solver_cpus
    assert not any(role.gpus for role in roles)


def test_threads_are_as_many_as_cpus() -> None:
    """The image says one; a role that is given more has to be told."""
    served = saga_settings()
    for name in served.roles.names():
        role = served.roles.of(name)
        if role.cpus > 1:
            assert int(role.env_vars["OMP_NUM_THREADS"]) == role.cpus


def test_memory_is_enough_for_programs_at_their_limit() -> None:
    solving = cascade_settings()
    programs = solving.solvers * solving.workshop.sandboxes
    most = programs * solving.workshop.solver.run.memory_mib * 2**20
    (shared,) = (one.empty_dir for one in group().template.spec.volumes if one.name == "shm")
    assert shared is not None
    objects = kuberay.quantity(shared.size_limit)
    assert 2 * most + objects <= kuberay.quantity(container().resources.limits["memory"])


def test_there_are_never_two_clusters_at_the_same_folders() -> None:
    strategy = manifest(PATH).spec.upgrade_strategy
    assert strategy is not None
    assert strategy.type == "None"


def test_programs_of_a_model_find_no_account_of_kubernetes() -> None:
    cluster = manifest(PATH).spec.ray_cluster_config
    for part in (cluster.head_group_spec, *cluster.worker_group_specs):
        assert not part.template.spec.automount_service_account_token
        assert part.template.spec.security_context.seccomp_profile.type == "RuntimeDefault"


def test_every_pod_has_serve_and_a_sandbox_that_may_do_better() -> None:
    cluster = manifest(PATH).spec.ray_cluster_config
    for part in (cluster.head_group_spec, *cluster.worker_group_specs):
        (one,) = part.template.spec.containers
        assert one.image == own_image("agents")
        assert 8000 in [port.container_port for port in one.ports]
    dockerfile = (CLUSTERS / "docker" / "agents.Dockerfile").read_text()
    assert f"FROM {own_image('driver')}\n" in dockerfile
    assert re.search(r"apt-get install [^&]*\bbubblewrap\b", dockerfile)
    (wanted,) = re.findall(r'"\.\[([\w,]+)\]"', dockerfile)
    assert {"chemistry", "pyscf", "serve"} <= set(wanted.split(","))
