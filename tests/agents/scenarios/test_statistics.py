from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wilcoxon

from ray_matdesign.agents.scenarios.statistics import LEAST_MEMBERS, confirm, search


def halves(
    rng: np.random.Generator, effects: tuple[dict[int, float], dict[int, float]]
) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Two halves of 40 members in each of 10 groups; effects by group, in standard deviations."""
    kinds = np.repeat(np.arange(10), 40)
    groups = {f"group {k}": kinds == k for k in range(10)}
    made = []
    for effect in effects:
        shift = np.array([effect.get(int(kind), 0.0) for kind in kinds])
        made.append(({"error": rng.standard_normal(400) + shift}, groups))
    return made


def test_noise_confirms_nothing() -> None:
    """One search in 20 suggests something by chance; both halves agree once in some 400."""
    rng = np.random.default_rng(4)
    suggested = confirmed = 0
    for _ in range(30):
        first, second = halves(rng, ({}, {}))
        found = [test for test in search(*first) if test.p_corrected < 0.05]
        suggested += bool(found)
        confirmed += any(h.confirmed for h in confirm(found, *second))
    assert suggested <= 5
    assert confirmed == 0


def test_a_real_effect_is_found_and_confirmed() -> None:
    first, second = halves(np.random.default_rng(1), ({3: 1.0, 7: -1.0}, {3: 1.0, 7: -1.0}))
    found = [test for test in search(*first) if test.p_corrected < 0.05]
    assert [test.group for test in found] == ["group 3", "group 7"]
    hypotheses = confirm(found, *second)
    assert all(h.confirmed for h in hypotheses)
    three, seven = (h.tested for h in hypotheses)
    assert three is not None
    assert seven is not None
    assert three.interval[0] < 1.0 < three.interval[1]
    assert seven.mean == pytest.approx(-1.0, abs=0.5)


@pytest.mark.parametrize("in_the_second", [{}, {3: -1.0}])
def test_what_only_one_half_shows_is_not_confirmed(in_the_second: dict[int, float]) -> None:
    first, second = halves(np.random.default_rng(2), ({3: 1.0}, in_the_second))
    found = [test for test in search(*first) if test.p_corrected < 0.05]
    assert [test.group for test in found] == ["group 3"]
    (hypothesis,) = confirm(found, *second)
    assert not hypothesis.confirmed


def test_p_is_multiplied_by_the_number_of_tests() -> None:
    (values, groups), _ = halves(np.random.default_rng(3), ({0: 0.3}, {}))
    tests = search(values, groups)
    assert len(tests) == 10
    p = wilcoxon(values["error"][groups["group 0"]]).pvalue
    assert tests[0].p == pytest.approx(p)
    assert tests[0].p_corrected == pytest.approx(min(1.0, 10 * p))


def test_small_groups_are_not_tested() -> None:
    few = np.zeros(50, dtype=bool)
    few[: LEAST_MEMBERS - 1] = True
    values = {"error": np.ones(50)}
    assert search(values, {"few": few}) == []
    (found,) = search(values, {"all": np.ones(50, dtype=bool)})
    (hypothesis,) = confirm([found], values, {"all": few})
    assert hypothesis.tested is None
    assert not hypothesis.confirmed


def test_equal_potentials_do_not_differ() -> None:
    (test,) = search({"error": np.zeros(20)}, {"all": np.ones(20, dtype=bool)})
    assert test.p_corrected == 1.0
