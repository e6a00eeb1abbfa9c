from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.agents.llm.budget import BadLedger, Budgeted, most_tokens
from ray_matdesign.agents.llm.protocol import Answer, BudgetSpent, Message, Request, Unreachable
from ray_matdesign.agents.llm.scripted import Scripted
from ray_matdesign.config.llm import BudgetSettings

QUESTION = Request("planner", "1", (Message("user", "Which?"),), max_tokens=50)
ANSWER = Answer("yes", "m", 20, 30, 2.0, "stop")


def test_costs_are_added_up(tmp_path: Path) -> None:
    llm = Budgeted(Scripted([ANSWER] * 3), BudgetSettings(), tmp_path / "budget.json")
    for _ in range(3):
        llm.ask(QUESTION)
    spent = llm.spending
    assert (spent.tokens, spent.requests, spent.seconds) == (150, 3, 6.0)
    assert spent.reserved == {}


@pytest.mark.parametrize(
    ("budget", "allowed"),
    [
        # 6 bytes, 16 tokens of the template around each of 2 turns, 50 to write: 88 set aside.
        (BudgetSettings(tokens=87), 0),
        (BudgetSettings(tokens=88), 1),
        (BudgetSettings(tokens=137), 1),
        (BudgetSettings(tokens=138), 2),
        (BudgetSettings(requests=2), 2),
        (BudgetSettings(seconds=2.0), 1),
        (BudgetSettings(seconds=3.0), 2),
    ],
)
def test_the_question_that_could_go_over_is_not_sent(
    tmp_path: Path, budget: BudgetSettings, allowed: int
) -> None:
    behind = Scripted([ANSWER] * 5)
    llm = Budgeted(behind, budget, tmp_path / "budget.json")
    for _ in range(allowed):
        llm.ask(QUESTION)
    with pytest.raises(BudgetSpent, match="planner: needs up to"):
        llm.ask(QUESTION)
    assert len(behind.asked) == allowed


def test_the_account_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    budget = BudgetSettings(requests=3)
    for _ in range(3):
        Budgeted(Scripted([ANSWER]), budget, path).ask(QUESTION)
    with pytest.raises(BudgetSpent, match=r"3 of 3 are spent or set aside \(.*budget\.json\)"):
        Budgeted(Scripted([ANSWER]), budget, path).ask(QUESTION)


class Killed(BaseException):
    """Ends a process at the worst moment."""


class Dying:
    def ask(self, request: Request) -> Answer:
        raise Killed


def test_what_a_dead_process_had_set_aside_counts_as_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "budget.json"
    budget = BudgetSettings(tokens=150)
    with monkeypatch.context() as patch:
        patch.setattr(Budgeted, "_settle", lambda *arguments: None)  # a kill leaves no time for it
        with pytest.raises(Killed):
            Budgeted(Dying(), budget, path).ask(QUESTION)
    later = Budgeted(Scripted([ANSWER]), budget, path)
    assert list(later.spending.reserved.values()) == [88]
    with pytest.raises(BudgetSpent):
        later.ask(QUESTION)


def test_a_question_without_an_answer_costs_a_request_and_its_time(tmp_path: Path) -> None:
    llm = Budgeted(Scripted([Unreachable("gone")]), BudgetSettings(), tmp_path / "budget.json")
    with pytest.raises(Unreachable):
        llm.ask(QUESTION)
    spent = llm.spending
    assert (spent.tokens, spent.requests, spent.reserved) == (0, 1, {})
    assert spent.seconds > 0.0


def test_many_at_once_stay_within(tmp_path: Path) -> None:
    behind = Scripted([ANSWER] * 20)
    budget = BudgetSettings(tokens=500)
    llms = [Budgeted(behind, budget, tmp_path / "budget.json") for _ in range(4)]
    refused: list[BudgetSpent] = []

    def work(llm: Budgeted) -> None:
        for _ in range(5):
            try:
                llm.ask(QUESTION)
            except BudgetSpent as error:
                refused.append(error)

    threads = [threading.Thread(target=work, args=(llm,)) for llm in llms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = llms[0].spending
    assert spent.tokens == 50 * len(behind.asked) <= 500
    assert len(behind.asked) + len(refused) == 20
    # 88 are set aside for a question that takes 50: nine fit even one after the other.
    assert 5 <= len(behind.asked) <= 9


@given(st.lists(st.text(max_size=50), max_size=4), st.integers(1, 100))
def test_no_tokenizer_makes_more_of_a_prompt_than_is_set_aside(
    contents: list[str], written: int
) -> None:
    request = Request("p", "1", tuple(Message("user", c) for c in contents), max_tokens=written)
    bytes_of_all = sum(len(content.encode()) for content in contents)
    assert most_tokens(request) >= bytes_of_all + written


def test_a_damaged_account_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    path.write_text('{"tokens": -1}')
    with pytest.raises(BadLedger, match=r"budget\.json"):
        Budgeted(Scripted([ANSWER]), BudgetSettings(), path).ask(QUESTION)
