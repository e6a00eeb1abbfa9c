"""What docs/laboratory.md tells users to type works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

PAGE = Path(__file__).resolve().parents[3] / "docs" / "laboratory.md"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert found is not None
    return found.group(1)


@pytest.mark.slow
def test_the_example_makes_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(block("python"), names)  # noqa: S102 - the documentation's own code
    assert names["outcome"].found is not None


def test_the_settings_of_the_application_are_read() -> None:
    pytest.importorskip("ray.serve")
    from ray_matdesign.config.loading import apply_overrides
    from ray_matdesign.serve.laboratory import LaboratorySettings

    (application,) = yaml.safe_load(block("yaml"))["applications"]
    assert application["import_path"] == "ray_matdesign.serve.laboratory:app"
    settings = apply_overrides(LaboratorySettings, application["args"], "args", ())
    assert settings.staff_token_env == "LAB_STAFF_TOKEN"
