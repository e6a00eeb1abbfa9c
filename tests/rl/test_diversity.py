from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.config.schema import DiversitySettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.rl.diversity import diversity_factor, diversity_key, penalise

STOCK = DiversitySettings()


@pytest.mark.parametrize(
    ("occurrences", "factor"),
    [(1, 1), (2, 1), (3, 1), (4, 2 / 3), (5, 1 / 3), (6, 0), (7, 0), (100, 0)],
)
def test_the_stock_filter_tolerates_three_and_ends_at_six(occurrences, factor):
    assert diversity_factor(occurrences, STOCK) == pytest.approx(factor)


def test_a_formula_is_purged_at_the_sixth_occurrence_not_the_fifth():
    verdict = penalise(["MgO", "NaCl"], [0.9, 0.6], {"MgO": 5, "NaCl": 6}, STOCK)
    assert verdict.rewards == pytest.approx([0.3, 0.0])
    assert verdict.purge == {"NaCl"}


def test_the_given_rewards_are_left_alone():
    rewards = [0.9, 0.9]
    penalise(["MgO", "MgO"], rewards, {"MgO": 4}, STOCK)
    assert rewards == [0.9, 0.9]


def test_the_key_is_the_formula_or_the_set_of_elements():
    rutile = Crystal(np.eye(3) * 4, np.random.default_rng(0).random((6, 3)), [22] * 2 + [8] * 4)
    assert diversity_key(rutile, STOCK) == "TiO2"
    assert diversity_key(rutile, DiversitySettings(key="elements")) == "O-Ti"


@given(
    found=st.lists(
        st.tuples(st.sampled_from("ABCDE"), st.floats(0.0, 1.0)), min_size=0, max_size=20
    ),
    before=st.dictionaries(st.sampled_from("ABCDE"), st.integers(0, 8)),
    tolerance=st.integers(1, 5),
    width=st.integers(1, 5),
)
def test_penalties_only_lower_grow_with_occurrence_and_purge_exactly_the_worthless(
    found, before, tolerance, width
):
    settings = DiversitySettings(tolerance=tolerance, buffer=tolerance + width)
    keys, rewards = [k for k, _ in found], [r for _, r in found]
    occurrences = Counter(before) + Counter(keys)
    verdict = penalise(keys, rewards, occurrences, settings)
    for key, reward, penalised in zip(keys, rewards, verdict.rewards, strict=True):
        assert 0.0 <= penalised <= reward
        assert (occurrences[key] <= tolerance) <= (penalised == reward)
        assert (key in verdict.purge) == (occurrences[key] >= tolerance + width)
    more = penalise(keys, rewards, {k: n + 1 for k, n in occurrences.items()}, settings)
    assert all(b <= a for a, b in zip(verdict.rewards, more.rewards, strict=True))
