"""What a campaign writes down: what it is after, what it began, and what came of it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, TypeAdapter

from ray_matdesign.agents.json_lines import append_line, read_lines
from ray_matdesign.agents.laboratory.messages import Atmosphere, Milling
from ray_matdesign.config.settings import Fraction, Settings
from ray_matdesign.crystals.atomic import write_atomic

PLAN = "plan.json"
JOURNAL = "journal.jsonl"


class BadCampaign(ValueError):
    """A folder that holds another campaign, or a target it cannot recognise."""


class CampaignSettings(Settings):
    """What a campaign is after, and what it may try."""

    target: str
    """Formula; it must be among the reference phases."""
    goal: Fraction = 0.92
    """Share of the target in everything crystalline at which the campaign ends."""
    budget: PositiveInt = 30
    """Experiments, at most; those that failed count."""
    temperatures_c: tuple[PositiveFloat, ...] = tuple(float(t) for t in range(300, 1201, 100))
    holds_h: tuple[PositiveFloat, ...] = (4.0, 12.0)
    atmospheres: tuple[Atmosphere, ...] = ("air", "argon")
    most_routes: PositiveInt = 12
    batch_g: PositiveFloat = 2.0
    milling: Milling = Milling()
    strategy: Literal["active", "random"] = "active"
    seed: NonNegativeInt = 0
    """Of the random order."""
    attempts: PositiveInt = 3
    """Orders of one synthesis or measurement, if the laboratory fails at it."""
    approval_polls: PositiveInt = 3
    """How often to look whether a person has agreed, before trying something else."""
    conductivity: bool = False
    """Whether to measure the impedance of the best sample in the end."""


class Done(Settings):
    """An experiment and what it came to: one line of the journal."""

    entry: Literal["done"] = "done"
    number: PositiveInt
    route: NonNegativeInt
    precursors: tuple[str, ...]
    temperature_c: float
    hold_h: float
    jobs: tuple[str, ...]
    """Ids at the laboratory, in the order they were placed."""
    sample: str | None = None
    purity: float | None = None
    """``None`` if there was nothing to measure."""
    shares: dict[str, float] = Field(default_factory=dict)
    unexplained: float = 0.0
    unknown_peaks_deg: tuple[float, ...] = ()
    lattice_angstrom: tuple[float, float, float] | None = None
    """Of the target, if it was found."""
    reason: str = ""
    """Why there is no purity."""


class Begun(Settings):
    """An experiment that was decided on."""

    entry: Literal["begun"] = "begun"
    number: PositiveInt
    route: NonNegativeInt
    temperature_c: float
    hold_h: float


class Conducted(Settings):
    """The conductivity of the best sample."""

    entry: Literal["conducted"] = "conducted"
    sample: str
    jobs: tuple[str, ...]
    conductivity_s_per_cm: float | None = None
    error_s_per_cm: float | None = None
    temperature_c: float | None = None
    reason: str = ""


class _Plan(Settings):
    """What a campaign is called and after."""

    name: str
    settings: CampaignSettings


Entry = Annotated[Begun | Done | Conducted, Field(discriminator="entry")]
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


class Journal:
    """The records of one campaign, in a folder.

    Args:
        folder: Made if it is not there.
        settings: What the campaign is after.
        name: Of the campaign, which no other at the laboratory may have; by default drawn.

    Attributes:
        name: Of the campaign; keys of orders begin with it.

    Raises:
        BadCampaign: The folder holds a campaign with other settings, or no plan.
    """

    def __init__(self, folder: Path, settings: CampaignSettings, name: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / JOURNAL
        self.name = _begin(settings, folder / PLAN, name)

    def write(self, entry: Entry) -> None:
        """Adds an entry; it is on disk when this returns."""
        append_line(self._path, entry.model_dump(mode="json"))

    def entries(self) -> list[Entry]:
        """All of them, first the first.

        Raises:
            BadLines: The file is damaged.
        """
        if not self._path.exists():
            return []
        return [_ENTRY.validate_python(line) for _, line in read_lines(self._path)]

    def experiments(self) -> tuple[list[Done], Begun | None]:
        """Experiments that are done, and the one that is under way.

        Raises:
            BadLines: The file is damaged.
        """
        entries = self.entries()
        done = [entry for entry in entries if isinstance(entry, Done)]
        begun = [entry for entry in entries if isinstance(entry, Begun)]
        return done, begun[-1] if len(begun) > len(done) else None


def _begin(settings: CampaignSettings, path: Path, name: str | None) -> str:
    """The campaign's name; what it is after is written down with it.

    Raises:
        BadCampaign: It was begun with other settings.
    """
    try:
        known = _Plan.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        known = _Plan(name=name or secrets.token_hex(6), settings=settings)
        write_atomic(path, known.model_dump_json(indent=1) + "\n")
    if known.settings != settings:
        raise BadCampaign(f"{path}: begun with other settings; choose another folder")
    return known.name
