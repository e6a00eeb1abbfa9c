"""What we use of KubeRay's ``ray.io/v1`` and of Kubernetes, strictly: an unknown key is an error.

Field names are those of the types in KubeRay's ``apis/ray/v1`` and of Kubernetes' ``core/v1``.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, model_validator
from pydantic.alias_generators import to_camel

_BYTES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "": 1}


def quantity(text: str) -> float:
    """A Kubernetes quantity as a number: ``500m`` is 0.5, ``2Gi`` is 2^31."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(m|[KMGT]i)?", text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    number, unit = float(match[1]), match[2] or ""
    return number / 1000 if unit == "m" else number * _BYTES[unit]


def _quantity(text: str) -> str:
    quantity(text)
    return text


def _mapping(text: str) -> str:
    if not isinstance(yaml.safe_load(text), dict):
        raise ValueError("is not a YAML mapping")
    return text


Quantity = Annotated[str, AfterValidator(_quantity)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]


class Part(BaseModel):
    """Keys in camel case, none unknown, nothing converted."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", strict=True, validate_by_name=False
    )


class Metadata(Part):
    name: Name | None = None
    generate_name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*-$")] | None = None
    labels: dict[str, str] = {}


class SecretKey(Part):
    name: Name
    key: str


class ValueFrom(Part):
    secret_key_ref: SecretKey


class EnvVar(Part):
    name: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    value: str | None = None
    value_from: ValueFrom | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.value is None) == (self.value_from is None):
            raise ValueError(f"{self.name}: has either a value or a place that it comes from")
        return self


class Port(Part):
    container_port: Annotated[int, Field(ge=1, le=65535)]
    name: Annotated[Name, Field(max_length=15)]


class Resources(Part):
    requests: dict[str, Quantity]
    limits: dict[str, Quantity]


class Capabilities(Part):
    drop: list[str]


class ContainerSecurity(Part):
    allow_privilege_escalation: bool
    capabilities: Capabilities


class VolumeMount(Part):
    name: Name
    mount_path: Annotated[str, Field(pattern=r"^/")]


class Container(Part):
    name: Name
    image: str
    env: list[EnvVar] = []
    ports: list[Port] = []
    resources: Resources
    security_context: ContainerSecurity
    volume_mounts: list[VolumeMount] = []


class Seccomp(Part):
    type: Literal["RuntimeDefault", "Localhost", "Unconfined"]


class PodSecurity(Part):
    run_as_non_root: bool
    run_as_user: PositiveInt
    fs_group: PositiveInt | None = None
    seccomp_profile: Seccomp


class Toleration(Part):
    key: str
    operator: Literal["Exists", "Equal"]
    effect: Literal["NoSchedule", "NoExecute", "PreferNoSchedule"]


class ClaimSource(Part):
    claim_name: Name


class EmptyDir(Part):
    medium: Literal["", "Memory"] = ""
    size_limit: Quantity


class Volume(Part):
    name: Name
    persistent_volume_claim: ClaimSource | None = None
    empty_dir: EmptyDir | None = None


class PodSpec(Part):
    termination_grace_period_seconds: PositiveInt = 30
    automount_service_account_token: bool = True
    security_context: PodSecurity
    tolerations: list[Toleration] = []
    containers: Annotated[list[Container], Field(min_length=1, max_length=1)]
    volumes: list[Volume] = []


class PodTemplate(Part):
    metadata: Metadata
    spec: PodSpec


class AuthOptions(Part):
    mode: Literal["token", "disabled"]


class HeadGroup(Part):
    ray_start_params: dict[str, str]
    template: PodTemplate


class WorkerGroup(Part):
    group_name: Name
    replicas: Annotated[int, Field(ge=0)]
    min_replicas: Annotated[int, Field(ge=0)]
    max_replicas: Annotated[int, Field(ge=1)]
    ray_start_params: dict[str, str]
    template: PodTemplate


class RayClusterSpec(Part):
    ray_version: str
    auth_options: AuthOptions
    head_group_spec: HeadGroup
    worker_group_specs: list[WorkerGroup]


class RayCluster(Part):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayCluster"]
    metadata: Metadata
    spec: RayClusterSpec


class RayJobSpec(Part):
    entrypoint: str
    runtime_env_yaml: Annotated[str, AfterValidator(_mapping)] = Field(alias="runtimeEnvYAML")
    submission_mode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode"]
    backoff_limit: Annotated[int, Field(ge=0)]
    shutdown_after_job_finishes: bool
    ttl_seconds_after_finished: Annotated[int, Field(ge=0)]
    ray_cluster_spec: RayClusterSpec


class RayJob(Part):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: RayJobSpec


class UpgradeStrategy(Part):
    type: Literal["NewCluster", "NewClusterWithIncrementalUpgrade", "None"]


class RayServiceSpec(Part):
    # KubeRay takes these two and has no more use for them.
    service_unhealthy_second_threshold: PositiveInt | None = None
    deployment_unhealthy_second_threshold: PositiveInt | None = None
    upgrade_strategy: UpgradeStrategy | None = None
    serve_config_v2: Annotated[str, AfterValidator(_mapping)] = Field(alias="serveConfigV2")
    ray_cluster_config: RayClusterSpec


class RayService(Part):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayService"]
    metadata: Metadata
    spec: RayServiceSpec


class ClaimSpec(Part):
    access_modes: list[Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]]
    resources: dict[Literal["requests"], dict[Literal["storage"], Quantity]]


class PersistentVolumeClaim(Part):
    api_version: Literal["v1"]
    kind: Literal["PersistentVolumeClaim"]
    metadata: Metadata
    spec: ClaimSpec


KINDS: dict[str, type[Part]] = {
    model.__name__: model for model in (RayCluster, RayJob, RayService, PersistentVolumeClaim)
}
