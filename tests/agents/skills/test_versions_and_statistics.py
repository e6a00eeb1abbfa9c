from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.agents.skills.statistics import Attribution, lower_bound, upper_bound
from ray_matdesign.agents.skills.versions import Version

PARTS = st.integers(0, 10**9 - 1)
COUNTS = st.integers(0, 500)


@given(PARTS, PARTS, PARTS)
def test_versions_survive_being_written(major: int, minor: int, patch: int) -> None:
    version = Version(major, minor, patch)
    assert Version.parse(str(version)) == version


@given(st.tuples(PARTS, PARTS, PARTS), st.booleans())
def test_the_next_version_is_later(parts: tuple[int, int, int], new_calls: bool) -> None:
    version = Version(*parts)
    later = version.after(new_calls=new_calls)
    assert later > version
    assert later.major == version.major


@given(st.text(max_size=12))
def test_what_is_read_is_what_was_written(text: str) -> None:
    try:
        version = Version.parse(text)
    except ValueError:
        return
    assert str(version) == text


def test_numbers_are_ordered_as_numbers() -> None:
    assert Version.parse("1.10.0") > Version.parse("1.9.9")
    for wrong in ("1.0", "01.0.0", "1.0.0-beta", "-1.0.0", "1.0.0\n", ""):
        with pytest.raises(ValueError, match="is no version"):
            Version.parse(wrong)


@settings(deadline=None)
@given(COUNTS, COUNTS)
def test_bounds_enclose_the_mean_and_move_with_the_evidence(good: int, bad: int) -> None:
    low, high = lower_bound(good, bad), upper_bound(good, bad)
    assert 0.0 < low < (1 + good) / (2 + good + bad) < high < 1.0
    assert lower_bound(good + 1, bad) > low
    assert upper_bound(good, bad + 1) < high
    assert lower_bound(good, bad) == pytest.approx(1.0 - upper_bound(bad, good), abs=1e-9)


def test_bounds_of_beta_distributions_known_in_closed_form() -> None:
    # Beta(1, n): F(x) = 1 - (1 - x)^n; Beta(n, 1): F(x) = x^n.
    assert lower_bound(0, 0) == pytest.approx(0.05)
    assert upper_bound(0, 9) == pytest.approx(1 - 0.05 ** (1 / 10))
    assert lower_bound(9, 0) == pytest.approx(0.05 ** (1 / 10))


def test_bounds_hold_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    chances = rng.random(4000)
    solved = rng.binomial(12, chances)
    held = [c < upper_bound(int(s), 12 - int(s)) for c, s in zip(chances, solved, strict=True)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.012)


def test_pairs_tell_by_what_differs() -> None:
    assert not Attribution().harmful()
    assert Attribution().baseline is None
    assert Attribution(both=50, lost=4).harmful()
    assert not Attribution(both=50, lost=3).harmful()  # 1 - 0.05^(1/4) = 0.527
    assert not Attribution(gained=10, lost=4, neither=100).harmful()
    assert Attribution(both=3, gained=1, lost=2, neither=4).baseline == 0.5
    with pytest.raises(ValueError, match="neither can be negative"):
        lower_bound(-1, 0)
