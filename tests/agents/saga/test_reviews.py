from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import campaigns
import pytest
from campaigns import CHEAP, Actor, plan

from ray_matdesign.agents.saga.course import Unwatched
from ray_matdesign.agents.saga.events import CampaignState
from ray_matdesign.agents.saga.protocol import Analysis, Plan
from ray_matdesign.agents.saga.reviews import GATES, Review, ReviewError, ReviewQueue


@pytest.mark.parametrize(
    ("level", "gates"),
    [
        ("co-pilot", ("plan", "analysis")),
        ("semi-pilot", ("analysis",)),
        ("autopilot", ()),
    ],
)
def test_gates_by_level(level: Any, gates: tuple[str, ...]) -> None:
    assert GATES[level] == gates


@pytest.fixture
def queue(tmp_path: Path) -> ReviewQueue:
    return ReviewQueue(tmp_path / "reviews")


def opened(queue: ReviewQueue, key: str = "01.plan", timeout_s: float | None = None) -> Review:
    return queue.open(key, "plan", Plan(objectives=()), in_round=1, timeout_s=timeout_s)


def test_a_review_is_asked_for_once(queue: ReviewQueue) -> None:
    first = opened(queue)
    assert opened(queue) == first
    assert opened(queue, "02.plan").number == 2
    assert [one.number for one in queue.pending()] == [1, 2]


def test_a_decision_is_final(queue: ReviewQueue) -> None:
    opened(queue)
    assert queue.approve(1, by="me").state == "approved"
    with pytest.raises(ReviewError, match="approved already"):
        queue.reject(1, "too late")
    with pytest.raises(ReviewError, match="no review 7; there are 1"):
        queue.approve(7)


def test_who_rejects_says_why(queue: ReviewQueue) -> None:
    opened(queue)
    with pytest.raises(ReviewError, match="say why"):
        queue.reject(1, "  ")


def test_an_edit_must_be_a_plan(queue: ReviewQueue) -> None:
    opened(queue)
    with pytest.raises(ReviewError, match="objectives"):
        queue.edit(1, {"objectives": [{"name": "x"}]})
    assert queue.pending()
    edited = queue.edit(1, {"thoughts": "Mine.", "objectives": []})
    assert edited.outcome["thoughts"] == "Mine."


def test_nobody_in_time(queue: ReviewQueue) -> None:
    opened(queue, timeout_s=0.05)
    assert queue.wait(1, 0.01).state == "timed-out"


def test_who_waits_sees_the_decision(queue: ReviewQueue) -> None:
    opened(queue)
    threading.Timer(0.05, lambda: queue.approve(1)).start()
    assert queue.wait(1, 0.01).state == "approved"


def test_of_many_who_decide_at_once_one_does(queue: ReviewQueue) -> None:
    opened(queue)
    outcomes: list[str] = []

    def decide(reason: str) -> None:
        try:
            queue.reject(1, reason)
            outcomes.append(reason)
        except ReviewError:
            pass

    threads = [threading.Thread(target=decide, args=(f"reason {i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    assert queue.get(1).reason == outcomes[0]


class Reviewer(Unwatched):
    """Decides at once, as a person at another terminal would."""

    def __init__(self, folder: Path, decide: Callable[[ReviewQueue, Review], object]) -> None:
        self.queue = ReviewQueue(folder / "reviews")
        self.decide = decide

    def review_wanted(self, number: int, gate: str) -> None:
        self.decide(self.queue, self.queue.get(number))


def piloted(
    tmp_path: Path,
    reference: Path,
    decide: Callable[[ReviewQueue, Review], object],
    lines: dict[Any, Any],
    **changes: Any,
) -> CampaignState:
    told = campaigns.settings(tmp_path, reference, **{"rounds": 1, "level": "co-pilot", **changes})
    folder = tmp_path / "campaign"
    actor = Actor({**campaigns.EVOLVING, **lines})
    return campaigns.run(told, folder, actor, watcher=Reviewer(folder, decide))


def test_people_edit_plans_and_reject_analyses(tmp_path: Path, reference: Path) -> None:
    def decide(queue: ReviewQueue, review: Review) -> None:
        if review.gate == "analysis":
            queue.reject(review.number, "it overlooks the price")
            return
        content = json.loads(json.dumps(review.content))
        del content["objectives"][0]  # the initial one, which comes back
        content["objectives"][0]["high"] = 100.0
        queue.edit(review.number, content, by="me")

    state = piloted(tmp_path, reference, decide, {("planner.begin", 1): plan(CHEAP)})
    (played,) = state.rounds
    assert [one.name for one in played.objectives] == ["dense", "cheap"]
    edited = played.objectives[1]
    assert (edited.high, edited.objective.origin) == (100.0, "reviewer")
    assert [review.decision for review in played.reviews] == ["edited", "rejected"]
    assert played.analysis == Analysis(reason="rejected: it overlooks the price")


def test_a_rejected_plan_is_made_anew(tmp_path: Path, reference: Path) -> None:
    def decide(queue: ReviewQueue, review: Review) -> None:
        names = [one["spec"]["name"] for one in review.content.get("objectives", [])]
        if "cheap" in names:
            queue.reject(review.number, "price is no matter")
        else:
            queue.approve(review.number)

    lines = {("planner.begin", 1): plan(CHEAP), ("planner.replace", 1): plan(campaigns.COPPER)}
    state = piloted(tmp_path, reference, decide, lines)
    (played,) = state.rounds
    assert [one.name for one in played.objectives] == ["dense", "copper"]
    assert played.dropped[0].reason == "rejected by a reviewer: price is no matter"


def test_time_may_end_a_campaign(tmp_path: Path, reference: Path) -> None:
    begun = time.monotonic()
    state = piloted(
        tmp_path,
        reference,
        lambda queue, review: None,
        {},
        review={"timeout_s": 0.1, "on_timeout": "stop", "poll_s": 0.02},
    )
    assert time.monotonic() - begun < 60
    assert state.status == "finished"
    assert state.rounds[0].decision is not None
    assert state.rounds[0].decision.by == "reviewer"
    assert state.rounds[0].optimized is None
