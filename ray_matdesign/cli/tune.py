"""``ray-matdesign tune``: many campaigns that differ in some settings."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ray_matdesign.cli.run import INTERRUPTED, TERMINATED

if TYPE_CHECKING:
    from ray_matdesign.config.trials import Sweep
    from ray_matdesign.tune.results import Results


class NothingToResume(ValueError):
    """A sweep's folder given as if it were a file."""


def tune(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|SWEEP_DIR",
            help="A YAML file of a sweep, as in [b]tune_configs/[/b], or, with --resume, the "
            "folder of a sweep.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="Settings to change: of the sweep, e.g. trials=8, or of all its runs, e.g. "
            "rl.loops=10.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the sweep (default: sweeps/NAME).")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the trials that have not ended.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the trials and stop.")] = False,
) -> None:
    """Compare settings over many runs, and bring them to a Pareto front."""
    from ray_matdesign.config.trials import load_sweep, read_sweep

    is_sweep = (Path(source) / "sweep.yaml").is_file()
    if is_sweep and overrides:
        raise NothingToResume(f"{source} is a sweep already; its settings cannot be changed")
    sweep = read_sweep(Path(source)) if is_sweep else load_sweep(source, overrides or ())
    if dry_run:
        _list(sweep)
        return
    if is_sweep and not resume:
        raise NothingToResume(f"{source} is a sweep already; add --resume to go on with it")
    default = Path(source) if is_sweep else Path("sweeps") / sweep.config.name
    _tell(_run(sweep, out or default, resume))


def _run(sweep: Sweep, folder: Path, resume: bool) -> Results:
    from ray_matdesign.cli.termination import Termination
    from ray_matdesign.tune import run_sweep

    def say(line: str) -> None:
        typer.echo(line, err=True)

    # Ray's and Tune's own words go to stderr; stdout is kept for the result.
    with Termination() as termination, redirect_stdout(sys.stderr):
        try:
            return run_sweep(sweep, folder, resume=resume, say=say)
        except KeyboardInterrupt as interrupt:
            told = str(interrupt) or f"stopped; go on with --resume, in {folder}"
            typer.echo(f"ray-matdesign: {told}", err=True)
            raise typer.Exit(TERMINATED if termination.came else INTERRUPTED) from interrupt


def _tell(results: Results) -> None:
    for outcome in results.failed:
        typer.echo(f"ray-matdesign: trial {outcome.number} failed: {outcome.reason}", err=True)
    typer.echo(f"best trial: {results.best}, in {results.folder / 'best.yaml'}")
    typer.echo(f"report: {results.report}")


def _list(sweep: Sweep) -> None:
    """Lists the trials that are known beforehand."""
    from ray_matdesign.tune.space import plan

    planned = plan(sweep)
    for number, changes in enumerate(planned, start=1):
        config = sweep.run_config(changes, number)
        told = " ".join(f"{key}={_short(value)}" for key, value in changes.items())
        typer.echo(f"{number:5d}  loops={config.rl.loops} seed={config.seed}  {told}")
    more = (sweep.config.trials or 0) - len(planned)
    if more > 0:
        typer.echo(f"       {more} more, bred from those before them")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_short(inner)}" for key, inner in value.items()) + "}"
    return str(value)
