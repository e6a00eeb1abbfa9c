"""Settings of the reinforcement learning: MatInvent's algorithm, and what goes beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from ray_matdesign.config.settings import Fraction, Settings
from ray_matdesign.config.surrogate import SurrogateSettings

GUIDED: Mapping[str, Any] = {
    "repeats": "spared",
    "surrogate": {"enabled": True},
    "replay": {"prefer": "best"},
    "times": "spread",
    "timesteps": 20,
    "accumulate": 1,
}
"""What ``algorithm: guided`` sets, unless it is set otherwise by name."""


class ReplaySettings(Settings):
    """Past good crystals, trained on again."""

    capacity: PositiveInt = 100
    draw: NonNegativeInt = 10
    prefer: Literal["any", "best"] = "any"
    """Whether all entries are drawn alike (MatInvent), or the best are taken."""
    min_reward: float = 0.1


class DiversitySettings(Settings):
    """Penalty on formulas seen too often."""

    key: Literal["formula", "elements"] = "formula"
    tolerance: PositiveInt = 3
    buffer: PositiveInt = 6

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.tolerance >= self.buffer:
            raise ValueError(f"tolerance ({self.tolerance}) must be below buffer ({self.buffer})")
        return self


class RLSettings(Settings):
    """The algorithm. Defaults are MatInvent's; ``algorithm: guided`` changes some of them."""

    algorithm: Literal["matinvent", "guided"] = "matinvent"
    """``matinvent`` as published, or ``guided``: other defaults for ``repeats``, ``replay``
    and ``surrogate``, each of which may still be set by name."""
    loops: PositiveInt = 120
    staleness: NonNegativeInt = 0
    """Loops whose lessons the policy that samples may lack. 0: one loop after another (MatInvent).
    From 1 on, that many loops are sampled and relaxed ahead of the one that is learnt from, by the
    policy as it was then; the same seed still gives the same run."""
    samples: PositiveInt = 64
    """Crystals generated in each loop."""
    relaxations: PositiveInt | None = None
    """Valid crystals relaxed in each loop, at most: by default all (MatInvent). With a surrogate
    those it thinks most of as they were generated, else the first."""
    evaluations: PositiveInt = 16
    """Property evaluations paid for in each loop, at most."""
    first_evaluations: PositiveInt | None = None
    """Those of the first loop, if not as many: a surrogate has to start from something."""
    top_fraction: Fraction = 0.5
    """Share of ``evaluations`` that is trained on."""
    repeats: Literal["evaluated", "spared"] = "evaluated"
    """Whether a crystal that an earlier loop evaluated already is evaluated again (MatInvent), or
    spared, together with those whose reward the diversity filter would take away whole."""
    surrogate: SurrogateSettings = SurrogateSettings()
    """Which survivors are evaluated: with MatInvent the first, with a surrogate the best guess."""
    epochs: PositiveInt = 3
    timesteps: PositiveInt = 1000
    """Micro-steps of an epoch: diffusion times visited, from the highest down to the lowest."""
    times: Literal["shared", "spread"] = "shared"
    """Whether all crystals of a micro-step are noised to one time (MatInvent), or to times spread
    over the whole range, so that far fewer micro-steps see as much."""
    highest_time: Fraction = 1.0
    """1 is pure noise."""
    lowest_time: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """0 stands for the least above it, as no noise at all would teach nothing: of shared times
    ``highest_time / timesteps``, of spread ones 0.001."""
    accumulate: PositiveInt = 50
    """Micro-steps whose gradients are summed before a step of Adam."""
    lr: PositiveFloat = 1e-5
    sigma: Annotated[float, Field(ge=0.0)] = 0.025
    """Weight of the deviation from the prior."""
    deviation_offset: PositiveFloat = 1.1
    """The paper's lambda: deviation is weighted by ``offset - reward``."""
    optimizer_state: Literal["fresh", "carried"] = "fresh"
    """Whether Adam's moments start anew in each loop."""
    replay: ReplaySettings = ReplaySettings()
    diversity: DiversitySettings = DiversitySettings()

    def budget(self, loop: int) -> int:
        """Property evaluations paid for in a loop, at most."""
        return self.first_evaluations or self.evaluations if loop == 1 else self.evaluations

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("algorithm") == "guided":
            return _filled(given, GUIDED)
        return given

    @model_validator(mode="after")
    def _times_in_order(self) -> Self:
        if self.lowest_time >= self.highest_time:
            raise ValueError(
                f"lowest_time ({self.lowest_time:g}) must be below highest_time "
                f"({self.highest_time:g})"
            )
        return self


def _filled(given: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, and the preset where nothing is given, at every depth."""
    filled = dict(given)
    for key, value in preset.items():
        held = filled.setdefault(key, value)
        if isinstance(value, Mapping) and isinstance(held, Mapping):
            filled[key] = _filled(held, value)
    return filled
