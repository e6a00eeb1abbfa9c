from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.config.objective import ObjectiveSettings
from ray_matdesign.config.surrogate import SurrogateSettings
from ray_matdesign.rl.acquisition import choose_best, reward_draws

STRATEGIES = ("improvement", "greedy", "ucb", "thompson")


def chosen(rewards, budget, kinds=None, seed=0, kept=2, **changes):
    return choose_best(
        np.asarray(rewards, dtype=float),
        range(np.shape(rewards)[1]) if kinds is None else kinds,
        budget,
        SurrogateSettings(**{"explore": 0.0, **changes}),
        np.random.default_rng(seed),
        kept=kept,
    ).tolist()


def random_rewards(m, seed=0, n_draws=64):
    return np.random.default_rng(seed).random((n_draws, m))


@settings(max_examples=100, deadline=None)
@given(
    m=st.integers(1, 30),
    budget=st.integers(1, 20),
    strategy=st.sampled_from(STRATEGIES),
    explore=st.floats(0.0, 0.99),
    kept=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
def test_as_many_as_there_are_to_choose_all_different(m, budget, strategy, explore, kept, seed):
    kinds = np.random.default_rng(seed).integers(0, 5, m).tolist()
    found = chosen(
        random_rewards(m, seed), budget, kinds, seed, kept, strategy=strategy, explore=explore
    )
    assert len(found) == len(set(found)) == min(budget, m)
    assert set(found) <= set(range(m))


@settings(max_examples=50, deadline=None)
@given(
    m=st.integers(2, 20),
    strategy=st.sampled_from(("improvement", "greedy", "ucb")),
    seed=st.integers(0, 1000),
)
def test_the_order_in_which_crystals_are_listed_does_not_matter(m, strategy, seed):
    rng = np.random.default_rng(seed)
    rewards, order = random_rewards(m, seed), rng.permutation(m)
    kinds = rng.integers(0, 4, m)
    first = chosen(rewards, 6, kinds.tolist(), strategy=strategy)
    second = chosen(rewards[:, order], 6, kinds[order].tolist(), strategy=strategy)
    assert order[second].tolist() == first


def test_greedy_takes_the_greatest_means_and_ucb_the_uncertain():
    rewards = [[0.5, 0.1, 0.3], [0.5, 0.7, 0.3]]
    assert chosen(rewards, 3, strategy="greedy") == [0, 1, 2]
    assert chosen(rewards, 3, strategy="ucb", kappa=1.0) == [1, 0, 2]


def test_thompson_asks_another_draw_for_each_pick():
    rewards = [[0.1, 0.9, 0.2], [0.1, 0.8, 0.7], [0.3, 0.2, 0.1]]
    assert chosen(rewards, 3, strategy="thompson") == [1, 2, 0]


def test_improvement_prefers_what_differs_from_the_chosen():
    # The second crystal goes with the first; the third is worth less on average, but where the
    # first fails it succeeds.
    rewards = [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.9]]
    assert chosen(rewards, 2, strategy="improvement", kept=1) == [0, 2]
    assert chosen(rewards, 2, strategy="greedy") == [0, 1]


def test_improvement_counts_the_sum_of_the_best_kept():
    rng = np.random.default_rng(0)
    rewards = rng.beta(1, 3, size=(200, 12)) * rng.random(12)

    def kept_best(crystals):
        return np.sort(rewards[:, crystals], axis=1)[:, -3:].sum(axis=1).mean()

    first = chosen(rewards, 5, strategy="improvement", kept=3)
    gains = [kept_best([*first[:4], k]) for k in range(12) if k not in first[:4]]
    assert kept_best(first) == pytest.approx(max(gains))
    assert kept_best(first) >= kept_best(chosen(rewards, 5, strategy="greedy"))


def test_the_second_of_a_kind_waits_for_the_first_of_every_other():
    rewards = [[0.9, 0.8, 0.7, 0.1, 0.6]]
    kinds = ["TiO2", "TiO2", "TiO2", "NaCl", "NaCl"]
    assert chosen(rewards, 5, kinds, strategy="greedy") == [0, 4, 1, 3, 2]


def test_exploration_takes_its_share_from_all_alike():
    rewards = np.tile(np.linspace(0, 1, 40), (4, 1))
    counts = np.zeros(40)
    for seed in range(2000):
        found = chosen(rewards, 4, seed=seed, strategy="greedy", explore=0.25)
        assert len(found) == 4
        counts[found[3]] += 1  # the random one comes last
    assert counts.min() > 20  # of 50 expected; a Poisson variable is below 21 once in 10^6
    assert counts[-1] < 90


def test_small_budgets_explore_now_and_then():
    rewards = np.tile(np.linspace(0, 1, 50), (4, 1))
    greedy = [49, 48, 47, 46]
    shares = [
        chosen(rewards, 4, seed=seed, strategy="greedy", explore=0.1) != greedy
        for seed in range(500)
    ]
    assert 0.3 < np.mean(shares) < 0.5


GAP = {"kind": "target", "target": 3.0, "max_distance": 2.0}
BULK = {"kind": "ascending", "min": 0.0, "max": 200.0}


def objective(**changes):
    terms = [
        {"scorer": "band_gap", "transform": GAP},
        {"scorer": "bulk_modulus", "transform": BULK},
    ]
    return ObjectiveSettings.model_validate({"terms": terms, **changes})


def test_each_draw_earns_what_an_evaluation_would():
    draws = np.array([[[3.0, 100.0], [2.0, 200.0]], [[5.5, 300.0], [4.0, -10.0]]])
    assert reward_draws(draws, objective()).tolist() == [[0.75, 0.75], [0.5, 0.25]]
    assert reward_draws(draws, objective(aggregation="min")).tolist() == [[0.5, 0.5], [0, 0]]


def test_draws_that_would_be_turned_down_earn_nothing():
    filters = [{"scorer": "hhi", "max": 1500.0}, {"scorer": "bulk_modulus", "min": 150.0}]
    draws = np.array([[[3.0, 200.0, 1000.0], [3.0, 200.0, 2000.0], [3.0, 100.0, 1000.0]]])
    assert reward_draws(draws, objective(filters=filters)).tolist() == [[1.0, 0.0, 0.0]]
    gate = {"scorer": "band_gap", "transform": GAP, "min_score": 0.5}
    draws = np.array([[[2.0], [1.9]]])
    found = reward_draws(draws, ObjectiveSettings.model_validate({"terms": [gate]}))
    assert found.tolist() == [[0.5, 0.0]]
