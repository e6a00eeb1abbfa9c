"""Preferences: in each loop other weights of the terms, so that a run covers the front.

A fixed scalarisation pulls the policy toward one trade-off. With ``objective.preferences: swept``
each loop has weights of its own, which fill the simplex evenly over the loops.

Rewards *learnt from* are those under the loop's weights: of the loop's crystals, of what the
surrogate expects, and of the crystals in the replay buffer, whose stored rewards belong to other
weights and are therefore made anew from the properties that the memory holds. Rewards *reported*
(metrics, hits, the best crystals, the memory) stay those of the configured objective, and hence
comparable from loop to loop.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import groupby

import numpy as np

from ray_matdesign.config.objective import ObjectiveSettings
from ray_matdesign.config.schema import DiversitySettings
from ray_matdesign.rewards.transforms import aggregate, apply
from ray_matdesign.rl import seeds
from ray_matdesign.rl.candidate import Candidate
from ray_matdesign.rl.diversity import diversity_factor
from ray_matdesign.rl.memory import Evaluated, LongTermMemory
from ray_matdesign.rl.replay import Replay, ReplayEntry
from ray_matdesign.rl.stages import Tools

LEAST = 1e-3
"""No term's weight is less, in units of their sum: every property keeps a say."""


def turned(tools: Tools, loop: int) -> Tools:
    """The run's tools with the weights of a loop; with fixed preferences, as they are."""
    objective = tools.config.objective
    if objective.preferences == "fixed":
        return tools
    shares = loop_weights(len(objective.terms), tools.config.seed, loop)
    terms = tuple(
        term.model_copy(update={"weight": share})
        for term, share in zip(objective.terms, shares, strict=True)
    )
    changed = objective.model_copy(update={"terms": terms})
    return replace(tools, config=tools.config.model_copy(update={"objective": changed}))


def revalue_replay(replay: Replay, memory: LongTermMemory, tools: Tools) -> None:
    """Gives what the replay buffer holds rewards under the weights of ``tools``, where they change.

    Args:
        replay: Changed in place.
        memory: Holds the properties of every crystal in the buffer.
        tools: With the weights of a loop.
    """
    if tools.config.objective.preferences == "fixed":
        return
    held = [ReplayEntry(**entry) for entry in replay.state_dict()["entries"]]
    revalued = revalue(held, memory.records, tools)
    replay.load_state_dict({"entries": [asdict(entry) for entry in revalued]})


def weights(tools: Tools) -> dict[str, float] | None:
    """The terms' weights by property, in units of their sum; ``None`` where they are fixed."""
    objective = tools.config.objective
    if objective.preferences == "fixed":
        return None
    pairs = zip(tools.properties, objective.terms, strict=False)
    return {name: term.weight for name, term in pairs}


def rewards(candidates: Sequence[Candidate], tools: Tools) -> dict[str, float]:
    """Rewards to learn from, by key, of the candidates that have one; before any penalty."""
    evaluated = [c for c in candidates if c.reward is not None]
    objective = tools.config.objective
    if objective.preferences == "fixed":
        return {c.key: c.reward for c in evaluated if c.reward is not None}
    return {c.key: _reward(c, objective, tools.properties) for c in evaluated}


def revalue(
    entries: Sequence[ReplayEntry], records: Sequence[Evaluated], tools: Tools
) -> list[ReplayEntry]:
    """Replay entries with rewards under the weights of ``tools``; same order and length.

    Each keeps the penalty it entered with: that of its diversity key's occurrences up to then.

    Args:
        entries: Each made of a candidate that was evaluated.
        records: Every evaluation, in the order they were made.
        tools: With the weights of a loop.
    """
    by_key = {record.key: record for record in records}
    factors = _factors(records, tools.config.rl.diversity)

    def revalued(entry: ReplayEntry) -> ReplayEntry:
        reward = _reward(by_key[entry.key], tools.config.objective, tools.properties)
        return replace(entry, reward=reward * factors[entry.key])

    return [revalued(entry) for entry in entries]


def loop_weights(n: int, seed: int, loop: int) -> list[float]:
    """Weights of ``n`` terms in a loop: point number ``loop`` of a sequence that fills the simplex.

    A Kronecker sequence in ``n - 1`` dimensions with the steps of the generalised golden ratio
    (Roberts, 2018), from an offset drawn by the run's seed; the gaps between the sorted coordinates
    are uniform on the simplex. Of two terms, any stretch of loops leaves no gap more than twice the
    average one.

    Returns:
        Positive numbers whose sum is 1.
    """
    dimensions = n - 1
    golden = 2.0
    for _ in range(60):  # the root of x^(d+1) = x + 1; converges by a half or more a step
        golden = (1.0 + golden) ** (1.0 / (dimensions + 1))
    steps = golden ** -np.arange(1.0, dimensions + 1.0)
    offset = seeds.generator(seed, 0, seeds.Stage.PREFERENCE).random(dimensions)
    place = np.sort((offset + loop * steps) % 1.0)
    gaps = np.diff(place, prepend=0.0, append=1.0)
    shares = np.maximum(gaps, LEAST)
    return [float(share) for share in shares / math.fsum(shares)]


def _reward(
    found: Candidate | Evaluated, objective: ObjectiveSettings, properties: Sequence[str]
) -> float:
    terms = objective.terms
    scores = [
        apply(term.transform, found.values[name])
        for term, name in zip(terms, properties, strict=False)
    ]
    return aggregate(scores, [term.weight for term in terms], objective.aggregation)


def _factors(records: Sequence[Evaluated], settings: DiversitySettings) -> dict[str, float]:
    """Share of its reward that each evaluated crystal kept in the loop that evaluated it."""
    seen: Counter[str] = Counter()
    factors: dict[str, float] = {}
    for _, of_loop in groupby(records, key=lambda record: record.loop):
        rewarded = [record for record in of_loop if record.reward is not None]
        seen.update(record.diversity_key for record in rewarded)
        for record in rewarded:
            factors[record.key] = diversity_factor(seen[record.diversity_key], settings)
    return factors
