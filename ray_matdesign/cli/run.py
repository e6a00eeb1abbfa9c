"""``ray-matdesign run``: a design campaign."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ray_matdesign.config.schema import RunConfig
    from ray_matdesign.rl.executor import Executor
    from ray_matdesign.rl.replay import Replay


INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


class Backend(StrEnum):
    """Where the work runs."""

    LOCAL = "local"
    RAY = "ray"


class NothingToResume(ValueError):
    """A run directory given as if it were a recipe."""


def run(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|FILE|RUN_DIR",
            help="A recipe ([b]ray-matdesign config list[/b]), a YAML file, or, with --resume, the "
            "directory of a run.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings to change, e.g. rl.lr=1e-5 or seed=1."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run directory (default: runs/NAME).")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last checkpoint.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print every setting and stop.")
    ] = False,
    backend: Annotated[
        Backend | None, typer.Option("--backend", help="Instead of execution.backend.")
    ] = None,
) -> None:
    """Teach the generator to make crystals with the property asked for."""
    from ray_matdesign.config.loading import dump, load_run_config

    held = Path(source) / "config.yaml"
    is_run = held.is_file()
    changes = [*(overrides or ()), *([f"execution.backend={backend}"] if backend else ())]
    config = load_run_config(held if is_run else source, changes)
    if dry_run:
        typer.echo(dump(config), nl=False)
        return
    if is_run and not resume:
        raise NothingToResume(f"{source} is a run already; add --resume to go on with it")
    start(config, out or (Path(source) if is_run else Path("runs") / config.name), resume)


def start(config: RunConfig, directory: Path, resume: bool) -> None:
    """Runs a campaign with progress on the terminal, and writes its report."""
    from ray_matdesign.cli.console import RunDisplay
    from ray_matdesign.cli.termination import Termination
    from ray_matdesign.report import build_report
    from ray_matdesign.rl.run import start_run

    # Ray reports lost workers on stdout, and libraries say hello there; it is kept for the result.
    with Termination() as termination, redirect_stdout(sys.stderr):
        try:
            with workplace(config) as (executor, replay), RunDisplay() as display:
                start_run(
                    config, directory, executor, resume=resume, progress=display, replay=replay
                )
        except KeyboardInterrupt as interrupt:
            typer.echo(f"ray-matdesign: {_how_to_go_on(interrupt, directory)}", err=True)
            raise typer.Exit(TERMINATED if termination.came else INTERRUPTED) from interrupt
    typer.echo(f"report: {build_report(directory)}")


def _how_to_go_on(interrupt: KeyboardInterrupt, directory: Path) -> str:
    from ray_matdesign.rl.run import RunInterrupted

    if isinstance(interrupt, RunInterrupted):
        return str(interrupt)
    # While the workers were coming or, in a run that is there, going.
    if (directory / "config.yaml").exists():
        return f"stopped outside the loops; go on with --resume, in {directory}"
    return f"stopped before the run began; {directory} holds nothing to resume"


@contextmanager
def workplace(config: RunConfig) -> Iterator[tuple[Executor, Replay]]:
    """Executor and replay buffer of the configured backend."""
    from ray_matdesign.rl.workers import roles_of

    roles = roles_of(config)
    executor: Executor
    replay: Replay
    if config.execution.backend == "ray":
        from ray_matdesign.distributed.executor import RayExecutor
        from ray_matdesign.distributed.replay import RemoteReplay

        executor = RayExecutor(roles, config.execution)
        with closing(executor), closing(RemoteReplay(config.rl.replay)) as replay:
            yield executor, replay
    else:
        from ray_matdesign.rl.local import LocalExecutor
        from ray_matdesign.rl.replay import ReplayBuffer

        executor, replay = LocalExecutor(roles), ReplayBuffer(config.rl.replay)
        with closing(executor):
            yield executor, replay
