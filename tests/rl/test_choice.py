"""Which survivors are evaluated: repeats spared, the others by what the surrogate expects."""

from __future__ import annotations

import pytest
import toy

from ray_matdesign.rl import stages
from ray_matdesign.rl.candidate import Outcome
from ray_matdesign.rl.choice import choose, learnt, shortlist
from ray_matdesign.rl.ledger import Ledger
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.loop import Campaign, publish, run_loop
from ray_matdesign.rl.memory import LongTermMemory
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.replay import ReplayBuffer
from ray_matdesign.rl.stages import Tools
from ray_matdesign.rl.workers import roles_of
from ray_matdesign.stability.reference import ReferenceSet

STILL = {"rl.lr": 1e-12, "rl.samples": 48, "generator.batch_size": 48, "stability.require": []}
"""A policy that does not move: what a loop evaluates is then the choice alone."""


def run(reference, loops, **changes):
    config = toy.config(reference, **{**STILL, **changes})
    executor = LocalExecutor(roles_of(config))
    held = ReferenceSet.load(config.stability.reference, config.stability)
    campaign = Campaign(toy.ToyPolicy().weights(), ReplayBuffer(config.rl.replay))
    tools = Tools(config, executor, held, Ledger(), Silent(), ("density",))
    publish(campaign, tools)
    return campaign, tools, [run_loop(campaign, tools) for _ in range(loops)]


def evaluated(record):
    return [c for c in record.candidates if c.outcome is Outcome.EVALUATED]


def test_the_first_survivors_are_evaluated_unless_told_otherwise(reference):
    _, _, (record,) = run(reference, 1)
    assert [c.index for c in evaluated(record)] == list(range(8))
    assert record.metrics["expected_reward_mean"] is None


def test_a_surrogate_finds_the_better_survivors(reference):
    settings = {"enabled": True, "least_labels": 16, "explore": 0.0}
    _, _, records = run(reference, 4, **{"rl.surrogate": settings})
    blind, guided = records[:2], records[2:]
    assert all(r.metrics["expected_reward_mean"] is None for r in blind)
    for record in guided:
        densities = [c.assessment.relaxed.density for c in record.candidates if c.assessment]
        scores = sorted((min(max(1 - abs(d - 18) / 10, 0), 1) for d in densities), reverse=True)
        # The mean of the eight it took is nearer to the eight best than to the mean of all.
        best, average = sum(scores[:8]) / 8, sum(scores) / len(scores)
        assert record.metrics["reward_mean"] > (best + average) / 2
        assert len(evaluated(record)) == 8
        assert record.metrics["expected_reward_mean"] == pytest.approx(
            record.metrics["reward_mean"], abs=0.15
        )


def test_the_choice_is_that_of_a_run_never_interrupted(reference):
    settings = {"enabled": True, "least_labels": 8}
    campaign, tools, _ = run(reference, 2, **{"rl.surrogate": settings})
    restored = LongTermMemory()
    restored.load_state_dict(campaign.memory.state_dict())
    campaign.memory = restored
    again = run_loop(campaign, tools)
    _, _, records = run(reference, 3, **{"rl.surrogate": settings})
    assert [c.key for c in evaluated(again)] == [c.key for c in evaluated(records[2])]


def test_too_few_labels_teach_nothing(reference):
    settings = {"enabled": True, "least_labels": 16}
    campaign, tools, _ = run(reference, 1, **{"rl.surrogate": settings})
    assert learnt(campaign.memory, tools) is None
    run_loop(campaign, tools)
    assert learnt(campaign.memory, tools) is not None


def test_repeats_are_spared_and_not_billed(reference):
    narrow = {"rl.repeats": "spared", "rl.diversity": {"tolerance": 50, "buffer": 99}}
    campaign, _, records = run(reference, 3, **narrow)
    spared = [c for r in records for c in r.candidates if c.outcome is Outcome.SPARED]
    assert {c.reason for c in spared} == {"an earlier loop evaluated it"}
    paid = {c.formula for c in (r for r in campaign.memory.records if r.loop == 1)}
    # Seven metals on four sites, volumes aside: a formula has at most a few arrangements.
    assert paid & {c.generated.formula for c in spared}
    assert not any(c.billed for c in spared)


def test_what_the_diversity_filter_would_take_whole_is_not_paid_for(reference):
    few = {"rl.repeats": "spared", "rl.diversity": {"key": "elements", "tolerance": 1, "buffer": 2}}
    campaign, _, records = run(reference, 3, **few)
    reasons = {c.reason for c in records[1].candidates if c.outcome is Outcome.SPARED}
    assert any(reason.endswith("has been evaluated often enough") for reason in reasons)
    later = [r for r in campaign.memory.records if r.loop > 1]
    first = {r.diversity_key for r in campaign.memory.records if r.loop == 1}
    assert not first & {r.diversity_key for r in later}


def test_presumed_crystals_are_learned_from_but_not_billed_nor_kept(reference):
    settings = {"enabled": True, "least_labels": 8, "presumed": 3}
    campaign, _, records = run(reference, 3, **{"rl.surrogate": settings})
    assert [r.metrics["presumed"] for r in records] == [0, 3, 3]
    for record in records:
        learned = [c for c in record.candidates if c.penalised_reward is not None]
        assert len(learned) == record.metrics["evaluated"] == 8
        replayed = record.metrics["replayed"]
        assert record.metrics["trained_on"] == 4 + replayed + record.metrics["presumed"]
    assert len(campaign.memory) == 24
    paid = {r.key for r in campaign.memory.records}
    assert {entry.key for entry in campaign.replay.entries} <= paid


def test_the_presumed_are_the_best_of_those_left(reference):
    settings = {"enabled": True, "least_labels": 8}
    campaign, tools, _ = run(reference, 1, **{"rl.surrogate": settings})
    crystals = stages.require_sun(stages.relax(stages.sample(tools, 2), tools), tools)
    choice = choose(crystals, campaign.memory, tools, 2)
    left = [c for c in crystals if c.key in choice.penalised and c.key not in choice.keys]
    best = max(left, key=lambda c: choice.penalised[c.key])
    taken = choice.presumed([c for c in crystals if c.key not in choice.keys], 2)
    assert taken[0].key == best.key
    assert taken[0].penalised_reward == choice.penalised[best.key]
    assert len(taken) == 2


def test_relaxations_go_to_what_the_surrogate_expects_most_of(reference):
    settings = {"enabled": True, "least_labels": 16, "explore": 0.0}
    few = {"rl.relaxations": 16, "rl.evaluations": 16, "rl.surrogate": settings}
    campaign, tools, (blind, told) = run(reference, 2, **few)
    for record in (blind, told):
        assert record.metrics["relaxed"] == 16
        left = [c for c in record.candidates if c.outcome is Outcome.NOT_RELAXED]
        assert len(left) == 32
        assert {c.reason for c in left} == {"the loop's 16 relaxations were spent"}
        assert not any(c.billed for c in left)
    assert [c.index for c in evaluated(blind)] == list(range(16))

    def score(crystal):
        return min(max(1 - abs(crystal.density - 18) / 10, 0), 1)

    everything = sorted((score(c.generated) for c in told.candidates), reverse=True)
    taken = [score(c.generated) for c in evaluated(told)]
    best, average = sum(everything[:16]) / 16, sum(everything) / 48
    assert sum(taken) / len(taken) > (best + average) / 2
    again = shortlist(stages.sample(tools, 3), campaign.memory, tools, 3)
    assert [c.key for c in again if c.pending] == [
        c.key for c in shortlist(stages.sample(tools, 3), campaign.memory, tools, 3) if c.pending
    ]


def test_relaxations_go_to_the_first_crystals_unless_told_otherwise(reference):
    _, _, (record,) = run(reference, 1, **{"rl.relaxations": 5})
    assert [c.index for c in record.candidates if c.assessment is not None] == list(range(5))


def test_the_first_loop_may_evaluate_more(reference):
    settings = {"enabled": True, "least_labels": 8}
    more = {"rl.first_evaluations": 12, "rl.evaluations": 4, "rl.surrogate": settings}
    _, _, records = run(reference, 3, **more)
    assert [r.metrics["evaluated"] for r in records] == [12, 4, 4]
    assert [r.metrics["expected_reward_mean"] is None for r in records] == [True, False, False]
