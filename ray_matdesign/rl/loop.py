"""MatInvent's loop (arXiv:2511.03112, and its public code where the two differ).

Nothing here knows where the work runs, and nothing but :class:`Campaign` changes from one loop to
the next.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ray_matdesign.crystals.codec import encode_crystals
from ray_matdesign.generators.protocol import Weights
from ray_matdesign.rl import choice, metrics, seeds, stages
from ray_matdesign.rl.candidate import Candidate, Outcome
from ray_matdesign.rl.diversity import diversity_key, penalise
from ray_matdesign.rl.executor import Payload
from ray_matdesign.rl.memory import Evaluated, LongTermMemory, Rested
from ray_matdesign.rl.replay import Replay, ReplayEntry
from ray_matdesign.rl.selection import top_k
from ray_matdesign.rl.spending import Spending
from ray_matdesign.rl.stages import Tools
from ray_matdesign.rl.workers import GENERATOR, LEARNER


@dataclass
class Campaign:
    """All that a run learns: everything a checkpoint must hold.

    Attributes:
        weights: The policy's.
        version: How often they were updated.
        replay: Past good crystals.
        memory: Every evaluation paid for.
        optimizer: Adam's moments, where they are carried from loop to loop.
        loop: Loops finished.
    """

    weights: Weights
    replay: Replay
    memory: LongTermMemory = field(default_factory=LongTermMemory)
    optimizer: Weights | None = None
    version: int = 0
    loop: int = 0


@dataclass(frozen=True)
class LoopRecord:
    """What a loop leaves behind: every candidate, and the figures."""

    candidates: list[Candidate]
    metrics: dict[str, Any]


def run_loop(campaign: Campaign, tools: Tools) -> LoopRecord:
    """Runs the next loop and takes its lessons into the campaign."""
    config, rl, loop = tools.config, tools.config.rl, campaign.loop + 1
    clock = Clock()
    tools.progress.loop_started(loop)
    tools.ledger.open_loop(loop)

    with clock("sample"):
        candidates = stages.sample(tools, loop)
    with clock("relax"):
        candidates = stages.prefilter(candidates, tools)
        candidates = stages.drop_unwanted(candidates, tools)
        candidates = stages.drop_missing_elements(candidates, tools)
        candidates = choice.shortlist(candidates, campaign.memory, tools, loop)
        candidates = stages.relax(candidates, tools)
        candidates = stages.require_sun(candidates, tools)
    with clock("evaluate"):
        candidates = stages.screen(candidates, tools)
        candidates = choice.spare(candidates, campaign.memory, tools)
        chosen = choice.choose(candidates, campaign.memory, tools, loop)
        candidates = stages.evaluate(candidates, tools, rl.budget(loop), chosen.keys)

    spent = Spending()
    spent.add(candidates)
    campaign.memory.spending.include(spent)
    candidates, purged = remember(candidates, campaign, tools)
    evaluated = [c for c in candidates if c.outcome is Outcome.EVALUATED]
    best = [as_entry(c, tools) for c in top_k(evaluated, rl.evaluations, rl.top_fraction)]
    draw = seeds.generator(config.seed, loop, seeds.Stage.REPLAY)
    replayed = campaign.replay.sample(rl.replay.draw, draw)  # before this loop's best enter
    campaign.replay.add(best)
    presumed = [as_entry(c, tools) for c in chosen.presumed(candidates, rl.surrogate.presumed)]
    lessons = [*best, *replayed, *presumed]
    with clock("finetune"):
        lesson = learn(lessons, campaign, tools, loop)

    campaign.loop = loop
    figures = {
        "loop": loop,
        "policy_version": campaign.version,
        **metrics.funnel(candidates, rl.samples),
        **metrics.property_figures(candidates),
        **metrics.memory_figures(campaign.memory, config.objective.reward_threshold),
        "hypervolume": metrics.front_hypervolume(
            campaign.memory, config.objective, tools.properties
        ),
        **metrics.spending_figures(spent, campaign.memory, config.objective.reward_threshold),
        "replay_size": len(campaign.replay),
        "replayed": len(replayed),
        "purged": purged,
        **choice.hindsight(chosen, candidates),
        "presumed": len(presumed),
        "trained_on": len(lessons),
        **{k: lesson.get(k) for k in ("loss", "denoise", "deviation", "adam_steps")},
        "rejections": metrics.rejections(candidates),
        "wall_s": clock.total(),
        "timings": clock.seconds,
    }
    return LoopRecord(candidates, figures)


def remember(
    candidates: Sequence[Candidate], campaign: Campaign, tools: Tools
) -> tuple[list[Candidate], int]:
    """Enters the evaluations into the long-term memory, then applies the diversity filter.

    The memory keeps unpenalised rewards; occurrences count this loop's crystals as well.

    Returns:
        The candidates with penalised rewards, and how many entries the replay buffer lost.
    """
    settings = tools.config.rl.diversity
    billed = [c for c in candidates if c.billed]
    keys = {c.key: diversity_key(c.generated, settings) for c in billed}
    campaign.memory.append(_evaluated(c, keys[c.key]) for c in billed)
    rewarded = {c.key: c.reward for c in billed if c.reward is not None}
    verdict = penalise(
        [keys[key] for key in rewarded],
        list(rewarded.values()),
        campaign.memory.occurrences(),
        settings,
    )
    purged = campaign.replay.purge(verdict.purge)
    penalised = dict(zip(rewarded, verdict.rewards, strict=True))
    return [replace(c, penalised_reward=penalised.get(c.key)) for c in candidates], purged


def learn(entries: Sequence[ReplayEntry], campaign: Campaign, tools: Tools, loop: int) -> Payload:
    """Fine-tunes on the entries and publishes the new weights; without entries, does nothing."""
    if not entries:
        tools.progress.note(f"loop {loop}: nothing to train on; the policy stays as it is")
        return {"adam_steps": 0}
    lesson = stages.finetune(entries, campaign.optimizer, loop, tools)
    campaign.weights, campaign.optimizer = dict(lesson["weights"]), lesson["optimizer"]
    campaign.version += 1
    publish(campaign, tools)
    return lesson


def publish(campaign: Campaign, tools: Tools) -> None:
    """Gives generators and learner the campaign's weights."""
    for role in (GENERATOR, LEARNER):
        tools.executor.publish(role, campaign.weights, campaign.version)


def as_entry(candidate: Candidate, tools: Tools) -> ReplayEntry:
    """What is trained on: the crystal as generated, with its penalised reward."""
    assert candidate.penalised_reward is not None
    return ReplayEntry(
        key=candidate.key,
        formula=candidate.generated.formula,
        diversity_key=diversity_key(candidate.generated, tools.config.rl.diversity),
        reward=candidate.penalised_reward,
        crystal=encode_crystals([candidate.generated]),
    )


def _evaluated(candidate: Candidate, key: str) -> Evaluated:
    found = candidate.assessment
    return Evaluated(
        key=candidate.key,
        loop=candidate.loop,
        formula=candidate.generated.formula,
        diversity_key=key,
        reward=candidate.reward,
        values=dict(candidate.values),
        rested=None if found is None else Rested.of(found.specimen),
        generated=encode_crystals([candidate.generated]),
    )


class Clock:
    """Wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    def total(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self._start

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Times a stage."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
