"""Settings of a campaign whose objectives evolve, and the campaigns that are shipped."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from ray_matdesign.agents.objectives.specification import Name, ObjectiveSpec, Text
from ray_matdesign.config.llm import LlmSettings
from ray_matdesign.config.loading import (
    ConfigError,
    Recipe,
    load_run_config,
    load_settings,
    read_source,
)
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.config.settings import Settings

Level = Literal["co-pilot", "semi-pilot", "autopilot"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Aim(Settings):
    """An objective, and between which of its values crystals are told apart.

    The inner loop rewards a candidate objective by a ramp from 0 to 1 between ``low`` and ``high``:
    rising where it is maximised, falling where it is minimised.
    """

    spec: ObjectiveSpec
    low: float | None = None
    """In the objective's unit. Without both, the usual range of the property is taken."""
    high: float | None = None

    @model_validator(mode="after")
    def _ramp(self) -> Self:
        name = self.spec.name
        if (self.low is None) != (self.high is None):
            raise ValueError(f"{name}: give low and high, or neither")
        if self.low is None or self.high is None:
            return self
        if self.spec.kind != "candidate":
            raise ValueError(f"{name}: a {self.spec.kind} objective has no low and high")
        if self.low >= self.high:
            raise ValueError(f"{name}: low ({self.low:g}) must be below high ({self.high:g})")
        return self


class HeldOut(Settings):
    """A property that the finished campaign is judged by, and that no role is told of."""

    name: Name
    scorer: str
    """Entry of ``SCORERS``, or an import path ``package.module:factory``."""
    options: dict[str, Any] = Field(default_factory=dict)
    min: float | None = None
    """A crystal passes from here on."""
    max: float | None = None
    """A crystal passes up to here."""


class BaseSettings(Settings):
    """The run that each round is made from; its objective's terms are the campaign's instead."""

    recipe: str = Field(min_length=1)
    """A recipe, or a YAML file of a run."""
    overrides: tuple[str, ...] = ()
    """Each ``dotted.key=value``, as on the command line of a run."""


class InnerSettings(Settings):
    """What looks for crystals within a round."""

    kind: Literal["run", "compositions"] = "run"
    """``run``: the loop of the base, by reinforcement learning or by breeding. ``compositions``: a
    language model proposes elements for structure types; the base's loop judges them."""
    generations: PositiveInt = 3
    """Of ``compositions``: how often the model is shown what became of its proposals."""
    proposals: PositiveInt = 16
    """Of ``compositions``: crystals in a generation."""


class ReviewSettings(Settings):
    """How long people are waited for."""

    timeout_s: PositiveFloat | None = None
    """After which a review nobody decided counts as below; ``None`` waits for ever."""
    on_timeout: Literal["approve", "stop"] = "approve"
    """``approve`` goes on with what was proposed; ``stop`` ends the campaign."""
    poll_s: PositiveFloat = 1.0
    """Pause between two looks at an open review."""


class StoppingSettings(Settings):
    """When the objectives have evolved enough."""

    rounds: PositiveInt | None = 2
    """So many rounds in a row without a gain end the campaign; ``None`` for no such rule."""
    measure: Literal["hypervolume", "mean"] = "hypervolume"
    """Of the first round's objectives, whatever was added later, over all crystals so far: the
    share of the space of scores that they cover, or the mean reward of the best ten."""
    min_gain: NonNegativeFloat = 0.01
    """Absolute gain from which on a round counts as one."""
    analyzer: bool = True
    """Whether the analyzer's word ends the campaign."""


class SagaSettings(Settings):
    """A campaign: rounds of planning, implementing, designing and analysing."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    goal: Text
    """What is wanted, in the words the planner reads."""
    context: str = Field(default="", max_length=8000)
    """What else the planner and the analyzer should know."""
    base: BaseSettings
    objectives: tuple[Aim, ...] = ()
    """The initial ones: kept word for word in every round. Without any, the planner begins."""
    rounds: PositiveInt = 5
    """At most."""
    level: Level = "autopilot"
    """``co-pilot``: people review plans and analyses; ``semi-pilot``: analyses; ``autopilot``:
    nothing."""
    review: ReviewSettings = ReviewSettings()
    max_objectives: PositiveInt = 6
    """In force at once, initial ones included."""
    revisions: NonNegativeInt = 2
    """How often in a round the planner may replace what cannot be implemented, or was rejected."""
    repairs: NonNegativeInt = 3
    """How often a scorer under way may be corrected, in each of its two languages."""
    python_scorers: bool = True
    """Whether scorers may be written in Python, which needs a sandbox on this machine."""
    restart_ratio: Share = 1.0
    """Share of the population that a round does without: 1 starts anew, so that only objectives
    carry over; 0 begins with everything the round before has found."""
    population: PositiveInt = 64
    """Crystals that a round hands on, at most: the best ones."""
    inner: InnerSettings = InnerSettings()
    stopping: StoppingSettings = StoppingSettings()
    select: PositiveInt = 10
    """Crystals picked at the end."""
    held_out: tuple[HeldOut, ...] = ()
    llm: LlmSettings = LlmSettings()
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        for what, names in (
            ("objectives", [aim.spec.name for aim in self.objectives]),
            ("held_out", [one.name for one in self.held_out]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what}: the name {twice[0]} stands there twice")
        return self

    @model_validator(mode="after")
    def _room(self) -> Self:
        if len(self.objectives) > self.max_objectives:
            raise ValueError(
                f"there are {len(self.objectives)} objectives, and max_objectives is "
                f"{self.max_objectives}"
            )
        kinds = [aim.spec.kind for aim in self.objectives]
        if len(kinds) == self.max_objectives and "candidate" not in kinds:
            raise ValueError("objectives: none of a candidate, and no room for one")
        return self


def list_campaigns() -> list[Recipe]:
    """The shipped campaigns, by name."""
    folder = resources.files("ray_matdesign.agents.saga").joinpath("campaigns")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    texts = ((f.name.removesuffix(".yaml"), f.read_text(encoding="utf-8")) for f in files)
    return [Recipe(name, text.partition("\n")[0].lstrip("# "), text) for name, text in texts]


def load_campaign(source: str | Path, overrides: Sequence[str] = ()) -> SagaSettings:
    """Reads the settings of a campaign.

    Args:
        source: Name of a shipped campaign, or path of a YAML file.
        overrides: Each ``dotted.key=value``, applied in turn.

    Raises:
        ConfigError: One line for each thing that is wrong.
    """
    shipped = {one.name: one.text for one in list_campaigns()}
    if isinstance(source, str) and source in shipped:
        return load_settings(SagaSettings, shipped[source], f"campaign {source}", overrides)
    where = str(source)
    if not Path(source).exists() and "/" not in where and not where.endswith((".yaml", ".yml")):
        raise ConfigError(f"{where}: neither a campaign nor a file; there are {', '.join(shipped)}")
    _, text = read_source(Path(source))
    return load_settings(SagaSettings, text, where, overrides)


def base_config(settings: SagaSettings) -> RunConfig:
    """The run that rounds are made from, with the objective of its own still in it.

    Raises:
        ConfigError: One line for each thing that is wrong with it.
    """
    return load_run_config(settings.base.recipe, settings.base.overrides)
