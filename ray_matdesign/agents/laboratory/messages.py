"""What a laboratory and those who use it say to each other.

The same messages go through Python calls and over HTTP as JSON. Units are in the names.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from ray_matdesign.config.settings import Settings

Atmosphere = Literal["air", "oxygen", "argon"]
Kind = Literal["synthesis", "xrd", "impedance"]
State = Literal["awaiting_approval", "queued", "running", "done", "failed", "cancelled"]
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})
"""States that a job stays in."""

Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$")]
"""Chosen by who orders. One key is one job, however often it is sent."""
MOST_POINTS = 20_000


class Dose(Settings):
    """Some of a precursor."""

    precursor: str = Field(min_length=1, max_length=60)
    """Its name in the laboratory's stock."""
    mass_g: PositiveFloat


class Milling(Settings):
    """Grinding in a planetary mill."""

    minutes: NonNegativeFloat = 30.0
    rpm: float = Field(default=300.0, ge=0.0, le=1100.0)


class FurnaceStep(Settings):
    """A ramp and a hold; the last is followed by natural cooling."""

    temperature_c: float = Field(ge=20.0, le=3000.0)
    hold_h: NonNegativeFloat
    ramp_c_per_min: PositiveFloat = 5.0


class Synthesis(Settings):
    """Weigh, mill, heat."""

    kind: Literal["synthesis"] = "synthesis"
    target: str = Field(min_length=1, max_length=60)
    """Formula that is hoped for; the laboratory does not act on it."""
    doses: tuple[Dose, ...] = Field(min_length=1, max_length=12)
    milling: Milling = Milling()
    furnace: tuple[FurnaceStep, ...] = Field(min_length=1, max_length=12)
    atmosphere: Atmosphere = "air"

    @model_validator(mode="after")
    def _precursors_differ(self) -> Self:
        names = [dose.precursor for dose in self.doses]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is weighed twice; give one dose of it")
        return self

    @property
    def hottest_c(self) -> float:
        """Highest temperature of the schedule."""
        return max(step.temperature_c for step in self.furnace)


class Xrd(Settings):
    """A powder diffraction pattern with copper radiation."""

    kind: Literal["xrd"] = "xrd"
    sample: str = Field(min_length=1, max_length=60)
    from_deg: float = Field(default=12.0, ge=5.0, le=90.0)
    to_deg: float = Field(default=80.0, ge=5.0, le=90.0)
    step_deg: float = Field(default=0.04, ge=0.002, le=0.5)
    seconds_per_step: float = Field(default=1.0, gt=0.0, le=600.0)

    @model_validator(mode="after")
    def _range_holds_points(self) -> Self:
        points = (self.to_deg - self.from_deg) / self.step_deg
        if not 50 <= points <= MOST_POINTS:
            raise ValueError(f"a pattern has 50 to {MOST_POINTS} points, this one {points:.0f}")
        return self


class Impedance(Settings):
    """An impedance spectrum of a pressed pellet between blocking electrodes."""

    kind: Literal["impedance"] = "impedance"
    sample: str = Field(min_length=1, max_length=60)
    temperature_c: float = Field(default=25.0, ge=-50.0, le=300.0)
    from_hz: float = Field(default=0.1, gt=0.0)
    to_hz: float = Field(default=7e6, gt=0.0, le=1e8)
    points_per_decade: int = Field(default=10, ge=3, le=50)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.to_hz < 10.0 * self.from_hz:
            raise ValueError("a spectrum spans a decade at least")
        return self


Work = Annotated[Synthesis | Xrd | Impedance, Field(discriminator="kind")]


class Order(Settings):
    """Work to be done, once."""

    key: Key
    work: Work


class Job(Settings):
    """Where an order stands."""

    id: str
    key: Key
    kind: Kind
    state: State
    submitted_h: float
    """Hours on the laboratory's clock, as are all times here."""
    ahead: int = 0
    """Jobs that wait before this one for the same kind of device, while it is queued."""
    started_h: float | None = None
    ended_h: float | None = None
    device: str = ""
    reason: str = ""
    """In one line: what is to be approved, why it failed, or who cancelled it."""

    @property
    def ended(self) -> bool:
        """Whether nothing changes any more."""
        return self.state in ENDED


class Sample(Settings):
    """What a synthesis leaves: a powder with a name."""

    kind: Literal["synthesis"] = "synthesis"
    sample: str
    mass_g: PositiveFloat
    remarks: tuple[str, ...] = ()
    """What an eye sees: molten, stuck to the crucible, ..."""


class Pattern(Settings):
    """Counts over the diffraction angle."""

    kind: Literal["xrd"] = "xrd"
    sample: str
    wavelength_angstrom: PositiveFloat
    two_theta_deg: tuple[float, ...]
    counts: tuple[NonNegativeFloat, ...]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.two_theta_deg) != len(self.counts):
            raise ValueError(f"{len(self.two_theta_deg)} angles but {len(self.counts)} counts")
        return self


class Spectrum(Settings):
    """Complex impedance over frequency, with what is needed to make a conductivity of it."""

    kind: Literal["impedance"] = "impedance"
    sample: str
    temperature_c: float
    thickness_cm: PositiveFloat
    area_cm2: PositiveFloat
    frequency_hz: tuple[PositiveFloat, ...]
    real_ohm: tuple[float, ...]
    imag_ohm: tuple[float, ...]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        lengths = {len(self.frequency_hz), len(self.real_ohm), len(self.imag_ohm)}
        if len(lengths) != 1:
            raise ValueError(f"lists of different lengths: {sorted(lengths)}")
        return self


Result = Annotated[Sample | Pattern | Spectrum, Field(discriminator="kind")]


class Limits(Settings):
    """What a laboratory allows at all, and what it allows once a person has agreed."""

    max_temperature_c: float = 1400.0
    max_hold_h: PositiveFloat = 72.0
    max_ramp_c_per_min: PositiveFloat = 10.0
    max_dose_g: PositiveFloat = 10.0
    max_batch_g: PositiveFloat = 20.0
    max_rpm: PositiveFloat = 600.0
    forbidden: tuple[str, ...] = ()
    """Precursors that are in stock for other work, by name."""
    approval_above_c: float = 1200.0
    approval_above_batch_g: PositiveFloat = 10.0
    approval_hazards: tuple[str, ...] = ("toxic", "oxidiser", "carcinogen")
    """Classes of hazard that a person has to agree to, whatever the amount."""
    agreed: tuple[str, ...] = ()
    """Precursors of those classes that a person has agreed to once and for all, by name."""
    max_open_jobs: PositiveInt = 64
    """That wait or run at one time."""


class Stock(Settings):
    """A precursor on the shelf."""

    name: str
    formula: str
    hazards: tuple[str, ...] = ()


class About(Settings):
    """What a laboratory says of itself."""

    name: str
    now_h: float
    limits: Limits
    stock: tuple[Stock, ...]
    devices: dict[Kind, PositiveInt]
