from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sums import suite

from ray_matdesign.agents.benchmark.problem import BadProblem
from ray_matdesign.agents.benchmark.suite import BadSuite, Suite, load_suite, selected

RED = suite().problems[0]


@given(variant=st.integers(1, 2**63))
def test_a_variant_is_the_same_everywhere_and_never_the_public_one(variant: int) -> None:
    drawn = RED.parameters(variant)
    assert drawn == RED.parameters(variant)
    assert drawn != RED.parameters()
    assert RED.answer(variant) == drawn["first"] + drawn["second"]


def test_solvers_get_a_task_and_nothing_of_the_answer() -> None:
    item = RED.item(0, variant=7)
    told = RED.parameters(7)
    question = f"With sum(), add {told['first']} and {told['second']}."
    assert item.task.question == question
    assert item.task.id == "red.v7.l0"
    assert str(told["first"] + told["second"]) not in item.task.model_dump_json()
    assert RED.item(1, variant=7).task.question.startswith("How much are")


def test_problems_that_cannot_be_put_are_named() -> None:
    lost = replace(RED, goal="How much is {third}?")
    with pytest.raises(BadProblem, match="problem red, level 1: no parameter 'third'"):
        lost.item(1)
    single = replace(RED, draw=lambda rng: {"first": 1, "second": 2})
    with pytest.raises(BadProblem, match="no parameters but the public ones"):
        single.parameters(1)
    vague = replace(RED, solve=lambda first, second: str(first + second))
    with pytest.raises(BadProblem, match="returns string, not integer"):
        vague.answer()


def test_suites_are_found_by_import_path_and_cut_to_size() -> None:
    items = load_suite("sums:suite").items(variant=3)
    assert [item.task.id for item in items[:3]] == ["red.v3.l0", "red.v3.l1", "green.v3.l0"]
    few = selected(items, levels=(1,), problems=("red", "blue"))
    assert [item.task.id for item in few] == ["red.v3.l1", "blue.v3.l1"]
    with pytest.raises(BadSuite, match="no problem is called 'pink'"):
        selected(items, problems=("pink",))
    with pytest.raises(BadSuite, match="no question is left"):
        selected(items, categories=("simulation",))
    with pytest.raises(BadSuite, match="two problems are called red"):
        Suite((RED, RED))


def test_problems_without_their_packages_are_left_out() -> None:
    needy = replace(RED, id="needy", packages=("no_such_package",))
    assert needy.missing() == ["no_such_package"]
    assert Suite((RED, needy)).installed().problems == (RED,)


def test_draws_do_not_depend_on_the_process() -> None:
    # A generator seeded by text gives the same everywhere; a hash of text would not.
    assert Random("red/0").randint(1, 999) == RED.parameters()["first"]
