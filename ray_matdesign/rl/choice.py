"""Which survivors of a loop have their properties paid for.

MatInvent takes the first ones, whatever earlier loops found. Here crystals from which nothing is to
be had can be spared, and a surrogate can put the others in order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ray_matdesign.crystals.codec import decode_crystals
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.matching import Matcher
from ray_matdesign.rl import metrics, seeds
from ray_matdesign.rl.acquisition import choose_best, reward_draws
from ray_matdesign.rl.candidate import Candidate, Outcome
from ray_matdesign.rl.descriptors import blocks, describe
from ray_matdesign.rl.diversity import diversity_factor, diversity_key
from ray_matdesign.rl.memory import LongTermMemory
from ray_matdesign.rl.selection import lesson_size
from ray_matdesign.rl.stages import Tools
from ray_matdesign.rl.surrogate import Surrogate, fit_surrogate


@dataclass(frozen=True)
class Choice:
    """What is to be evaluated.

    Attributes:
        keys: Of the chosen candidates; ``None`` for the first ones.
        expected: Reward the surrogate expects of every survivor, before the diversity filter; empty
            where it was not asked.
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
    rl = tools.config.rl
    survivors = [c for c in candidates if c.pending]
    if not rl.surrogate.enabled or not survivors:
        return Choice()
    surrogate = learnt(memory, tools)
    if surrogate is None:
        return Choice()
    draw = seeds.generator(tools.config.seed, loop, seeds.Stage.CHOICE)
    specimens = [c.assessment.specimen for c in survivors if c.assessment is not None]
    drawn = surrogate.draw(describe(specimens), rl.surrogate.draws, draw)
    for place, candidate in enumerate(survivors):
        for column, name in enumerate(tools.properties):
            if name in candidate.values:  # the screening found it
                drawn[:, place, column] = candidate.values[name]
    rewards = reward_draws(drawn, tools.config.objective)
    seen = memory.occurrences()
    keys = [diversity_key(c.generated, rl.diversity) for c in survivors]
    whole = np.array([diversity_factor(seen[key] + 1, rl.diversity) for key in keys])
    learned = lesson_size(rl.evaluations, rl.top_fraction)
    budget = rl.budget(loop)
    chosen = choose_best(rewards * whole, keys, budget, rl.surrogate, draw, kept=learned)
    means = rewards.mean(axis=0)
    names = [c.key for c in survivors]
    return Choice(
        keys=frozenset(names[k] for k in chosen),
        expected=dict(zip(names, means.tolist(), strict=True)),
        penalised=dict(zip(names, (means * whole).tolist(), strict=True)),
    )


def learnt(memory: LongTermMemory, tools: Tools) -> Surrogate | None:
    """The surrogate of all evaluations so far; ``None`` while they are too few."""
    settings = tools.config.rl.surrogate
    labelled = [(r.rested, r.values) for r in memory.records if r.rested is not None and r.values]
    labelled = labelled[-settings.most_labels :]
    if len(labelled) < settings.least_labels:
        return None
    values = [[v.get(name, math.nan) for name in tools.properties] for _, v in labelled]
    return fit_surrogate(
        describe([rested.specimen for rested, _ in labelled]),
        np.array(values),
        list(blocks().values()),
        least_labels=settings.least_labels,
        most_labels=settings.most_labels,
    )


def hindsight(choice: Choice, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """How well the surrogate knew: expected and found rewards of the evaluated crystals.

    ``expected_reward_mean`` is comparable with ``reward_mean``; ``expected_rank_correlation`` is
    Spearman's. ``None`` where the surrogate was not asked, or of fewer than three crystals.
    """
    pairs = [
        (choice.expected[c.key], c.reward)
        for c in candidates
        if c.reward is not None and c.key in choice.expected
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
