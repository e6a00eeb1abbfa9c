from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.config.schema import ReplaySettings
from ray_matdesign.rl import plain_json
from ray_matdesign.rl.replay import ReplayBuffer, ReplayEntry


def entry(key: str, formula: str, reward: float) -> ReplayEntry:
    return ReplayEntry(key, formula, formula, reward, key.encode())


entries = st.lists(
    st.builds(
        entry,
        key=st.integers(0, 10_000).map(str),
        formula=st.sampled_from(["MgO", "NaCl", "GaAs", "TiO2", "CsCl", "ZnS", "BN", "SiC"]),
        reward=st.floats(0.0, 1.0),
    ),
    unique_by=lambda e: e.key,
    max_size=30,
)


def buffer(capacity: int = 100, min_reward: float = 0.1) -> ReplayBuffer:
    return ReplayBuffer(ReplaySettings(capacity=capacity, min_reward=min_reward))


def test_the_best_crystal_of_each_formula_stays():
    held = buffer()
    held.add([entry("a", "MgO", 0.5), entry("b", "MgO", 0.7), entry("c", "MgO", 0.6)])
    assert [e.key for e in held.entries] == ["b"]


def test_rewards_of_a_tenth_or_less_are_not_kept():
    held = buffer()
    held.add([entry("a", "MgO", 0.1), entry("b", "NaCl", 0.1000001), entry("c", "GaAs", 0.0)])
    assert [e.key for e in held.entries] == ["b"]


@given(entries, st.integers(0, 12))
def test_the_best_may_be_preferred(offered, n):
    held = ReplayBuffer(ReplaySettings(prefer="best"))
    held.add(offered)
    drawn = held.sample(n, np.random.default_rng(0))
    assert drawn == held.entries[:n]
    assert all(a.reward >= b.reward for a in drawn for b in held.entries[n:])


def test_a_full_buffer_drops_the_worst():
    held = buffer(capacity=2)
    held.add([entry("a", "MgO", 0.3), entry("b", "NaCl", 0.9), entry("c", "GaAs", 0.5)])
    assert [e.key for e in held.entries] == ["b", "c"]


def test_purging_forgets_a_formula_until_it_is_added_again():
    held = buffer()
    held.add([entry("a", "MgO", 0.3), entry("b", "NaCl", 0.9)])
    assert held.purge({"NaCl", "GaAs"}) == 1
    assert [e.key for e in held.entries] == ["a"]
    held.add([entry("c", "NaCl", 0.4)])
    assert len(held) == 2


def test_drawing_is_uniform_without_replacement():
    held = buffer()
    held.add([entry(str(i), f"A{i}B", 0.5 + i / 100) for i in range(5)])
    counts = dict.fromkeys("01234", 0)
    for seed in range(2000):
        drawn = held.sample(2, np.random.default_rng(seed))
        assert len({e.key for e in drawn}) == 2
        for e in drawn:
            counts[e.key] += 1
    # Each is drawn with probability 2/5: 800 of 2000, standard deviation 22.
    assert all(abs(count - 800) < 110 for count in counts.values())


def test_drawing_more_than_there_is_gives_all_and_from_nothing_nothing():
    held = buffer()
    assert held.sample(10, np.random.default_rng(0)) == []
    held.add([entry("a", "MgO", 0.5)])
    assert len(held.sample(10, np.random.default_rng(0))) == 1


@given(entries=entries, capacity=st.integers(1, 6))
def test_what_it_holds_obeys_its_rules(entries, capacity):
    held = buffer(capacity)
    held.add(entries)
    rewards = [e.reward for e in held.entries]
    best: dict[str, float] = {}
    for e in entries:
        if e.reward > 0.1:
            best[e.formula] = max(best.get(e.formula, 0.0), e.reward)
    assert rewards == sorted(best.values(), reverse=True)[:capacity]
    assert len({e.formula for e in held.entries}) == len(held)


@given(entries=entries, capacity=st.integers(1, 6), order=st.randoms(use_true_random=False))
def test_adding_in_another_order_or_twice_changes_nothing(entries, capacity, order):
    once, again = buffer(capacity), buffer(capacity)
    once.add(entries)
    shuffled = entries * 2
    order.shuffle(shuffled)
    for e in shuffled:
        again.add([e])
    assert once.entries == again.entries


@given(entries=entries)
def test_a_saved_state_survives_json(entries):
    saved, restored = buffer(), buffer()
    saved.add(entries)
    restored.add([entry("old", "CO2", 0.99)])
    restored.load_state_dict(plain_json.loads(plain_json.dumps(saved.state_dict())))
    assert restored.entries == saved.entries
    drawn = saved.sample(3, np.random.default_rng(1))
    assert restored.sample(3, np.random.default_rng(1)) == drawn


def test_json_refuses_what_is_not_plain():
    with pytest.raises(TypeError, match="set is not a plain value"):
        plain_json.dumps({"a": {1}})
    with pytest.raises(ValueError, match="not JSON compliant"):
        plain_json.dumps([float("nan")])
