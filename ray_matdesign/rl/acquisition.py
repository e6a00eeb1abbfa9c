"""Which survivors deserve their evaluation, given what a surrogate holds possible."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.config.objective import ObjectiveFilter, ObjectiveSettings
from ray_matdesign.config.surrogate import SurrogateSettings
from ray_matdesign.rewards.transforms import aggregate, apply

Floats = NDArray[np.float64]


def reward_draws(properties: Floats, objective: ObjectiveSettings) -> Floats:
    """Rewards of drawn properties.

    A draw outside a filter's bounds, or below a term's least score, earns nothing: the crystal
    would be turned down.

    Args:
        properties: Shape ``(n_draws, m, n_properties)``: those of the objective's terms, then those
            that are only filtered by, both in the objective's order.
        objective: Terms, filters and their aggregation.

    Returns:
        Shape ``(n_draws, m)``, in [0, 1].
    """
    terms = objective.terms
    names = [term.scorer for term in terms]
    names += [limit.scorer for limit in objective.filters if limit.scorer not in names]
    column = dict(zip(names, properties.reshape(-1, len(names)).T, strict=True))
    scores = [[apply(t.transform, value) for value in column[t.scorer].tolist()] for t in terms]
    weights = [term.weight for term in terms]
    rewards = [aggregate(row, weights, objective.aggregation) for row in zip(*scores, strict=True)]
    allowed = np.ones(len(rewards), dtype=bool)
    for limit in objective.filters:
        allowed &= _within(column[limit.scorer], limit)
    for term, found in zip(terms, scores, strict=True):
        allowed &= np.array(found) >= (term.min_score or 0.0)
    return np.where(allowed, rewards, 0.0).reshape(properties.shape[:2])


def choose_best(
    rewards: Floats,
    kinds: Sequence[Hashable],
    budget: int,
    settings: SurrogateSettings,
    rng: np.random.Generator,
    *,
    kept: int,
) -> NDArray[np.int64]:
    """Chooses the crystals to evaluate.

    The strategies: ``greedy`` takes the greatest mean; ``ucb`` the greatest mean plus ``kappa``
    standard deviations; ``thompson`` the best of one draw, the next draw for each pick;
    ``improvement`` whatever raises the expected sum of the ``kept`` best of the chosen most, which
    prefers the uncertain, and among them those whose fates are independent.

    Args:
        rewards: Drawn, shape ``(n_draws, m)``; a row is drawn jointly for all crystals.
        kinds: Of each crystal, e.g. its formula; the second of a kind waits until one of every kind
            is chosen, the third until two are.
        budget: How many to choose.
        settings: Strategy, share of exploration, weight of the uncertainty.
        rng: Consumed by the exploration.
        kept: How many of the chosen will be trained on.

    Returns:
        ``min(budget, m)`` distinct indices: the strategy's, best first, then those drawn at random
        from all crystals, which are a fair sample of them.
    """
    m = rewards.shape[1]
    size = min(budget, m)
    # Rounded up or down at random, so that small budgets explore as well.
    n_random = min(size, int(np.floor(size * settings.explore + rng.random())))
    explored = rng.choice(m, size=n_random, replace=False).tolist()
    number = {kind: k for k, kind in enumerate(dict.fromkeys(kinds))}
    kind = np.array([number[kind] for kind in kinds])
    chosen: list[int] = list(explored)
    while len(chosen) < size:
        taken = np.bincount(kind[chosen], minlength=len(number))[kind].astype(np.float64)
        taken[chosen] = np.inf
        worth = _worth(rewards, chosen, len(chosen) - n_random, settings, kept)
        chosen.append(int(np.argmax(np.where(taken == taken.min(), worth, -np.inf))))
    return np.array([*chosen[n_random:], *explored], dtype=np.int64)


def _worth(
    rewards: Floats, chosen: Sequence[int], pick: int, settings: SurrogateSettings, kept: int
) -> Floats:
    """What each crystal is worth beside those chosen already, shape ``(m,)``."""
    match settings.strategy:
        case "greedy":
            return np.asarray(rewards.mean(axis=0))
        case "ucb":
            return np.asarray(rewards.mean(axis=0) + settings.kappa * rewards.std(axis=0))
        case "thompson":
            return np.asarray(rewards[pick % len(rewards)])
        case "improvement":
            bar = _bar(rewards[:, chosen], kept)
            return np.asarray(np.maximum(rewards - bar[:, None], 0.0).mean(axis=0))
        case _:
            assert_never(settings.strategy)


def _bar(rewards: Floats, kept: int) -> Floats:
    """What a reward must exceed to be among the ``kept`` best of a draw, shape ``(n_draws,)``."""
    if rewards.shape[1] < kept:
        return np.zeros(len(rewards))
    return np.asarray(np.partition(rewards, -kept, axis=1)[:, -kept])


def _within(values: Floats, limit: ObjectiveFilter) -> NDArray[np.bool_]:
    low = -np.inf if limit.min is None else limit.min
    high = np.inf if limit.max is None else limit.max
    return (values >= low) & (values <= high)
