"""``ray-matdesign saga``: what it tells of a campaign, and how reviews are decided."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ray_matdesign.agents.saga.reviews import ReviewQueue
from ray_matdesign.agents.saga.settings import list_campaigns
from ray_matdesign.cli.saga import followed
from ray_matdesign.config.loading import dump
from ray_matdesign.config.yaml_text import format_yaml
from tests.agents.saga import campaigns
from tests.report.saga_folder import ask_for_review, break_off, planned, write_campaign

Command = Callable[..., Any]


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A campaign whose second plan waits for a decision."""
    folder = write_campaign(tmp_path / "waiting", rounds=1, finished=False)
    ask_for_review(folder)
    return folder


@pytest.fixture(scope="module")
def toy_campaign(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a small campaign whose model is the cassette of an earlier one."""
    folder = tmp_path_factory.mktemp("toy-campaign")
    told = campaigns.settings(folder, reference, rounds=2)
    campaigns.run(told, folder / "first")
    replayed = told.model_copy(
        update={
            "llm": told.llm.model_copy(update={"replay": str(folder / "first/llm-cassette.jsonl")})
        }
    )
    path = folder / "toy.yaml"
    path.write_text(dump(replayed))
    return path


def test_a_campaign_runs_to_its_report(command: Command, toy_campaign: Path) -> None:
    done = command("saga", "run", toy_campaign)
    assert (done.status, done.out) == (0, "report: campaigns/toy/report.html\n")
    lines = done.err.splitlines()
    assert lines[0] == "campaign in campaigns/toy"
    assert any(line.startswith("round 2  agreed: dense, cheap, mixed") for line in lines)
    text = Path("campaigns/toy/report.html").read_text()
    for words in (
        "Dense crystals are all of platinum and gold.", "canary_property", "Pareto set",
        "What the selector would make", "[reward.mean&nbsp;= ", "Tokens read",
    ):  # fmt: skip
        assert words in text, words
    assert "missing" not in text
    first, again = (
        json.loads((folder / "final.json").read_text())["digest"]
        for folder in (toy_campaign.parent / "first", Path("campaigns/toy"))
    )
    assert first == again
    assert command("saga", "status", "campaigns/toy").status == 0
    assert "add --resume" in command("saga", "run", "campaigns/toy").err


def test_one_that_breaks_off_says_why_and_can_be_resumed(
    command: Command, toy_campaign: Path
) -> None:
    nobody = "llm={default: {url: 'http://127.0.0.1:9/v1', model: none, retries: 0}}"
    done = command("saga", "run", toy_campaign, nobody, "--out", "broken")
    assert done.status == 2
    assert done.err.splitlines()[-1].startswith("ray-matdesign: planner: ")
    status = command("saga", "status", "broken")
    assert status.status == 3
    assert "  state        failed" in status.out
    cassette = toy_campaign.parent / "first/llm-cassette.jsonl"
    done = command("saga", "run", "broken", "--resume", f"llm.replay={cassette}")
    assert (done.status, done.out) == (0, "report: broken/report.html\n")


def test_one_that_is_terminated_while_it_waits_goes_on(
    command: Command, toy_campaign: Path, tmp_path: Path
) -> None:
    arguments = ["saga", "run", str(toy_campaign), "level=co-pilot", "--out", "held"]
    entry = f"import sys; sys.path[:0] = {sys.path!r}; from ray_matdesign.cli import main; "
    running = subprocess.Popen(
        [sys.executable, "-c", f"{entry}sys.exit(main({arguments!r}))"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert running.stderr is not None
    said = ""
    while "waits for a decision" not in said:
        said = running.stderr.readline()
        assert said, running.wait()
    assert said.startswith("round 1  the plan waits for a decision: ray-matdesign saga review held")
    running.send_signal(signal.SIGTERM)
    assert "stopped; go on with: ray-matdesign saga run held --resume" in running.stderr.read()
    assert running.wait() == 143
    running.stderr.close()
    queue = ReviewQueue(Path("held/reviews"))
    over = threading.Event()
    agreeing = threading.Thread(target=_approve_all, args=(queue, over))
    agreeing.start()
    try:
        assert command("saga", "run", "held", "--resume").status == 0
    finally:
        over.set()
        agreeing.join()
    assert [review.gate for review in queue.all()] == ["plan", "analysis", "plan", "analysis"]
    assert {review.state for review in queue.all()} == {"approved"}


def _approve_all(queue: ReviewQueue, over: threading.Event) -> None:
    while not over.wait(0.1):
        for review in queue.pending():
            queue.approve(review.number)


def test_campaigns_that_are_shipped_are_listed(command: Command) -> None:
    done = command("saga", "list")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert done.status == 0
    assert {row["campaign"] for row in rows} == {one.name for one in list_campaigns()}
    assert all(row["looks for"] for row in rows)


def test_a_dry_run_prints_every_setting(command: Command, tmp_path: Path) -> None:
    folder = write_campaign(tmp_path / "c", rounds=0, finished=False)
    done = command("saga", "run", folder / "saga.yaml", "rounds=7", "--dry-run")
    assert done.status == 0
    assert "rounds: 7\n" in done.out
    assert "restart_ratio: 1.0\n" in done.out
    assert not (tmp_path / "campaigns").exists()


def test_settings_that_are_wrong_are_named(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(format_yaml({"name": "x", "goal": "y", "base": {"recip": "superhard"}}))
    done = command("saga", "run", path)
    assert done.status == 2
    assert f"ray-matdesign: {path}: base.recip: unknown key" in done.err
    done = command("saga", "run", "superheavy")
    assert done.status == 2
    assert "superheavy: neither a campaign nor a file" in done.err


def test_a_campaign_is_not_begun_twice_nor_resumed_before_it_is_there(
    command: Command, tmp_path: Path
) -> None:
    folder = write_campaign(tmp_path / "c", rounds=1, finished=False)
    done = command("saga", "run", folder)
    assert done.status == 2
    assert "is a campaign already; add --resume" in done.err
    done = command("saga", "run", folder / "saga.yaml", "--resume", "--out", tmp_path / "none")
    assert done.status == 2
    assert "holds no campaign to resume" in done.err


def test_status_of_a_finished_campaign(command: Command, tmp_path: Path) -> None:
    folder = write_campaign(tmp_path / "c")
    done = command("saga", "status", folder)
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0] == f"hard-light in {folder}"
    assert lines[1].startswith("  state        finished, last step ")
    assert "  rounds       2 of at most 4 done" in lines
    assert "  objectives   density, light_share" in lines
    assert "  evaluations  32, best reward of the last round 0.900" in lines
    assert "  selected     02-00001-0003" in lines
    assert "  dropped      toughness (round 2): no formula is <known>" in lines
    told = json.loads(command("saga", "status", folder, "--json").out)
    assert (told["state"], told["phase"], told["round"], told["events"]) == ("finished", "", 2, 21)
    assert told["dropped"][0]["round"] == 2


def test_status_of_one_that_nobody_works_on(command: Command, tmp_path: Path) -> None:
    folder = write_campaign(tmp_path / "c", rounds=1, finished=False)
    done = command("saga", "status", folder, "--watch")
    assert done.status == 3
    assert "round 1: planning" in done.out
    assert done.out.splitlines()[-1] == f"go on with: ray-matdesign saga run {folder} --resume"
    break_off(folder)
    done = command("saga", "status", folder)
    assert done.status == 3
    assert "  failure      planner: no answer from http://127.0.0.1:8000" in done.out
    assert command("saga", "status", tmp_path).status == 2


def test_status_names_what_waits_for_a_decision(command: Command, waiting: Path) -> None:
    done = command("saga", "status", waiting)
    assert "waiting for a review" in done.out
    assert f"1 waits for a decision: ray-matdesign saga review {waiting} --show 1" in done.out


def test_a_review_is_shown_and_approved_once(command: Command, waiting: Path) -> None:
    listed = list(csv.DictReader(io.StringIO(command("saga", "review", waiting).out)))
    assert [(row["review"], row["of"], row["state"]) for row in listed] == [
        ("1", "plan", "pending")
    ]
    shown = json.loads(command("saga", "review", waiting, "--show", 1).out)
    assert [one["spec"]["name"] for one in shown["content"]["objectives"]] == [
        "density", "light_share",
    ]  # fmt: skip
    done = command("saga", "review", waiting, "--approve", 1, "--by", "Ada")
    assert (done.status, done.out) == (0, "review 1: plan of round 2 approved\n")
    again = command("saga", "review", waiting, "--approve", 1)
    assert again.status == 2
    assert "review 1: approved already" in again.err
    assert command("saga", "review", waiting).out == "review,round,of,state,by,reason\n"
    assert "1,2,plan,approved,Ada," in command("saga", "review", waiting, "--list").out


@pytest.mark.parametrize("write", [format_yaml, json.dumps], ids=["yaml", "json"])
def test_an_edit_takes_what_show_prints(
    command: Command, waiting: Path, tmp_path: Path, write: Callable[[Any], str]
) -> None:
    content = json.loads(command("saga", "review", waiting, "--show", 1).out)["content"]
    content["objectives"].pop()
    path = tmp_path / "plan"
    path.write_text(write(content))
    done = command("saga", "review", waiting, "--edit", 1, path, "--reason", "one is enough")
    assert (done.status, done.out) == (0, "review 1: plan of round 2 edited\n")
    review = ReviewQueue(waiting / "reviews").get(1)
    assert review.reason == "one is enough"
    first, _ = planned(2)
    assert review.outcome["objectives"] == [first.model_dump(mode="json")]


def test_an_edit_of_another_form_is_refused(
    command: Command, waiting: Path, tmp_path: Path
) -> None:
    path = tmp_path / "plan"
    path.write_text("objectives: [{spec: {name: density}, origin: planner, since: 2}]")
    done = command("saga", "review", waiting, "--edit", 1, path)
    assert done.status == 2
    assert "review 1: objectives.0.spec." in done.err
    path.write_text("- a list")
    assert "must be a mapping" in command("saga", "review", waiting, "--edit", 1, path).err
    assert ReviewQueue(waiting / "reviews").get(1).state == "pending"


def test_a_rejection_needs_its_reason(command: Command, waiting: Path) -> None:
    done = command("saga", "review", waiting, "--reject", 1)
    assert done.status == 2
    assert "say why" in done.err
    done = command("saga", "review", waiting, "--reject", 1, "--reason", "twice the same")
    assert (done.status, done.out) == (0, "review 1: plan of round 2 rejected\n")


def test_options_that_say_two_things_are_refused(command: Command, waiting: Path) -> None:
    for options in (
        ("--approve", 1, "--show", 1),
        ("--list", "--reject", 1, "--reason", "no"),
        ("--approve", 1, "--reason", "fine"),
    ):
        assert command("saga", "review", waiting, *options).status == 2
    assert command("saga", "review", waiting.parent, "--list").status == 2
    assert ReviewQueue(waiting / "reviews").get(1).state == "pending"


def test_the_report_is_written_where_it_is_wanted(command: Command, tmp_path: Path) -> None:
    folder = write_campaign(tmp_path / "c")
    done = command("saga", "report", folder)
    assert (done.status, done.out) == (0, f"{folder / 'report.html'}\n")
    done = command("saga", "report", folder, "--out", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert command("saga", "report", tmp_path).status == 2


def test_steps_are_told_as_they_come(tmp_path: Path) -> None:
    folder, lines = tmp_path / "c", []
    with followed(folder, lines.append):
        write_campaign(folder)
    assert lines[:4] == [
        f"campaign in {folder}",
        "started",
        "round 1  planned: density  (12 s)",
        "round 1  implemented  (2 s)",
    ]
    assert "round 2  agreed: density, light_share, without toughness" in lines
    assert "round 2  optimized: 12 crystals, 16 evaluated, best reward 0.900  (40 s)" in lines
    assert "round 2  decided: the last, by analyzer: good enough" in lines
    assert len(lines) == 22
    lines.clear()
    with followed(folder, lines.append):
        pass
    assert lines == [f"campaign in {folder}, going on after 21 steps"]
