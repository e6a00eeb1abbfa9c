"""What a run designs for: properties, what counts as good, and what is not let through."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from ray_matdesign.config.settings import Fraction, Settings


class _Ramp(Settings):
    min: float
    max: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_order("min", self.min, "max", self.max)
        return self


class AscendingTransform(_Ramp):
    """``clip((p - min) / (max - min), 0, 1)``."""

    kind: Literal["ascending"]


class DescendingTransform(_Ramp):
    """``clip((max - p) / (max - min), 0, 1)``."""

    kind: Literal["descending"]


class TargetTransform(Settings):
    """``clip((max_distance - |p - target|) / (max_distance - min_distance), 0, 1)``."""

    kind: Literal["target"]
    target: float
    min_distance: float = Field(default=0.0, ge=0.0)
    max_distance: PositiveFloat

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_order("min_distance", self.min_distance, "max_distance", self.max_distance)
        return self


class _Span(Settings):
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_order("low", self.low, "high", self.high)
        return self


class SigmoidTransform(_Span):
    """``1 / (1 + 10^(-10 k (p - middle) / (high - low)))``, REINVENT 4's ``sigmoid``.

    One half in the middle of ``low`` and ``high``, ``1 / (1 + 10^(-5 k))`` at ``high``.
    """

    kind: Literal["sigmoid"]
    k: PositiveFloat
    """Steepness: 0.25 gives 0.947 at ``high`` and 0.053 at ``low``; 0.5 gives 0.997 and 0.003."""


class ReverseSigmoidTransform(_Span):
    """One minus the sigmoid: REINVENT 4's ``reverse_sigmoid``."""

    kind: Literal["reverse_sigmoid"]
    k: PositiveFloat
    """Steepness; see the sigmoid."""


class DoubleSigmoidTransform(_Span):
    """REINVENT 4's ``double_sigmoid``: high between ``low`` and ``high``, one half at both.

    Below the middle ``1 / (1 + 10^(-(p - low) coef_si / coef_div))``, from the middle on
    ``1 / (1 + 10^((p - high) coef_se / coef_div))``.
    """

    kind: Literal["double_sigmoid"]
    coef_div: PositiveFloat = 100.0
    """Divides both coefficients. With the defaults the score falls tenfold in 0.67 units."""
    coef_si: PositiveFloat = 150.0
    """Steepness of the rise at ``low``."""
    coef_se: PositiveFloat = 150.0
    """Steepness of the fall at ``high``."""


class StepTransform(Settings):
    """1 from ``low`` to ``high``, both included, else 0; either side may be left open.

    REINVENT 4's ``step``, with ``low`` alone its ``right_step``, with ``high`` alone its
    ``left_step``.
    """

    kind: Literal["step"]
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        _check_bounds("low", self.low, "high", self.high)
        return self


Transform = Annotated[
    AscendingTransform
    | DescendingTransform
    | TargetTransform
    | SigmoidTransform
    | ReverseSigmoidTransform
    | DoubleSigmoidTransform
    | StepTransform,
    Field(discriminator="kind"),
]


class ObjectiveFilter(Settings):
    """A property that must lie within bounds: a crystal outside earns no reward at all.

    Filters come before terms; see ``docs/objectives.md`` for their order and their price.
    """

    scorer: str
    """Entry of ``SCORERS``, or an import path ``package.module:factory``."""
    options: dict[str, Any] = Field(default_factory=dict)
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        _check_bounds("min", self.min, "max", self.max)
        return self


class ObjectiveTerm(Settings):
    """One property and what counts as good."""

    scorer: str
    """Entry of ``SCORERS``, or an import path ``package.module:factory``."""
    options: dict[str, Any] = Field(default_factory=dict)
    transform: Transform
    weight: PositiveFloat = 1.0
    """For the aggregations ``weighted``, ``geometric`` and ``chebyshev``."""
    min_score: Fraction | None = None
    """A crystal that scores less here is not evaluated any further and earns no reward."""


class ObjectiveSettings(Settings):
    """What the run designs for."""

    terms: tuple[ObjectiveTerm, ...] = Field(min_length=1)
    filters: tuple[ObjectiveFilter, ...] = ()
    """What is not let through, whatever the terms would say."""
    aggregation: Literal["mean", "min", "weighted", "geometric", "chebyshev"] = "mean"
    """``geometric`` is the weighted geometric mean, which ranks crystals as a product does;
    ``chebyshev`` is the least score by weight, with equal weights the ``min``."""
    preferences: Literal["fixed", "swept"] = "fixed"
    """Whether the terms' weights stay as they are, or are other ones in each loop, so that a run
    looks for the whole front of trade-offs; see ``docs/tune.md``."""
    reward_threshold: Annotated[float, Field(ge=0.0, le=1.0)] = 0.8
    """Reward above which a crystal counts as a hit in the metrics."""

    def only(self, scorers: Collection[str]) -> ObjectiveSettings:
        """The part of the objective that some of its scorers can tell; perhaps without any term."""
        terms = tuple(term for term in self.terms if term.scorer in scorers)
        filters = tuple(limit for limit in self.filters if limit.scorer in scorers)
        return self.model_copy(update={"terms": terms, "filters": filters})

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for what, names in (
            ("term", [term.scorer for term in self.terms]),
            ("filter", [limit.scorer for limit in self.filters]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"each scorer may appear in one {what}, got {names}")
        return self

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        options = {term.scorer: term.options for term in self.terms}
        for limit in self.filters:
            if options.get(limit.scorer, limit.options) != limit.options:
                raise ValueError(
                    f"the filter on {limit.scorer} has other options than the term; give both "
                    f"the same"
                )
        return self

    @model_validator(mode="after")
    def _preferences_have_a_say(self) -> Self:
        if self.preferences == "fixed":
            return self
        if len(self.terms) < 2:
            raise ValueError("preferences are swept between terms, and there is but one")
        if self.aggregation in ("mean", "min"):
            raise ValueError(
                f"aggregation is {self.aggregation!r}, which knows no weights to sweep; set it to "
                f"'chebyshev', 'weighted' or 'geometric'"
            )
        given = [term.scorer for term in self.terms if term.weight != 1.0]
        if given:
            raise ValueError(
                f"preferences are swept, which replaces the weight of {', '.join(given)}; remove it"
            )
        return self

    @model_validator(mode="after")
    def _no_idle_weights(self) -> Self:
        ignored = [term.scorer for term in self.terms if term.weight != 1.0]
        if ignored and self.aggregation in ("mean", "min"):
            raise ValueError(
                f"aggregation is {self.aggregation!r}, which ignores the weight of "
                f"{', '.join(ignored)}; set it to 'weighted', 'geometric' or 'chebyshev', or "
                f"remove the weight"
            )
        return self


def _check_order(low_name: str, low: float, high_name: str, high: float) -> None:
    if low >= high:
        raise ValueError(f"{low_name} ({low}) must be below {high_name} ({high})")


def _check_bounds(low_name: str, low: float | None, high_name: str, high: float | None) -> None:
    if low is None and high is None:
        raise ValueError(f"give {low_name}, {high_name}, or both")
    if low is not None and high is not None:
        _check_order(low_name, low, high_name, high)
