"""What the documentation tells users to type works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import campaigns
import pytest

from ray_matdesign.agents.llm.protocol import Llm
from ray_matdesign.agents.saga import events
from ray_matdesign.agents.saga.settings import SagaSettings, base_config, load_campaign

PAGE = Path(__file__).resolve().parents[3] / "docs" / "saga.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


def test_the_settings_load(tmp_path: Path) -> None:
    (example,) = blocks("yaml")
    path = tmp_path / "oxides.yaml"
    path.write_text(example)
    campaign = load_campaign(path)
    assert base_config(campaign).rl.loops == 3


def test_the_commands_run(tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a toy campaign, and a model that says its lines, in place of the real ones."""
    first, second = blocks("python")
    toy = campaigns.settings(tmp_path, reference, rounds=1)
    monkeypatch.chdir(tmp_path)

    def shipped(name: str, overrides: list[str]) -> SagaSettings:
        assert load_campaign(name, overrides).rounds == 3
        return toy

    def built(settings: object, folder: Path) -> Llm:
        return campaigns.Actor()

    names = {"load_campaign(": "shipped(", "build_llm(settings": "built(settings"}
    for name, stand_in in names.items():
        first = first.replace(name, stand_in)
    scope: dict[str, object] = {"shipped": shipped, "built": built}
    exec(compile(first + second, str(PAGE), "exec"), scope)  # noqa: S102 (our own page)
    state = scope["state"]
    assert isinstance(state, events.CampaignState)
    assert state.status == "finished"


def test_every_kind_of_event_is_described() -> None:
    page = PAGE.read_text()
    for kind in events.Kind.__args__:  # type: ignore[attr-defined]
        assert f"`{kind}`" in page
