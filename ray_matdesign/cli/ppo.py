"""``ray-matdesign ppo``: crystals built step by step by an agent that PPO trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ray_matdesign.cli.run import Backend

if TYPE_CHECKING:
    from ray_matdesign.rllib.training import Progress


class NoRLlib(ImportError):
    """The packages that RLlib needs are not installed."""


def ppo(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|FILE",
            help="What to design for: a recipe ([b]ray-matdesign config list[/b]) or a YAML file.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings to change, e.g. seed=1."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run directory (default: runs/ppo-NAME).")
    ] = None,
    iterations: Annotated[
        int, typer.Option("--iterations", "-n", min=1, help="Updates of the agent, in all.")
    ] = 60,
    crystals: Annotated[
        int, typer.Option("--crystals", min=1, help="Crystals built and judged for each update.")
    ] = 32,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last checkpoint.")
    ] = False,
    backend: Annotated[
        Backend | None, typer.Option("--backend", help="Instead of execution.backend.")
    ] = None,
) -> None:
    """Teach an agent to choose structure types and elements: a baseline without diffusion."""
    from ray_matdesign.config.loading import load_run_config
    from ray_matdesign.report import build_report

    changes = [*(overrides or ()), *([f"execution.backend={backend}"] if backend else ())]
    config = load_run_config(source, changes)
    directory = out or Path("runs") / f"ppo-{config.name}"
    try:
        from ray_matdesign.rllib.training import train_ppo
    except ModuleNotFoundError as error:
        raise NoRLlib(f"RLlib needs {error.name}: pip install 'ray_matdesign[rllib]'") from error
    train_ppo(
        config,
        directory,
        iterations=iterations,
        crystals=crystals,
        resume=resume,
        watch=_tell,
    )
    typer.echo(f"report: {build_report(directory)}")


def _tell(progress: Progress) -> None:
    typer.echo(
        f"iteration {progress.iteration}: mean reward {progress.earned_mean:.3f}, "
        f"{progress.crystals} crystals, {progress.evaluations} evaluations, "
        f"entropy {progress.entropy:.2f}",
        err=True,
    )
