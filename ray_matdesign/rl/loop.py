"""MatInvent's loop (arXiv:2511.03112, and its public code where the two differ).

Nothing here knows where the work runs, and nothing but :class:`Campaign` changes from one loop to
the next. A loop has two halves: :func:`pursue` what was sampled until it is known which crystals
survive, and :func:`harvest` these. ``rl.pipeline`` runs the first half ahead of the second.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ray_matdesign.crystals.codec import encode_crystals
from ray_matdesign.generators.protocol import Weights
from ray_matdesign.rl import choice, metrics, preference, seeds, stages
from ray_matdesign.rl.candidate import Candidate, Outcome
from ray_matdesign.rl.checkpoint import Issue
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
        earlier: The policy after earlier loops, by loop, as far back as ``rl.staleness`` reaches.
    """

    weights: Weights
    replay: Replay
    memory: LongTermMemory = field(default_factory=LongTermMemory)
    optimizer: Weights | None = None
    version: int = 0
    loop: int = 0
    earlier: dict[int, Issue] = field(default_factory=dict)

    def policy_for(self, loop: int, staleness: int) -> Issue:
        """The policy that samples a loop: as it was so many loops before the one just before it.

        Raises:
            KeyError: That policy is not known yet, or not any more.
        """
        after = max(0, loop - 1 - staleness)
        if after == self.loop:
            return Issue(self.version, self.weights)
        return self.earlier[after]

    def finish_loop(self, before: Issue, staleness: int) -> None:
        """Counts a loop as finished; ``before`` is the policy that its lessons have changed."""
        self.earlier[self.loop] = before
        self.loop += 1
        for loop in [loop for loop in self.earlier if loop < self.loop - staleness]:
            del self.earlier[loop]


@dataclass(frozen=True)
class LoopRecord:
    """What a loop leaves behind: every candidate, and the figures."""

    candidates: list[Candidate]
    metrics: dict[str, Any]


def run_loop(campaign: Campaign, tools: Tools) -> LoopRecord:
    """Runs the next loop and takes its lessons into the campaign."""
    loop, clock = campaign.loop + 1, Clock()
    tools.progress.loop_started(loop)
    tools.ledger.open_loop(loop)
    with clock("sample"):
        candidates = stages.sample(tools, loop)
    with clock("relax"):
        candidates = pursue(candidates, campaign.memory, tools, loop)
        candidates = stages.require_sun(candidates, tools)
    record = harvest(candidates, campaign, tools, clock)
    publish(campaign, tools)
    return record


def pursue(
    candidates: Sequence[Candidate], memory: LongTermMemory, tools: Tools, loop: int
) -> list[Candidate]:
    """Drops what is not worth relaxing, and relaxes the rest."""
    tools = preference.turned(tools, loop)
    candidates = stages.prefilter(candidates, tools)
    candidates = stages.drop_unwanted(candidates, tools)
    candidates = stages.drop_missing_elements(candidates, tools)
    candidates = choice.shortlist(candidates, memory, tools, loop)
    return stages.relax(candidates, tools)


def harvest(
    candidates: Sequence[Candidate], campaign: Campaign, tools: Tools, clock: Clock
) -> LoopRecord:
    """Pays for properties of the survivors, learns from them, and counts the loop as finished.

    The new weights are the campaign's; nobody has been given them yet.

    Args:
        candidates: All of the loop's, relaxed and judged.
        campaign: After the loop before.
        tools: Those of the loop; the learner has the campaign's weights.
        clock: Runs since the loop began.
    """
    config, rl, loop = tools.config, tools.config.rl, campaign.loop + 1
    before = Issue(campaign.version, campaign.weights)
    tools = preference.turned(tools, loop)
    preference.revalue_replay(campaign.replay, campaign.memory, tools)
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
        lesson = learn(lessons, candidates, campaign, tools, loop)

    campaign.finish_loop(before, rl.staleness)
    figures = {
        "loop": loop,
        "policy_version": campaign.version,
        "policy_lag": max((before.version - c.policy_version for c in candidates), default=0),
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
        **choice.hindsight(chosen, candidates, preference.rewards(candidates, tools)),
        "preference": preference.weights(tools),
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
    rewarded = preference.rewards(billed, tools)
    verdict = penalise(
        [keys[key] for key in rewarded],
        list(rewarded.values()),
        campaign.memory.occurrences(),
        settings,
    )
    purged = campaign.replay.purge(verdict.purge)
    penalised = dict(zip(rewarded, verdict.rewards, strict=True))
    return [replace(c, penalised_reward=penalised.get(c.key)) for c in candidates], purged


def learn(
    entries: Sequence[ReplayEntry],
    tried: Sequence[Candidate],
    campaign: Campaign,
    tools: Tools,
    loop: int,
) -> Payload:
    """Fine-tunes on the entries, of all that the loop tried; without entries, does nothing."""
    if not entries:
        tools.progress.note(f"loop {loop}: nothing to train on; the policy stays as it is")
        return {"adam_steps": 0}
    lesson = stages.finetune(entries, tried, campaign.optimizer, loop, tools)
    campaign.weights, campaign.optimizer = dict(lesson["weights"]), lesson["optimizer"]
    campaign.version += 1
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
    """Wall-clock seconds by stage.

    Args:
        start: When it was started, as :func:`time.perf_counter` has it; now by default.

    Attributes:
        seconds: What each stage took.
        began: When each stage began, in seconds since 1970.
    """

    def __init__(self, start: float | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self.began: dict[str, float] = {}
        self._start = time.perf_counter() if start is None else start

    def total(self) -> float:
        """Seconds since the clock was started."""
        return time.perf_counter() - self._start

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Times a stage."""
        self.began[stage], start = time.time(), time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
