"""One loop in numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ray_matdesign.config.objective import ObjectiveSettings
from ray_matdesign.rewards.transforms import apply
from ray_matdesign.rl.candidate import Candidate, Outcome
from ray_matdesign.rl.hypervolume import hypervolume
from ray_matdesign.rl.memory import LongTermMemory
from ray_matdesign.rl.spending import Spending

_NUMBER = re.compile(r"(?<![A-Za-z])-?\d+(\.\d+)?(e[+-]?\d+)?")


def funnel(candidates: Sequence[Candidate], requested: int) -> dict[str, Any]:
    """How many candidates came how far.

    ``valid`` passed the checks before relaxation, ``relaxed`` were relaxed; ``stable``, ``unique``
    and ``novel`` count among these, ``sun`` all three at once. ``sun_fraction`` is of the crystals
    requested.
    """
    assessments = [c.assessment for c in candidates if c.assessment is not None]
    flags = [c.flags for c in candidates if c.flags is not None]
    sun = sum(f.sun for f in flags)
    return {
        "requested": requested,
        "sampled": len(candidates),
        "valid": sum(c.outcome is not Outcome.INVALID for c in candidates),
        "relaxed": len(assessments),
        "converged": sum(a.converged for a in assessments),
        "stable": sum(f.stable for f in flags),
        "unique": sum(f.unique for f in flags),
        "novel": sum(f.novel for f in flags),
        "sun": sun,
        "sun_fraction": sun / requested,
        "evaluated": sum(c.billed for c in candidates),
        "e_above_hull_mean": mean(a.e_above_hull_ev_per_atom for a in assessments),
        "displacement_mean_ang": mean(a.displacement_ang for a in assessments),
        "relax_steps_mean": mean(a.relax_steps for a in assessments),
    }


def property_figures(candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Rewards and mean properties of the evaluated candidates; ``None`` where there is none."""
    evaluated = [c for c in candidates if c.outcome is Outcome.EVALUATED]
    rewards = [c.reward for c in evaluated if c.reward is not None]
    names = dict.fromkeys(name for c in evaluated for name in c.values)
    return {
        "reward_mean": mean(rewards),
        "reward_max": max(rewards, default=None),
        "penalised_reward_mean": mean(
            c.penalised_reward for c in evaluated if c.penalised_reward is not None
        ),
        **{
            f"mean_{name}": mean(c.values[name] for c in evaluated if name in c.values)
            for name in names
        },
    }


def memory_figures(memory: LongTermMemory, threshold: float) -> dict[str, Any]:
    """What the run achieved so far."""
    return {
        "evaluations_total": len(memory),
        "unique_formulas_total": memory.unique_formulas(),
        "unique_hits_total": memory.unique_hits(threshold),
        "diversity_ratio": memory.diversity_ratio(),
        "burden": memory.burden(threshold),
        "baseline": memory.baseline(),
    }


def front_hypervolume(
    memory: LongTermMemory, objective: ObjectiveSettings, properties: Sequence[str]
) -> float | None:
    """Share of the space of scores that the best trade-offs evaluated so far cover, up to 1.

    Filters and least scores do not enter: they say what is let through, not how good it is.

    Args:
        memory: The run's.
        objective: Its terms' transforms make scores of properties.
        properties: Names under which the memory holds the terms' values, in the terms' order.

    Returns:
        ``None`` where there is but one property: the best score says as much.
    """
    terms = objective.terms
    if len(terms) < 2:
        return None
    scores = [
        [apply(t.transform, r.values[name]) for t, name in zip(terms, properties, strict=False)]
        for r in memory.records
        if r.reward is not None
    ]
    return hypervolume(scores, [0.0] * len(terms))


def spending_figures(
    loop: Spending, memory: LongTermMemory, threshold: float
) -> dict[str, dict[str, Any]]:
    """What was asked of each scorer and of each cost class, in the loop and so far.

    ``computed`` values were paid for, ``recalled`` ones were free. A scorer asked in an earlier
    loop is listed with a zero.
    """
    total = memory.spending
    return {
        "computed": {name: loop.computed[name] for name in total.scorers},
        "recalled": {name: loop.recalled[name] for name in total.scorers},
        "computed_by_cost": loop.computed_by_cost(),
        "computed_total": {name: total.computed[name] for name in total.scorers},
        "recalled_total": {name: total.recalled[name] for name in total.scorers},
        "computed_by_cost_total": total.computed_by_cost(),
        "burden_by_cost": memory.burden_by_cost(threshold),
    }


def rejections(candidates: Iterable[Candidate]) -> dict[str, int]:
    """Candidates that fell out, by outcome and reason, most frequent first.

    Numbers in a reason are replaced by ``#`` and the formula of a compound by ``formula``, so that
    equal causes count together.
    """
    counts = Counter(
        f"{c.outcome.value}: {_general(c)}" for c in candidates if c.reason and not c.pending
    )
    return dict(counts.most_common())


def mean(values: Iterable[float]) -> float | None:
    """Arithmetic mean; ``None`` of nothing."""
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else None


def flat(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """One level: ``{"timings": {"sample": 1}}`` becomes ``{"timings.sample": 1}``."""
    row: dict[str, Any] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            row.update({f"{key}.{inner}": v for inner, v in value.items()})
        else:
            row[key] = value
    return row


def _general(candidate: Candidate) -> str:
    reason = candidate.reason
    if len(candidate.generated.elements) > 1:
        reason = re.sub(rf"\b{re.escape(candidate.generated.formula)}\b", "formula", reason)
    return _NUMBER.sub("#", reason)
