from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.agents.benchmark.journal import Finished, Outcome
from ray_matdesign.agents.benchmark.statistics import breakdown, gain, pass_at_k, summarise
from ray_matdesign.agents.benchmark.tables import figures, table
from ray_matdesign.agents.cascade.task import Cost


def finished(problem: str, outcomes: str, level: int = 0) -> list[Finished]:
    """Attempts at a question: r for right, w for wrong, u, t and l for no answer."""
    names: dict[str, Outcome] = {
        "r": "right", "w": "wrong", "u": "unanswered", "t": "timeout", "l": "lost"
    }  # fmt: skip
    return [
        Finished(
            task=f"{problem}.l{level}", question="", problem=problem, category="analysis",
            level=level, variant=0, repetition=number, outcome=names[letter], seconds=2.0,
            cost=Cost(prompt_tokens=10, completion_tokens=5, requests=2, runs=1),
        )
        for number, letter in enumerate(outcomes)
    ]  # fmt: skip


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n),
                                                    st.integers(1, n))))  # fmt: skip
def test_pass_at_k_is_the_share_of_all_draws_with_a_right_one(told: tuple[int, int, int]) -> None:
    attempts, right, k = told
    draws = list(combinations([True] * right + [False] * (attempts - right), k))
    assert pass_at_k(attempts, right, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@pytest.mark.parametrize("told", [(3, 4, 1), (3, 1, 4), (3, 1, 0)])
def test_pass_at_k_of_nothing_possible_is_an_error(told: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="attempts"):
        pass_at_k(*told)


def test_failures_are_counted_and_both_conventions_told() -> None:
    attempts = finished("a", "rwt") + finished("b", "rru") + finished("c", "lll")
    summary = summarise("all", attempts)
    assert summary.success.value == pytest.approx(3 / 9)
    assert summary.success_of_answered.value == pytest.approx(3 / 4)
    assert summary.pass_at[1].value == pytest.approx(3 / 9)
    assert summary.pass_at[2].value == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert summary.pass_at[3].value == pytest.approx(2 / 3)
    assert summary.outcomes == {"lost": 3, "right": 3, "timeout": 1, "unanswered": 1, "wrong": 1}
    assert (summary.tokens, summary.requests, summary.runs) == (15.0, 2.0, 1.0)


def test_errors_are_those_of_a_sample_of_problems() -> None:
    rng = np.random.default_rng(1)
    outcomes = rng.random(200) < 0.3
    single = [f for i, right in enumerate(outcomes) for f in finished(f"p{i}", "wr"[int(right)])]
    share = summarise("all", single).success
    expected = (share.value * (1 - share.value) / 200) ** 0.5
    assert share.error == pytest.approx(expected, rel=0.1)
    # Three repetitions that always agree say no more than one does.
    thrice = [f for i, r in enumerate(outcomes) for f in finished(f"p{i}", 3 * "wr"[int(r)])]
    assert summarise("all", thrice).success.error == pytest.approx(expected, rel=0.1)


def test_groups_are_all_then_wordings_then_categories() -> None:
    attempts = finished("a", "rr") + finished("a", "ww", level=1)
    groups = breakdown(attempts)
    assert [group.name for group in groups] == ["all", "level 0", "level 1", "analysis"]
    assert [group.success.value for group in groups] == [0.5, 1.0, 0.0, 0.5]
    text = table({"deep": groups})
    assert "| deep | level 0 | 1 | 2 | 100.0 ± 0.0 % |" in text
    rows = {row["name"]: row for row in figures("deep", groups)}
    assert rows["deep, all: pass@2"]["value"] == 0.5
    assert set(rows["deep, all: tokens an attempt"]) == {
        "name", "value", "unit", "baseline", "ratio"
    }  # fmt: skip


def test_a_gain_is_measured_problem_by_problem() -> None:
    # Hard and easy problems alike gain a third: the difference is certain, the rates are not.
    first = finished("a", "www") + finished("b", "rrw")
    second = finished("a", "rww") + finished("b", "rrr") + finished("c", "www")
    mean, error = gain(first, second)
    assert mean == pytest.approx(1 / 3)
    assert error == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="no problem in common"):
        gain(first, finished("z", "r"))
