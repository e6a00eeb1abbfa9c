"""``ray-matdesign status``: how a run is doing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from ray_matdesign.report.status import RunStatus

STOPPED = 3
"""Exit status for a run that nobody works on though loops are missing."""

_WATCH_EVERY_S = 2.0


def status(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A run directory.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of text.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again whenever it changes.")
    ] = False,
) -> None:
    """Say how a run is doing, from its directory alone.

    The status is 0 for a run that goes on or is finished, 3 for one that stopped before its last
    loop. With --watch, the command ends when the run does.
    """
    for state in _changes(run) if watch else _once(run):
        if as_json:
            typer.echo(json.dumps(state.to_json()))
        else:
            if watch and sys.stdout.isatty():
                Console().clear()
            typer.echo("\n".join(describe(state, datetime.now(UTC))))
    if state.state == "stopped":
        raise typer.Exit(STOPPED)


def _once(run: Path) -> Iterator[RunStatus]:
    from ray_matdesign.report.status import read_status

    yield read_status(run)


def _changes(run: Path) -> Iterator[RunStatus]:
    """Every change of a run, until nobody works on it any more."""
    from ray_matdesign.report.status import State, read_status

    shown = None
    while True:
        state = read_status(run)
        if state != shown:
            shown = state
            yield state
        if state.state is not State.RUNNING:
            return
        time.sleep(_WATCH_EVERY_S)


def describe(status: RunStatus, now: datetime) -> list[str]:
    """The status in lines for people.

    Args:
        status: As read.
        now: The moment that ages are counted from.
    """
    lines = [f"{status.name} in {status.directory}", *_progress(status, now)]
    if status.loop:
        lines += _found(status)
    if status.checkpoint is not None:
        age = duration((now - status.checkpoint.written).total_seconds())
        lines.append(_line("checkpoint", f"loop {status.checkpoint.loop}, {age} ago"))
    lines += [_line("failures", f"{count} x {why}") for why, count in status.failures.items()]
    lines += [_line("note", notice) for notice in status.notices]
    if status.state == "stopped":
        lines.append(f"go on with: ray-matdesign run {status.directory} --resume")
    return lines


def _progress(status: RunStatus, now: datetime) -> Iterator[str]:
    state = str(status.state)
    if status.resumed:
        state += f", resumed {status.resumed} {'time' if status.resumed == 1 else 'times'}"
    if status.seen is not None:
        state += f", last wrote {duration((now - status.seen).total_seconds())} ago"
    yield _line("state", state)
    loops = f"{status.loop} of {status.loops} done"
    if status.stage is not None:
        stage = status.stage
        loops += f"; loop {stage.loop}: {stage.name} {stage.done}/{stage.total}"
    yield _line("loops", loops)
    if status.loop_seconds is not None and status.remaining_s is not None:
        pace = f"{duration(status.loop_seconds)} a loop"
        if status.evaluations_per_hour is not None:
            pace += f", {status.evaluations_per_hour:.0f} evaluations an hour"
        if status.remaining_s:
            pace += f", {duration(status.remaining_s)} left"
        yield _line("pace", pace)


def _found(status: RunStatus) -> Iterator[str]:
    yield _line(
        "evaluations", f"{status.evaluations}, {status.unique_hits} unique formulas are hits"
    )
    if status.best_reward is not None:
        best = f"best {status.best_reward:.3f}"
        if status.best_formula is not None:
            best += f" ({status.best_formula})"
        if status.reward_mean is not None:
            best += f", mean of the last loop {status.reward_mean:.3f}"
        yield _line("reward", best)
    if status.sun_fraction is not None:
        yield _line(
            "S.U.N.", f"{status.sun_total} so far, {status.sun_fraction:.0%} of the last loop"
        )
    if status.rejections:
        yield _line("fell out", ", ".join(f"{n} {name}" for name, n in status.rejections.items()))


def _line(name: str, text: str) -> str:
    return f"  {name:<12} {text}"


def duration(seconds: float) -> str:
    """Seconds in the two largest units that matter: ``3 h 20 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
