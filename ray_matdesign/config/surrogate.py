"""Settings of the surrogate: which of many survivors deserve an evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from ray_matdesign.config.settings import Settings


class SurrogateSettings(Settings):
    """A model of the properties, learnt from the run's own evaluations, chooses what to evaluate.

    Defaults were chosen with ``bench/surrogate.py``.
    """

    enabled: bool = False
    """Off, the first survivors are evaluated, as in MatInvent."""
    least_labels: Annotated[int, Field(ge=4)] = 8
    """Values of every property needed before the model is asked; until then the first survivors."""
    most_labels: PositiveInt = 2000
    """Only so many evaluations are learnt from, the latest; the time grows with their cube."""
    strategy: Literal["improvement", "greedy", "ucb", "thompson"] = "improvement"
    """What makes a survivor worth its evaluation: how much it is expected to raise the best of the
    loop, those that are trained on; its expected reward; that plus ``kappa`` standard deviations;
    or its reward in one random draw, a fresh one for each pick."""
    kappa: PositiveFloat = 1.0
    """Weight of the uncertainty, in the strategy ``ucb`` alone."""
    explore: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Share of the evaluations that goes to random survivors, on average, so that what the model
    thinks little of is seen as well and its errors can be found."""
    draws: PositiveInt = 256
    """Rewards drawn for each survivor from what the model holds possible."""
    presumed: NonNegativeInt = 0
    """Survivors not evaluated that are learned from all the same, the best by expected reward, with
    that for a reward. They do not enter the replay buffer."""
