from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ray_matdesign.agents.benchmark.baselines import moved
from ray_matdesign.agents.benchmark.judge import judge, type_of
from ray_matdesign.agents.benchmark.tolerance import Tolerance

numbers = st.floats(-1e6, 1e6)
plain = st.recursive(
    st.booleans() | st.integers(-(10**9), 10**9) | numbers | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)
tolerances = st.builds(
    Tolerance, absolute=st.floats(0, 10), relative=st.floats(0, 0.1), text=st.just("exact")
)


@given(reference=plain, tolerance=tolerances)
@example(reference=[0], tolerance=Tolerance(absolute=2.0 - 2e-15))
def test_the_reference_itself_is_right_and_anything_moved_beyond_is_wrong(
    reference: Any, tolerance: Tolerance
) -> None:
    kind = type_of(reference)
    assert judge(reference, reference, kind, tolerance).right
    verdict = judge(moved(reference, tolerance), reference, kind, tolerance)
    assert not verdict.right
    assert verdict.reason


@given(reference=numbers, bound=st.floats(1e-6, 10), share=st.floats(-0.999, 0.999))
def test_a_number_may_be_off_by_its_bound(reference: float, bound: float, share: float) -> None:
    reference /= 1000.0
    near = judge(reference + share * bound, reference, "number", Tolerance(absolute=bound))
    far = judge(reference + 1.01 * bound, reference, "number", Tolerance(absolute=bound))
    assert near.right
    assert not far.right


def test_the_larger_of_two_bounds_counts() -> None:
    tolerance = Tolerance(absolute=1.0, relative=0.01)
    assert judge(1009.0, 1000.0, "number", tolerance).right
    assert not judge(1011.0, 1000.0, "number", tolerance).right
    assert judge(10.9, 10.0, "number", tolerance).right


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (True, "integer", "is of type boolean, not integer"),
        (5.0, "integer", "is of type number, not integer"),
        ("5", "number", "is of type string, not number"),
        (None, "number", "is of type NoneType, not number"),
        (math.nan, "number", "answer is not finite"),
        ((5,), "list", "is of type tuple, not list"),
    ],
)
def test_types_are_part_of_the_answer(answer: Any, kind: str, reason: str) -> None:
    reference: Any = [5] if kind == "list" else 5
    verdict = judge(answer, reference, kind, Tolerance(absolute=1.0))
    assert (verdict.right, verdict.reason) == (False, reason)


def test_an_integer_is_a_number() -> None:
    assert judge(5, 5.0, "number", Tolerance()).right


def test_parts_are_judged_by_their_own_bounds_and_named() -> None:
    tolerance = Tolerance(absolute={"count": 0, "mean": 0.1})
    reference: Any = {"count": 3, "mean": 2.0}
    assert judge({"mean": 2.05, "count": 3}, reference, "object", tolerance).right
    off = judge({"count": 4, "mean": 2.0}, reference, "object", tolerance)
    assert off.reason == "answer.count is off by 1, more than 0"
    short = judge({"count": 3}, reference, "object", tolerance)
    assert short.reason == "answer lacks 'mean'"
    place = judge([1.0, 2.5], [1.0, 2.0], "list", Tolerance(absolute=[0.0, 0.4]))
    assert place.reason == "answer[1] is off by 0.5, more than 0.4"


def test_strings_are_compared_as_told() -> None:
    assert not judge("fcc ", "FCC", "string", Tolerance()).right
    assert judge("f cc ", "FCC", "string", Tolerance(text="normalised")).right


@pytest.mark.parametrize(
    ("answer", "reference", "unit", "other"),
    [
        (3430.0, 3.43, "eV", "meV"),
        (0.2043, 2.043, "A", "nm"),
        (0.874, 140.0, "GPa", "eV/A^3"),
        ([0.0624], [1.0], "J/m^2", "eV/A^2"),
    ],
)
def test_an_answer_in_another_unit_is_wrong_and_told_so(
    answer: Any, reference: Any, unit: str, other: str
) -> None:
    kind = type_of(reference)
    verdict = judge(answer, reference, kind, Tolerance(relative=2e-3), unit)
    assert (verdict.right, verdict.reason) == (False, f"right in {other}, asked for in {unit}")
