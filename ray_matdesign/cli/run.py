"""``ray-matdesign run``: a design campaign."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ray_matdesign.config.schema import RunConfig
    from ray_matdesign.rl.executor import Executor
    from ray_matdesign.rl.log import RunLog
    from ray_matdesign.rl.mirror import Mirror
    from ray_matdesign.rl.progress import Progress
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
            "directory or the URI of a run.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings to change, e.g. rl.lr=1e-5 or seed=1."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="Run directory (default: runs/NAME), or a URI such as s3://bucket/runs/NAME.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last checkpoint.")
    ] = False,
    overlays: Annotated[
        list[Path] | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="YAML file with settings on top of the recipe's; several apply in turn.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print every setting and stop.")
    ] = False,
    backend: Annotated[
        Backend | None, typer.Option("--backend", help="Instead of execution.backend.")
    ] = None,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Progress on stderr as JSON lines.")
    ] = False,
) -> None:
    """Teach the generator to make crystals with the property asked for."""
    from ray_matdesign.config.loading import dump, load_run_config
    from ray_matdesign.rl.storage import folder_of

    changes = [*(overrides or ()), *([f"execution.backend={backend}"] if backend else ())]
    if folder_of(source) is None:
        resume_from(source, changes, overlays or (), resume, log_json=log_json)
        return
    held = Path(source) / "config.yaml"
    is_run = held.is_file()
    config = load_run_config(held if is_run else source, changes, overlays=overlays or ())
    if dry_run:
        typer.echo(dump(config), nl=False)
        return
    if is_run and not resume:
        raise NothingToResume(f"{source} is a run already; add --resume to go on with it")
    directory = folder_of(out) if out else Path(source) if is_run else Path("runs") / config.name
    if directory is not None:
        start(config, directory, resume, log_json=log_json)
        return
    assert out is not None
    with elsewhere(out) as (mirror, found):
        if found and not resume:
            raise NothingToResume(
                f"{out} holds a run already; continue it with --resume, or choose another place"
            )
        if resume and not found:
            raise NothingToResume(f"{out} holds no run to resume; start one without --resume")
        start(config, mirror.folder, resume, mirror, log_json=log_json)


def resume_from(
    place: str,
    changes: Sequence[str],
    overlays: Sequence[Path],
    resume: bool,
    *,
    log_json: bool,
) -> None:
    """Goes on with a run that is kept at a URI."""
    from ray_matdesign.config.loading import load_run_config

    with elsewhere(place) as (mirror, found):
        if not found:
            raise NothingToResume(f"{place} holds no run to resume")
        if not resume:
            raise NothingToResume(f"{place} is a run already; add --resume to go on with it")
        config = load_run_config(mirror.folder / "config.yaml", changes, overlays=overlays)
        start(config, mirror.folder, True, mirror, log_json=log_json)


@contextmanager
def elsewhere(place: str) -> Iterator[tuple[Mirror, bool]]:
    """A run kept at a URI, in a folder of this machine; and whether there is one yet."""
    from ray_matdesign.rl.mirror import mirrored
    from ray_matdesign.rl.storage import open_storage

    storage = open_storage(place)
    with (
        tempfile.TemporaryDirectory(prefix="ray-matdesign-") as folder,
        mirrored(Path(folder), storage) as mirror,
    ):
        yield mirror, mirror.fetch()


def start(
    config: RunConfig,
    directory: Path,
    resume: bool,
    mirror: Mirror | None = None,
    *,
    log_json: bool = False,
) -> None:
    """Runs a campaign with progress on the terminal, and writes its report.

    Args:
        config: Of the run.
        directory: Where it works.
        resume: Go on after the last checkpoint.
        mirror: Where it is kept, if not there.
        log_json: Write the log to stderr, in place of the display.
    """
    from ray_matdesign.cli.termination import Termination
    from ray_matdesign.report import build_report
    from ray_matdesign.rl.log import RunLog
    from ray_matdesign.rl.run import start_run

    # Ray reports lost workers on stdout, and libraries say hello there; it is kept for the result.
    with Termination() as termination, redirect_stdout(sys.stderr):
        try:
            with (
                RunLog(sys.stderr if log_json else None) as log,
                workplace(config) as (executor, replay),
                _watchers(config, log, shown=not log_json) as progress,
            ):
                start_run(
                    config,
                    directory,
                    executor,
                    resume=resume,
                    progress=progress,
                    replay=replay,
                    copy=mirror,
                )
        except KeyboardInterrupt as interrupt:
            where = mirror.place if mirror else str(directory)
            advice = _how_to_go_on(interrupt, directory).replace(str(directory), where)
            if not log_json:  # its last line has said so
                typer.echo(f"ray-matdesign: {advice}", err=True)
            raise typer.Exit(TERMINATED if termination.came else INTERRUPTED) from interrupt
    report = build_report(directory)
    if mirror:
        mirror.checkpoint_written()
    typer.echo(f"report: {f'{mirror.place}/{report.name}' if mirror else report}")


def _how_to_go_on(interrupt: KeyboardInterrupt, directory: Path) -> str:
    from ray_matdesign.rl.run import RunInterrupted

    if isinstance(interrupt, RunInterrupted):
        return str(interrupt)
    # While the workers were coming or, in a run that is there, going.
    if (directory / "config.yaml").exists():
        return f"stopped outside the loops; go on with --resume, in {directory}"
    return f"stopped before the run began; {directory} holds nothing to resume"


@contextmanager
def _watchers(config: RunConfig, log: RunLog, *, shown: bool) -> Iterator[Progress]:
    """Whoever follows the run: its log, Ray's metrics if there is a Ray, and the terminal."""
    from ray_matdesign.cli.console import RunDisplay
    from ray_matdesign.rl.progress import Several

    watchers: list[Progress] = [log]
    if config.execution.backend == "ray":
        from ray_matdesign.distributed.metrics import RunMetrics

        watchers.append(RunMetrics())
    if not shown:
        yield Several(*watchers)
        return
    with RunDisplay() as display:
        yield Several(*watchers, display)


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
