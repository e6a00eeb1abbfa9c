from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ray_matdesign.agents.objectives.matching import Relation, builtin_entries, match
from ray_matdesign.agents.saga.settings import (
    SagaSettings,
    base_config,
    list_campaigns,
    load_campaign,
)
from ray_matdesign.config.loading import ConfigError, dump
from ray_matdesign.rewards.objective import SCORERS

SHIPPED = [campaign.name for campaign in list_campaigns()]

SMALL = """
name: small
goal: Something.
base: {recipe: superhard}
objectives:
  - spec: {name: dense, description: Heavy., kind: candidate, direction: maximize,
           quantity: density, unit: g/cm3, inputs: [composition, structure]}
    low: 1
    high: 20
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def test_three_campaigns_are_shipped() -> None:
    assert SHIPPED == ["low-risk-magnet", "superhard", "transparent-coating"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_campaign_loads_and_its_objectives_need_no_model(name: str) -> None:
    campaign = load_campaign(name)
    assert campaign.name == name
    base = base_config(campaign)
    assert base.generator.name == "genetic"
    for aim in campaign.objectives:
        found = match(aim.spec, builtin_entries())
        assert found.relation is Relation.REUSE, found.reason
    assert all(one.scorer in SCORERS for one in campaign.held_out)
    assert not {one.name for one in campaign.held_out} & {a.spec.name for a in campaign.objectives}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_dumped_campaign_loads_as_itself(name: str, tmp_path: Path) -> None:
    campaign = load_campaign(name, ["rounds=2", "llm.budget.tokens=5000"])
    assert (campaign.rounds, campaign.llm.budget.tokens) == (2, 5000)
    assert load_campaign(written(tmp_path, dump(campaign))) == campaign


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("objectives.0.high=0", "low .1. must be below high"),
        ("objectives.0.high=", "give low and high, or neither"),
        ("level=pilot", "level"),
        ("restart_ratio=2", "restart_ratio"),
        ("colour=red", "colour"),
        ("max_objectives=0", "max_objectives"),
    ],
)
def test_what_is_wrong_is_named(override: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_campaign(written(tmp_path, SMALL), [override])


def test_names_are_there_once() -> None:
    campaign = load_campaign("superhard")
    aims = campaign.model_dump(mode="json")["objectives"]
    with pytest.raises(ValidationError, match="hardness stands there twice"):
        SagaSettings.model_validate({**campaign.model_dump(mode="json"), "objectives": aims * 2})


def test_an_unknown_campaign_is_told_from_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a campaign nor a file; there are low-risk"):
        load_campaign("superhards")
    with pytest.raises(ConfigError, match="no such file"):
        load_campaign(tmp_path / "missing.yaml")
