"""The folder of a campaign: where things are, and who it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_matdesign.agents.saga.population import POPULATION_NAME
from ray_matdesign.agents.saga.settings import SagaSettings, base_config, load_campaign
from ray_matdesign.config.loading import dump, load_run_config
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.atomic import write_atomic

MAY_CHANGE = ("llm", "level", "review", "rounds", "stopping", "python_scorers")
"""Settings that a resumed campaign may have otherwise than the one it continues."""
SETTINGS_NAME, BASE_NAME = "saga.yaml", "base.yaml"


class CampaignFailed(RuntimeError):
    """A campaign that cannot start or go on; the message is one line, and says what to do."""


@dataclass(frozen=True)
class Places:
    """Paths in a campaign's folder; see :mod:`.events` for what is there.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def settings(self) -> Path:
        """Resolved settings."""
        return self.root / SETTINGS_NAME

    @property
    def base(self) -> Path:
        """The run that rounds are made from."""
        return self.root / BASE_NAME

    @property
    def reviews(self) -> Path:
        """Of people."""
        return self.root / "reviews"

    @property
    def scorers(self) -> Path:
        """Written and registered ones; absolute, as workers may be started elsewhere."""
        return (self.root / "scorers").absolute()

    @property
    def final_table(self) -> Path:
        """Every crystal on the union of objectives."""
        return self.root / "final.parquet"

    @property
    def held_out_table(self) -> Path:
        """The same on held-out properties."""
        return self.root / "held_out" / "held_out.parquet"

    @property
    def outcome(self) -> Path:
        """Of the whole."""
        return self.root / "final.json"

    def round(self, number: int) -> Path:
        """Of one round; absolute."""
        return (self.root / "rounds" / f"{number:02d}").absolute()

    def population(self, number: int) -> Path:
        """Of one round."""
        return self.round(number) / POPULATION_NAME

    def statistics(self, number: int) -> Path:
        """Of one round."""
        return self.round(number) / "statistics.json"


def begin(settings: SagaSettings, places: Places) -> tuple[SagaSettings, RunConfig]:
    """Writes down what a new campaign is; it can be resumed from then on.

    Raises:
        CampaignFailed: There is a campaign in the folder already.
        ConfigError: The run that rounds are made from is not valid.
    """
    if places.settings.exists():
        raise CampaignFailed(
            f"{places.root} holds a campaign already; resume it, or choose another folder"
        )
    base = base_config(settings)
    bred = base.generator.name == "genetic" and base.generator.checkpoint != "packaged"
    if settings.restart_ratio < 1.0 and bred:
        raise CampaignFailed(
            "restart_ratio below 1 hands over crystals by generator.checkpoint, which the base "
            "sets itself; set one of them otherwise"
        )
    write_atomic(places.base, dump(base))
    write_atomic(places.settings, dump(settings))  # last: a folder with it can be resumed
    return settings, base


def take_up(settings: SagaSettings, places: Places) -> tuple[SagaSettings, RunConfig]:
    """Reads what the campaign to resume is.

    Raises:
        CampaignFailed: There is none, or it was started with other settings.
        ConfigError: Its files are damaged.
    """
    if not places.settings.exists():
        raise CampaignFailed(f"{places.root} holds no campaign to resume")
    held = load_campaign(places.settings)
    old, new = held.model_dump(mode="json"), settings.model_dump(mode="json")
    changed = [key for key in _different(old, new) if key not in MAY_CHANGE]
    if changed:
        raise CampaignFailed(
            f"{places.root} was started with another {', '.join(changed)}; resume it with its own "
            f"{SETTINGS_NAME}, or start a new campaign"
        )
    if held != settings:
        write_atomic(places.settings, dump(settings))
    return settings, load_run_config(places.base)


def _different(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    return (key for key in old if old[key] != new[key])
