"""From a round's objectives to the settings of the run that designs for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray_matdesign.agents.saga.protocol import Implemented
from ray_matdesign.config.objective import (
    AscendingTransform,
    DescendingTransform,
    ObjectiveFilter,
    ObjectiveSettings,
    ObjectiveTerm,
    Transform,
)
from ray_matdesign.config.schema import RunConfig

_WEIGHTED = {"mean": "weighted", "min": "chebyshev"}
"""What an aggregation that knows no weights becomes where there are some."""
_TRUE_FROM = 0.5
"""A condition comes to 1 or 0."""


def round_config(
    base: RunConfig, objectives: Sequence[Implemented], scorers: Path, seed: int
) -> RunConfig:
    """The run of a round: the base, with the campaign's objectives for its own.

    Candidate objectives become terms, filters join those of the base, and objectives of a
    population have no part in a run.

    Args:
        base: With filters and an aggregation that stay.
        objectives: At least one of a candidate.
        scorers: Folder of written scorers.
        seed: Of the run.
    """
    terms = tuple(term_of(one, scorers) for one in of_kind(objectives, "candidate"))
    filters = tuple(filter_of(one, scorers) for one in of_kind(objectives, "filter"))
    taken = {one.scorer for one in filters}
    kept = tuple(one for one in base.objective.filters if one.scorer not in taken)
    aggregation: Any = base.objective.aggregation
    if any(term.weight != 1.0 for term in terms):
        aggregation = _WEIGHTED.get(aggregation, aggregation)
    objective = ObjectiveSettings(
        terms=terms,
        filters=(*kept, *filters),
        aggregation=aggregation,
        reward_threshold=base.objective.reward_threshold,
    )
    return base.model_copy(update={"objective": objective, "seed": seed})


def of_kind(objectives: Sequence[Implemented], kind: str) -> list[Implemented]:
    """Those of a kind, in order."""
    return [one for one in objectives if one.objective.spec.kind == kind]


def transform_of(objective: Implemented) -> Transform:
    """The ramp of a candidate objective."""
    assert objective.low is not None
    assert objective.high is not None
    if objective.objective.spec.direction == "minimize":
        return DescendingTransform(kind="descending", min=objective.low, max=objective.high)
    return AscendingTransform(kind="ascending", min=objective.low, max=objective.high)


def term_of(objective: Implemented, scorers: Path) -> ObjectiveTerm:
    """A candidate objective as a term of a run."""
    return ObjectiveTerm(
        scorer=objective.scorer,
        options=_options(objective, scorers),
        transform=transform_of(objective),
        weight=objective.objective.spec.weight or 1.0,
    )


def filter_of(objective: Implemented, scorers: Path) -> ObjectiveFilter:
    """A filter objective as a filter of a run."""
    return ObjectiveFilter(
        scorer=objective.scorer, options=_options(objective, scorers), min=_TRUE_FROM
    )


def _options(objective: Implemented, scorers: Path) -> dict[str, Any]:
    return {"artifact": str(scorers / objective.artifact)} if objective.artifact else {}
