"""The benchmark of the genetic generator: what its threshold is, and that chance does worse."""

from __future__ import annotations

import numpy as np
import pytest
import superhard
from superhard_space import read_table, space


@pytest.fixture(scope="module")
def scored() -> superhard.Space:
    return superhard.Space()


def test_the_whole_space_is_scored_once() -> None:
    expected = {(prototype.name, frozenset(elements)) for prototype, elements in space()}
    assert set(read_table()) == expected
    # Twenty elements, and 190 pairs in each of two types whose sites are alike.
    assert len(expected) == 20 + 2 * 190


def test_diamond_is_the_hardest_and_nitride_among_the_best(scored: superhard.Space) -> None:
    assert scored.best[0] == (frozenset({6}), 227)
    assert (frozenset({5, 7}), 216) in scored.best


def test_the_generator_recovers_the_best_sooner_than_chance(scored: superhard.Space) -> None:
    bred = [superhard.genetic(scored, seed) for seed in range(6)]
    drawn = [superhard.chance(scored, seed) for seed in range(40)]
    assert all(len(asked) == len(set(asked)) for asked in bred)
    assert all(superhard.found(scored, asked[:400]) >= 8 for asked in bred)
    assert all(superhard.top_five_hold(scored, asked[:400]) for asked in bred)
    needed = [np.median([superhard.needed(scored, a) for a in runs]) for runs in (bred, drawn)]
    assert needed[0] < needed[1]
