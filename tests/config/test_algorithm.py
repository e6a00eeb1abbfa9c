"""The two algorithms: what each sets, and what a user may still set by name."""

import pytest
from pydantic import ValidationError

from ray_matdesign.config.schema import ExecutionSettings, RLSettings


def test_matinvent_evaluates_the_first_survivors_and_replays_any() -> None:
    rl = RLSettings()
    assert rl.algorithm == "matinvent"
    assert (rl.replay.prefer, rl.repeats, rl.surrogate.enabled) == ("any", "evaluated", False)
    assert (rl.highest_time, rl.lowest_time) == (1.0, 0.0)


def test_guided_sets_what_it_is_named_for_and_nothing_else() -> None:
    rl = RLSettings(algorithm="guided")
    assert (rl.replay.prefer, rl.repeats, rl.surrogate.enabled) == ("best", "spared", True)
    assert (rl.times, rl.epochs * rl.timesteps, rl.accumulate) == ("spread", 60, 1)
    named = {"algorithm", "replay", "repeats", "surrogate", "times", "timesteps", "accumulate"}
    assert rl.model_dump(exclude=named) == RLSettings().model_dump(exclude=named)


def test_what_is_set_by_name_stands_against_the_algorithm() -> None:
    rl = RLSettings.model_validate(
        {"algorithm": "guided", "repeats": "evaluated", "surrogate": {"explore": 0.5}}
    )
    assert (rl.repeats, rl.replay.prefer) == ("evaluated", "best")
    assert rl.surrogate.enabled
    assert rl.surrogate.explore == 0.5


def test_saved_settings_load_as_they_were() -> None:
    rl = RLSettings.model_validate({"algorithm": "guided", "replay": {"prefer": "any", "draw": 3}})
    assert RLSettings.model_validate(rl.model_dump(mode="json")) == rl


def test_times_that_leave_nothing_between_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"lowest_time \(0\.5\) must be below highest_time"):
        RLSettings(lowest_time=0.5, highest_time=0.5)


def test_the_least_number_of_reward_workers_is_no_more_than_the_greatest():
    settings = ExecutionSettings(reward_workers=4, min_reward_workers=1)
    assert settings.min_reward_workers == 1
    assert ExecutionSettings().min_reward_workers is None
    with pytest.raises(ValidationError, match=r"min_reward_workers \(5\) must not exceed"):
        ExecutionSettings(reward_workers=4, min_reward_workers=5)
