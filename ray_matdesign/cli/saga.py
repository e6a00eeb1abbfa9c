"""``ray-matdesign saga``: campaigns whose objectives evolve."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from pathlib import Path
from threading import Event as Signal
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ray_matdesign.cli.run import INTERRUPTED, TERMINATED
from ray_matdesign.cli.status import STOPPED, duration

if TYPE_CHECKING:
    from ray_matdesign.agents.saga.reviews import Review, ReviewQueue

app = typer.Typer(
    help="Campaigns whose objectives evolve: run, watch, review.", no_args_is_help=True
)

_LOOK_EVERY_S = 0.5

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a campaign.")]


class NothingToResume(ValueError):
    """The folder of a campaign given as if it were settings, or the other way round."""


class UnclearReview(ValueError):
    """Options of ``saga review`` that do not say one thing."""


@app.command("list")
def list_() -> None:
    """List the campaigns that ship with the package."""
    from ray_matdesign.agents.saga.settings import list_campaigns
    from ray_matdesign.cli.console import show_table

    show_table(["campaign", "looks for"], [(c.name, c.summary) for c in list_campaigns()])


@app.command()
def run(
    source: Annotated[
        str,
        typer.Argument(
            metavar="CAMPAIGN|FILE|DIR",
            help="A shipped campaign ([b]ray-matdesign saga list[/b]), a YAML file, or, with "
            "--resume, the folder of a campaign.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings to change, e.g. rounds=3."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the campaign (default: campaigns/NAME)."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last step on record.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print every setting and stop.")
    ] = False,
) -> None:
    """Run a campaign in this process, and write its report.

    Where people review plans or analyses, it waits: decide with [b]ray-matdesign saga review[/b].
    """
    from ray_matdesign.agents.saga.settings import load_campaign
    from ray_matdesign.config.loading import dump

    held = Path(source) / "saga.yaml"
    there = held.is_file()
    settings = load_campaign(held if there else source, overrides or ())
    if dry_run:
        typer.echo(dump(settings), nl=False)
        return
    if there and not resume:
        raise NothingToResume(f"{source} is a campaign already; add --resume to go on with it")
    folder = out or (Path(source) if there else Path("campaigns") / settings.name)
    if resume and not (folder / "saga.yaml").is_file():
        raise NothingToResume(f"{folder} holds no campaign to resume; start one without --resume")
    _work(settings, folder, resume)


@app.command()
def status(
    folder: Folder,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of text.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again whenever it changes.")
    ] = False,
) -> None:
    """Say how a campaign is doing, from its folder alone.

    The status is 0 for one that goes on or is finished, 3 for one that stopped or broke off. With
    --watch, the command ends when the campaign does.
    """
    for found in _statuses(folder, watch):
        typer.echo(json.dumps(found) if as_json else "\n".join(describe(found)))
    if found["state"] in ("stopped", "failed"):
        raise typer.Exit(STOPPED)


@app.command()
def review(
    folder: Folder,
    show: Annotated[
        int | None, typer.Option("--show", metavar="N", help="Print a review as JSON.")
    ] = None,
    approve: Annotated[
        int | None, typer.Option("--approve", metavar="N", help="Let it stand as it is.")
    ] = None,
    edit: Annotated[
        tuple[int, Path] | None,
        typer.Option(
            "--edit",
            metavar="N FILE",
            help="Put what a YAML or JSON file holds in its place, in the form that --show prints "
            "under content.",
        ),
    ] = None,
    reject: Annotated[
        int | None, typer.Option("--reject", metavar="N", help="Send it back; needs --reason.")
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", help="Of an edit or a rejection; the planner is told.")
    ] = "",
    by: Annotated[str, typer.Option("--by", help="Who decides.")] = "",
    list_all: Annotated[
        bool, typer.Option("--list", help="List all reviews (the default lists those that wait).")
    ] = False,
) -> None:
    """List, show and decide reviews of a campaign's plans and analyses."""
    from ray_matdesign.agents.saga.reviews import ReviewQueue

    if sum(one is not None for one in (show, approve, edit, reject)) + list_all > 1:
        raise UnclearReview("give one of --list, --show, --approve, --edit and --reject")
    if reason and edit is None and reject is None:
        raise UnclearReview("--reason goes with --edit or --reject")
    _check_campaign(folder)
    queue = ReviewQueue(folder / "reviews")
    if show is not None:
        typer.echo(queue.get(show).model_dump_json(indent=1))
    elif approve is not None:
        _tell(queue.approve(approve, by=by))
    elif edit is not None:
        _tell(queue.edit(edit[0], _content(edit[1]), reason=reason, by=by))
    elif reject is not None:
        _tell(queue.reject(reject, reason, by=by))
    else:
        _list(queue, list_all)


@app.command()
def report(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write (default: DIR/report.html).")
    ] = None,
) -> None:
    """Write the report of a campaign: finished, going on, or broken off."""
    from ray_matdesign.report.saga_page import build_saga_report

    typer.echo(build_saga_report(folder, out))


def _work(settings: Any, folder: Path, resume: bool) -> None:
    from ray_matdesign.agents.llm.building import build_llm
    from ray_matdesign.agents.saga.controller import run_campaign
    from ray_matdesign.agents.saga.roles import LocalRoles
    from ray_matdesign.cli.termination import Termination
    from ray_matdesign.distributed.workplace import workplace
    from ray_matdesign.report.saga_page import build_saga_report

    # Libraries say hello on stdout; it is kept for the result.
    with Termination() as termination, redirect_stdout(sys.stderr):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            llm = build_llm(settings.llm, folder)
            with (
                followed(folder, lambda line: typer.echo(line, err=True)),
                closing(LocalRoles(llm, workplace=workplace)) as roles,
            ):
                run_campaign(settings, folder, roles, resume=resume)
        except KeyboardInterrupt as interrupt:
            advice = f"stopped; go on with: ray-matdesign saga run {folder} --resume"
            typer.echo(f"ray-matdesign: {advice}", err=True)
            raise typer.Exit(TERMINATED if termination.came else INTERRUPTED) from interrupt
    typer.echo(f"report: {build_saga_report(folder)}")


@contextmanager
def followed(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Tells of the events of a campaign as they come, and of reviews that wait.

    Args:
        folder: Of the campaign, which need not be there yet.
        say: Told a line for each.
    """
    from ray_matdesign.report.saga_data import EVENTS, read_events

    over = Signal()
    told = len(read_events(folder / EVENTS))
    say(f"campaign in {folder}" + (f", going on after {told} steps" if told else ""))
    follower = Thread(target=_follow, args=(folder, told, say, over), daemon=True)
    follower.start()
    try:
        yield
    finally:
        over.set()
        follower.join()


def _follow(folder: Path, told: int, say: Callable[[str], None], over: Signal) -> None:
    from ray_matdesign.agents.saga.reviews import ReviewQueue
    from ray_matdesign.report.saga_data import EVENTS, read_events
    from ray_matdesign.report.saga_status import event_line

    asked: set[int] = set()
    while True:
        last_look = over.wait(_LOOK_EVERY_S)
        events = read_events(folder / EVENTS, told)
        told += len(events)
        for event in events:
            say(event_line(event))
        for waiting in ReviewQueue(folder / "reviews").pending():
            if waiting.number not in asked and not last_look:
                asked.add(waiting.number)
                say(
                    f"round {waiting.round}  the {waiting.gate} waits for a decision: "
                    f"ray-matdesign saga review {folder} --show {waiting.number}"
                )
        if last_look:
            return


def _statuses(folder: Path, watch: bool) -> Iterator[dict[str, Any]]:
    """Every change of a campaign, until nobody works on it any more; only one if not watched."""
    from ray_matdesign.report.saga_data import read_campaign
    from ray_matdesign.report.saga_status import status_of

    shown = None
    while True:
        found = status_of(read_campaign(folder))
        if found != shown:
            shown = found
            yield found
        if not watch or found["state"] != "running":
            return
        time.sleep(_LOOK_EVERY_S)


def describe(status: dict[str, Any]) -> list[str]:
    """A status in lines for people; see :func:`ray_matdesign.report.saga_status.status_of`."""
    from datetime import UTC, datetime

    state = status["state"]
    if status["updated"]:
        ago = datetime.now(UTC) - datetime.fromisoformat(status["updated"])
        state += f", last step {duration(ago.total_seconds())} ago"
    lines = [f"{status['name']} in {status['directory']}", _line("state", state)]
    rounds = f"{status['rounds_done']} of at most {status['rounds']} done"
    if status["phase"]:
        rounds += f"; round {status['round']}: {status['phase']}"
    lines.append(_line("rounds", rounds))
    if status["objectives"]:
        lines.append(_line("objectives", ", ".join(status["objectives"])))
    if status["evaluated"]:
        best = status["best_reward"]
        reward = "" if best is None else f", best reward of the last round {best:.3f}"
        lines.append(_line("evaluations", f"{status['evaluated']}{reward}"))
    if status["requests"]:
        asked = f"{status['requests']} questions, {status['tokens']} tokens"
        lines.append(_line("model", asked))
    if status["selected"]:
        lines.append(_line("selected", ", ".join(one["id"] for one in status["selected"])))
    for lost in status["dropped"]:
        lines.append(_line("dropped", f"{lost['name']} (round {lost['round']}): {lost['reason']}"))
    for failure in status["failures"]:
        lines.append(_line("failure", f"{failure['role']}: {failure['reason']}"))
    lines += [_line("note", notice) for notice in status["notices"]]
    for number in status["reviews"]:
        how = f"ray-matdesign saga review {status['directory']} --show {number}"
        lines.append(_line("review", f"{number} waits for a decision: {how}"))
    if status["state"] in ("stopped", "failed"):
        lines.append(f"go on with: ray-matdesign saga run {status['directory']} --resume")
    return lines


def _line(name: str, text: str) -> str:
    return f"  {name:<12} {text}"


def _list(queue: ReviewQueue, everything: bool) -> None:
    from ray_matdesign.cli.console import show_table

    found = queue.all() if everything else queue.pending()
    rows = [(r.number, r.round, r.gate, r.state, r.by or None, r.reason or None) for r in found]
    show_table(["review", "round", "of", "state", "by", "reason"], rows)


def _tell(decided: Review) -> None:
    typer.echo(f"review {decided.number}: {decided.gate} of round {decided.round} {decided.state}")


def _content(path: Path) -> dict[str, Any]:
    from ray_matdesign.config.yaml_text import YamlError, parse

    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (YamlError, UnicodeDecodeError) as error:
        raise UnclearReview(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise UnclearReview(f"{path}: must be a mapping of keys to values")
    return content


def _check_campaign(folder: Path) -> None:
    if not (folder / "saga.yaml").is_file():
        raise NothingToResume(f"{folder} is no campaign: it holds no saga.yaml")
