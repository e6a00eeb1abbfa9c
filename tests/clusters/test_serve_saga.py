"""Serve's file for campaigns: what Serve takes, and that nobody is let in without a token."""

from __future__ import annotations

from typing import Any

from files import CLUSTERS, documents
from ray.serve.schema import ServeDeploySchema

from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.serve import saga
from ray_matdesign.serve.saga_settings import ServedSagaSettings

PATH = CLUSTERS / "serve" / "saga.yaml"


def served() -> tuple[dict[str, Any], dict[str, Any]]:
    """The file, and its one application."""
    (config,) = documents(PATH)
    (application,) = config["applications"]
    return config, application


def test_serve_takes_the_file_and_builds_the_application() -> None:
    config, application = served()
    (read,) = ServeDeploySchema.model_validate(config).applications
    assert set(application) <= set(type(read).model_fields)
    module, _, name = read.import_path.partition(":")
    assert module == saga.__name__
    assert getattr(saga, name) is saga.app
    assert saga.app(read.args)


def test_nobody_is_let_in_without_a_token_or_from_elsewhere() -> None:
    config, application = served()
    settings = apply_overrides(ServedSagaSettings, application["args"], PATH.name, ())
    assert settings.token_env == "RAY_MATDESIGN_SAGA_TOKEN"
    assert config["http_options"]["host"] == "127.0.0.1"
    # Beside the endpoint of the language model, on the same machine.
    (llm,) = documents(CLUSTERS / "serve" / "llm.yaml")
    assert config["http_options"]["port"] != llm["http_options"]["port"]


def test_every_role_has_its_replicas() -> None:
    _, application = served()
    settings = apply_overrides(ServedSagaSettings, application["args"], PATH.name, ())
    assert set(settings.roles.names()) == {
        *("planner", "implementer", "optimizer", "analyzer", "evaluator", "selector")
    }
