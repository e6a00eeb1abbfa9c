"""The vote: properties that hold for any answers, and cases worked out by hand."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.agents.cascade.settings import ToleranceSettings
from ray_matdesign.agents.cascade.voting import agree, representative, vote

TOLERANCE = ToleranceSettings(relative=1e-2, absolute=1e-9)

numbers = st.floats(-1e6, 1e6) | st.integers(-1000, 1000)
plain = st.recursive(
    numbers | st.booleans() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
ballots = st.lists(st.sampled_from([1.0, 1.005, 1.01, 2, 2.0, True, "1", [1.0], [1.001]]) | plain,
                   min_size=1, max_size=8)  # fmt: skip


def values(groups: tuple[tuple[int, ...], ...], answers: list[object]) -> list[list[str]]:
    return sorted(sorted(repr(answers[position]) for position in group) for group in groups)


@given(ballots)
def test_every_answer_stands_in_one_group(answers: list[object]) -> None:
    counted = vote(answers, TOLERANCE)
    assert sorted(p for group in counted.clusters for p in group) == list(range(len(answers)))
    sizes = [len(group) for group in counted.clusters]
    assert sizes == sorted(sizes, reverse=True)
    assert counted.tied == sizes.count(sizes[0])
    assert counted.decided == (counted.tied == 1)


@given(ballots, st.randoms(use_true_random=False))
def test_the_order_of_the_answers_changes_no_group(
    answers: list[object], chance: random.Random
) -> None:
    shuffled = list(answers)
    chance.shuffle(shuffled)
    first, second = vote(answers, TOLERANCE), vote(shuffled, TOLERANCE)
    assert values(first.clusters, answers) == values(second.clusters, shuffled)
    assert first.tied == second.tied


@given(ballots)
def test_groups_are_apart_and_those_within_are_linked(answers: list[object]) -> None:
    counted = vote(answers, TOLERANCE)
    for number, group in enumerate(counted.clusters):
        for other in counted.clusters[:number]:
            assert not any(agree(answers[a], answers[b], TOLERANCE) for a in group for b in other)
        for position in group[1:]:
            assert any(
                agree(answers[position], answers[one], TOLERANCE)
                for one in group
                if one != position
            )


@given(plain, plain)
def test_agreement_is_mutual_and_everything_agrees_with_itself(one: object, other: object) -> None:
    assert agree(one, one, TOLERANCE)
    assert agree(one, other, TOLERANCE) == agree(other, one, TOLERANCE)


@given(plain, st.integers(2, 5), st.lists(plain, max_size=4, unique_by=repr))
def test_a_majority_of_equal_answers_wins(right: object, times: int, others: list[object]) -> None:
    apart = [one for one in others if not agree(one, right, TOLERANCE)]
    counted = vote([*apart[: times - 1], *[right] * times], TOLERANCE)
    if not any(agree(a, b, TOLERANCE) for a in apart for b in apart if a is not b):
        assert counted.decided
        assert len(counted.clusters[0]) == times


@given(st.lists(st.floats(1.0, 1.02), min_size=1, max_size=6))
def test_a_group_is_spoken_for_by_one_of_its_own(answers: list[float]) -> None:
    for group in vote(answers, TOLERANCE).clusters:
        assert representative(answers, group, TOLERANCE) in group


def test_numbers_agree_within_either_tolerance() -> None:
    assert agree(100.0, 100.9, TOLERANCE)
    assert not agree(100.0, 101.1, TOLERANCE)
    assert agree(0.0, 1e-10, TOLERANCE)
    assert agree(2, 2.0, TOLERANCE)
    assert not agree(1, True, TOLERANCE)
    assert agree({"a": [1.0, "x "]}, {"a": [1.001, "x"]}, TOLERANCE)
    assert not agree([1.0], [1.0, 2.0], TOLERANCE)
    assert agree(10**400, 10**400 + 1, TOLERANCE)
    assert not agree(10**400, -(10**400), TOLERANCE)


def test_a_chain_within_the_tolerance_is_one_group_and_its_middle_speaks() -> None:
    chain = [1.0, 1.008, 1.016, 5.0]
    counted = vote(chain, TOLERANCE)
    assert counted.clusters == ((0, 1, 2), (3,))
    assert chain[representative(chain, counted.clusters[0], TOLERANCE)] == 1.008


def test_a_tie_is_told_and_the_earliest_answer_goes_first() -> None:
    counted = vote([7.0, 3.0, 3.001, 7.01, math.pi], TOLERANCE)
    assert counted.clusters == ((0, 3), (1, 2), (4,))
    assert (counted.tied, counted.decided) == (2, False)
