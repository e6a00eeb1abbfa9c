"""Hypervolume against volumes worked out by hand and by Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.rl.hypervolume import hypervolume

scores = st.floats(0.0, 1.0)


def sets(objectives: int) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(
        st.lists(scores, min_size=objectives, max_size=objectives), min_size=1, max_size=8
    )


def inclusion_exclusion(points: list[list[float]]) -> float:
    """The union of boxes from the origin, from the volumes of all intersections."""
    found = np.array(points)
    total = 0.0
    for mask in range(1, 2 ** len(found)):
        chosen = [k for k in range(len(found)) if mask >> k & 1]
        total += (-1) ** (len(chosen) + 1) * float(np.prod(found[chosen].min(axis=0)))
    return total


def test_one_point_spans_a_box() -> None:
    assert hypervolume([[0.5, 0.4]], [0.0, 0.0]) == pytest.approx(0.2)
    assert hypervolume([[0.5, 0.4, 0.3]], [0.0, 0.0, 0.0]) == pytest.approx(0.06)
    assert hypervolume([[3.0, 5.0]], [1.0, 2.0]) == pytest.approx(6.0)


def test_a_staircase_of_three_points() -> None:
    # Rectangles 1x3, then 1x2 and 1x1 beside it.
    assert hypervolume([[1, 3], [2, 2], [3, 1]], [0, 0]) == pytest.approx(6.0)


def test_three_objectives_by_hand() -> None:
    # Three bars of volume 2 each, any two of which share the unit cube: 3 x 2 - 3 + 1.
    assert hypervolume([[2, 1, 1], [1, 2, 1], [1, 1, 2]], [0, 0, 0]) == pytest.approx(4.0)


def test_what_does_not_exceed_the_reference_adds_nothing() -> None:
    assert hypervolume([], [0.0, 0.0]) == 0.0
    assert hypervolume([[0.0, 9.0], [-1.0, 9.0]], [0.0, 0.0]) == 0.0
    assert hypervolume([[0.5, 0.5], [0.0, 1.0]], [0.0, 0.0]) == pytest.approx(0.25)


def test_monte_carlo_agrees_in_three_objectives() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((40, 3))
    probes = rng.random((20_000, 3))
    hit = (probes[:, None, :] < points[None, :, :]).all(axis=2).any(axis=1).mean()
    error = np.sqrt(hit * (1 - hit) / len(probes))
    assert hypervolume(points, np.zeros(3)) == pytest.approx(hit, abs=4 * error)


@given(sets(2) | sets(3) | sets(4))
def test_inclusion_and_exclusion_agree(points: list[list[float]]) -> None:
    expected = inclusion_exclusion(points)
    assert hypervolume(points, np.zeros(len(points[0]))) == pytest.approx(expected, abs=1e-9)


@given(sets(3), st.randoms(use_true_random=False))
def test_order_and_dominated_points_do_not_matter(points: list[list[float]], random) -> None:
    volume = hypervolume(points, np.zeros(3))
    shuffled = [*points, [0.5 * score for score in points[0]]]
    random.shuffle(shuffled)
    assert hypervolume(shuffled, np.zeros(3)) == pytest.approx(volume, abs=1e-12)


@pytest.mark.parametrize(
    ("points", "reference"),
    [([[1.0, 2.0, 3.0]], [0.0, 0.0]), ([[1.0, np.nan]], [0.0, 0.0]), ([[1.0]], [[0.0]])],
)
def test_shapes_and_numbers_are_checked(points, reference) -> None:
    with pytest.raises(ValueError, match=r"shape|finite"):
        hypervolume(points, reference)
