"""What the command shows: notes and progress on stderr, results on stdout."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

_STAGES = {
    "sample": "sampling",
    "relax": "relaxing",
    "evaluate": "evaluating",
    "finetune": "fine-tuning",
}


def notes() -> Console:
    """Where remarks go: stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints a table to a terminal, or CSV into a pipe or file."""
    if not sys.stdout.isatty():
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([["" if v is None else v for v in row] for row in rows])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, name in enumerate(columns):
        numeric = any(isinstance(row[position], float | int) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    Console(highlight=False).print(table)


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Writes a table as CSV, atomically."""
    import io

    from ray_matdesign.crystals.atomic import write_atomic

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if v is None else v for v in row] for row in rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Progress]:
    """A bar on stderr; advance it with ``bar.advance(bar.task_ids[0])``."""
    with _bars(Console(stderr=True)) as bars:
        bars.add_task(description, total=total)
        yield bars


class RunDisplay:
    """Shows a run: a bar of loops, a bar of the stage at work, and a line for each loop done."""

    def __init__(self) -> None:
        self._console = notes()
        self._bars = _bars(self._console)
        self._loops: TaskID | None = None
        self._stage: TaskID | None = None
        self._last = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def run_started(self, *, directory: Path, first_loop: int, loops: int) -> None:
        """Says where the run goes."""
        self._last = loops
        after = f", going on after loop {first_loop - 1}" if first_loop > 1 else ""
        self._console.print(f"run in {directory}{after}", markup=False)
        self._loops = self._bars.add_task("loops", total=loops, completed=first_loop - 1)
        self._stage = self._bars.add_task("", total=None)

    def loop_started(self, loop: int) -> None:
        """Nothing to show yet."""

    def stage(self, name: str, done: int, total: int) -> None:
        """Moves the lower bar."""
        if self._stage is not None:
            label = _STAGES.get(name, name)
            self._bars.update(self._stage, description=label, completed=done, total=total)

    def loop_finished(self, metrics: Mapping[str, Any]) -> None:
        """Prints the loop in a line."""
        self._console.print(loop_line(metrics, self._last), markup=False)
        if self._loops is not None:
            self._bars.update(self._loops, completed=metrics["loop"])

    def note(self, line: str) -> None:
        """Prints it."""
        self._console.print(line, markup=False, style="yellow")


def loop_line(metrics: Mapping[str, Any], loops: int) -> str:
    """A loop's metrics in one line."""
    parts = [f"loop {metrics['loop']:>{len(str(loops))}}/{loops}"]
    parts += [
        f"{name.removeprefix('mean_')} {value:.4g}"
        for name, value in metrics.items()
        if name.startswith("mean_") and value is not None
    ]
    if metrics.get("reward_mean") is not None:
        parts.append(f"reward {metrics['reward_mean']:.3f}, best {metrics['reward_max']:.3f}")
    parts.append(f"S.U.N. {metrics['sun']} of {metrics['requested']}")
    parts.append(f"evaluations {metrics['evaluations_total']}")
    parts.append(f"{metrics['wall_s']:.0f} s")
    return "   ".join(parts)


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,  # into a log, bars are noise
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
