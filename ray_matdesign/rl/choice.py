"""Which crystals of a loop are relaxed, and which survivors have their properties paid for.

MatInvent relaxes all, and pays for the first, whatever earlier loops found. Here crystals from
which nothing is to be had can be spared, and a surrogate can put the others in order.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ray_matdesign.crystals.codec import decode_crystals
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.matching import Matcher
from ray_matdesign.rl import metrics, seeds
from ray_matdesign.rl.acquisition import choose_best, reward_draws
from ray_matdesign.rl.candidate import Candidate, Outcome
from ray_matdesign.rl.descriptors import Floats, blocks, describe, describe_crystals
from ray_matdesign.rl.diversity import diversity_factor, diversity_key
from ray_matdesign.rl.memory import LongTermMemory
from ray_matdesign.rl.selection import lesson_size
from ray_matdesign.rl.stages import Tools
from ray_matdesign.rl.surrogate import Surrogate, fit_surrogate


@dataclass(frozen=True)
class Choice:
    """What is to be paid for.

    Attributes:
        keys: Of the chosen candidates; ``None`` for the first ones.
        expected: Reward the surrogate expects of every candidate, before the diversity filter;
            empty where it was not asked.
        penalised: The same after the filter.
    """

    keys: frozenset[str] | None = None
    expected: Mapping[str, float] = field(default_factory=dict)
    penalised: Mapping[str, float] = field(default_factory=dict)

    def presumed(self, candidates: Sequence[Candidate], n: int) -> list[Candidate]:
        """The best of those not evaluated, with the reward expected of them, best first."""
        left = [c for c in candidates if c.key in self.penalised and not c.billed]
        best = sorted(left, key=lambda c: (-self.penalised[c.key], c.index))[:n]
        return [replace(c, penalised_reward=self.penalised[c.key]) for c in best]


def spare(candidates: Sequence[Candidate], memory: LongTermMemory, tools: Tools) -> list[Candidate]:
    """Turns down, unpaid, survivors whose evaluation would change nothing.

    Those that match a crystal evaluated in an earlier loop, and those whose reward the diversity
    filter would take away whole. With ``rl.repeats: evaluated``, as in MatInvent, there are none.
    """
    if tools.config.rl.repeats == "evaluated":
        return list(candidates)
    matcher = Matcher(tools.config.stability)
    seen = memory.occurrences()
    formulas = {c.generated.formula for c in candidates if c.pending}
    earlier: dict[str, list[Crystal]] = {}
    for record in memory.records:
        if record.rested is not None and record.formula in formulas:
            earlier.setdefault(record.formula, []).extend(decode_crystals(record.rested.crystal))

    def judged(candidate: Candidate) -> Candidate:
        key = diversity_key(candidate.generated, tools.config.rl.diversity)
        if diversity_factor(seen[key] + 1, tools.config.rl.diversity) == 0.0:
            return candidate.rejected(Outcome.SPARED, f"{key} has been evaluated often enough")
        assert candidate.assessment is not None
        relaxed = candidate.assessment.relaxed
        if any(matcher.match(relaxed, other) for other in earlier.get(relaxed.formula, ())):
            return candidate.rejected(Outcome.SPARED, "an earlier loop evaluated it")
        return candidate

    return [judged(c) if c.pending else c for c in candidates]


def choose(
    candidates: Sequence[Candidate], memory: LongTermMemory, tools: Tools, loop: int
) -> Choice:
    """Chooses among the survivors with what the run has learnt so far.

    The surrogate is fitted anew to all evaluations, so that a resumed run chooses as one that was
    never interrupted.
    """
    survivors = [c for c in candidates if c.pending]
    surrogate = learnt(memory, tools) if survivors else None
    if surrogate is None:
        return Choice()
    draw = seeds.generator(tools.config.seed, loop, seeds.Stage.CHOICE)
    specimens = [c.assessment.specimen for c in survivors if c.assessment is not None]
    budget = tools.config.rl.budget(loop)
    return _best(survivors, describe(specimens), surrogate, memory, tools, budget, draw)


def shortlist(
    candidates: Sequence[Candidate], memory: LongTermMemory, tools: Tools, loop: int
) -> list[Candidate]:
    """Turns down, before any energy is paid for, what the loop's relaxations do not suffice for.

    The surrogate sees crystals as they were generated, and learns from the evaluated ones as they
    were generated. It foresees properties; of stability it knows nothing, unless the hull distance
    is one of them.
    """
    limit = tools.config.rl.relaxations
    valid = [c for c in candidates if c.pending]
    if limit is None or len(valid) <= limit:
        return list(candidates)
    surrogate = learnt(memory, tools, relaxed=False)
    kept: Collection[str] | None = [c.key for c in valid[:limit]]
    if surrogate is not None:
        draw = seeds.generator(tools.config.seed, loop, seeds.Stage.SHORTLIST)
        described = describe_crystals([c.generated for c in valid])
        kept = _best(valid, described, surrogate, memory, tools, limit, draw).keys
    assert kept is not None
    reason = f"the loop's {limit} relaxations were spent"
    return [
        c.rejected(Outcome.NOT_RELAXED, reason) if c.pending and c.key not in kept else c
        for c in candidates
    ]


def _best(
    candidates: Sequence[Candidate],
    described: Floats,
    surrogate: Surrogate,
    memory: LongTermMemory,
    tools: Tools,
    budget: int,
    draw: np.random.Generator,
) -> Choice:
    """What the surrogate would spend a budget on."""
    rl = tools.config.rl
    drawn = surrogate.draw(described, rl.surrogate.draws, draw)
    for place, candidate in enumerate(candidates):
        for column, name in enumerate(tools.properties):
            if name in candidate.values:  # the screening found it
                drawn[:, place, column] = candidate.values[name]
    rewards = reward_draws(drawn, tools.config.objective)
    seen = memory.occurrences()
    keys = [diversity_key(c.generated, rl.diversity) for c in candidates]
    whole = np.array([diversity_factor(seen[key] + 1, rl.diversity) for key in keys])
    learned = lesson_size(rl.evaluations, rl.top_fraction)
    chosen = choose_best(rewards * whole, keys, budget, rl.surrogate, draw, kept=learned)
    means = rewards.mean(axis=0)
    names = [c.key for c in candidates]
    return Choice(
        keys=frozenset(names[k] for k in chosen),
        expected=dict(zip(names, means.tolist(), strict=True)),
        penalised=dict(zip(names, (means * whole).tolist(), strict=True)),
    )


def learnt(memory: LongTermMemory, tools: Tools, *, relaxed: bool = True) -> Surrogate | None:
    """The surrogate of all evaluations so far.

    Args:
        memory: Holds them.
        tools: The run's.
        relaxed: Whether it is told the crystals at rest with their energies, or as generated.

    Returns:
        ``None`` while they are too few, or where no surrogate is wanted.
    """
    settings = tools.config.rl.surrogate
    records = [r for r in memory.records if r.values and (r.rested if relaxed else r.generated)]
    records = records[-settings.most_labels :]
    if not settings.enabled or len(records) < settings.least_labels:
        return None
    if relaxed:
        described = describe([r.rested.specimen for r in records if r.rested])
    else:
        crystals = [decode_crystals(r.generated)[0] for r in records if r.generated]
        described = describe_crystals(crystals)
    values = [[r.values.get(name, math.nan) for name in tools.properties] for r in records]
    return fit_surrogate(
        described,
        np.array(values),
        [block for block in blocks().values() if block.stop <= described.shape[1]],
        least_labels=settings.least_labels,
        most_labels=settings.most_labels,
    )


def hindsight(
    choice: Choice, candidates: Sequence[Candidate], rewards: Mapping[str, float]
) -> dict[str, Any]:
    """How well the surrogate knew: expected and found rewards of the evaluated crystals.

    ``expected_reward_mean`` is comparable with ``reward_mean``; ``expected_rank_correlation`` is
    Spearman's. ``None`` where the surrogate was not asked, or of fewer than three crystals.
    """
    pairs = [
        (choice.expected[c.key], rewards[c.key])
        for c in candidates
        if c.key in rewards and c.key in choice.expected
    ]
    expected, found = np.array(pairs).reshape(-1, 2).T
    correlation = None
    if len(pairs) > 2 and np.ptp(expected) > 0.0 and np.ptp(found) > 0.0:
        from scipy.stats import spearmanr

        correlation = float(spearmanr(expected, found).statistic)
    return {
        "expected_reward_mean": metrics.mean(expected.tolist()),
        "expected_rank_correlation": correlation,
    }
