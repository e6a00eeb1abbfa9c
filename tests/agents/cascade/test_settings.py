from __future__ import annotations

import pytest
from pydantic import ValidationError

from ray_matdesign.agents.cascade.debugging import assign
from ray_matdesign.agents.cascade.running import Failure
from ray_matdesign.agents.cascade.settings import AbilitySettings, CascadeSettings
from ray_matdesign.config.loading import ConfigError, apply_overrides


@pytest.mark.parametrize(
    ("mode", "able"),
    [
        ("native", set()),
        ("search_debug", {"documentation"}),
        ("deep", {"research", "documentation", "introspection", "probe", "repair", "judge"}),
    ],
)
def test_modes_build_on_each_other_and_none_remembers(mode: str, able: set[str]) -> None:
    abilities = vars(CascadeSettings(mode=mode).able)  # type: ignore[arg-type]
    assert {name for name, on in abilities.items() if on is True} == able
    assert not abilities["memory"]


def test_skills_are_all_that_the_last_mode_adds() -> None:
    deep, skilled = CascadeSettings().able, CascadeSettings(mode="deep+skills").able
    changed = {name for name in vars(deep) if getattr(deep, name) != getattr(skilled, name)}
    assert changed == {"skills"}


@pytest.mark.parametrize("ability", list(AbilitySettings.model_fields))
def test_each_ability_is_one_key(ability: str) -> None:
    value = 2 if ability == "debuggers" else not getattr(CascadeSettings().able, ability)
    override = {"abilities": {ability: value}}
    before = vars(CascadeSettings().able)
    after = vars(apply_overrides(CascadeSettings, override, "test", ()).able)
    assert {name for name in after if after[name] != before[name]} == {ability}


def test_mistakes_are_told_with_their_key() -> None:
    with pytest.raises(ConfigError, match=r"abilities.memmory: unknown key"):
        apply_overrides(CascadeSettings, {"abilities": {"memmory": True}}, "test", ())
    with pytest.raises(ValidationError, match="each may be given once"):
        CascadeSettings(strategies=("direct", "direct"))


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("AttributeError", ["introspection", "direct", "documentation"]),
        ("WrongType", ["result", "direct", "diagnostic"]),
        ("ValueError", ["direct", "diagnostic", "documentation"]),
    ],
)
def test_strategies_follow_the_failure(kind: str, first: list[str]) -> None:
    assert assign(Failure(kind=kind, message=""), CascadeSettings()) == first


def test_strategies_are_different_as_long_as_there_are_enough() -> None:
    failure = Failure(kind="AttributeError", message="")
    many = CascadeSettings.model_validate({"abilities": {"debuggers": 8}})
    assert len(set(assign(failure, many)[:5])) == 5
    assert len(assign(failure, many)) == 8
    blind = CascadeSettings.model_validate({"abilities": {"introspection": False}})
    assert assign(failure, blind) == ["documentation", "direct", "diagnostic"]
    given = CascadeSettings(strategies=("result", "direct"))
    assert assign(failure, given) == ["result", "direct", "result"]
