"""``ray-matdesign train``: the generator, from crystals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ray_matdesign.cli.run import Backend
from ray_matdesign.cli.threads import use_threads

if TYPE_CHECKING:
    from ray_matdesign.config.schema import TrainSettings
    from ray_matdesign.generators.diffusion.artifact import Artifact
    from ray_matdesign.generators.diffusion.training import Progress


class WouldOverwrite(ValueError):
    """A folder that holds another training."""


def train(
    data: Annotated[
        Path,
        typer.Argument(
            help="Crystals: CSV with a cif column, extxyz, CIF, or a folder; or the "
            "prepared.safetensors of another training."
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings to change, e.g. steps=20000 width=192."),
    ] = None,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="YAML file of training settings.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for weights, metrics and checkpoints.")
    ] = Path("runs/training"),
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            metavar="COLUMN",
            help="Property to condition on: a column of the CSV file, empty where unknown. May be "
            "given several times.",
        ),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--start-from", metavar="FOLDER", help="Trained weights to begin with, or 'packaged'."
        ),
    ] = None,
    backend: Annotated[
        Backend | None, typer.Option("--backend", help="Instead of execution.backend.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Processes or GPUs, instead of execution.workers."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", min=1, help="Of each process, instead of execution.cpus_per_worker."
        ),
    ] = None,
    prepare_only: Annotated[
        bool,
        typer.Option("--prepare-only", help="Write prepared.safetensors and stop."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last checkpoint.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print every setting and stop.")
    ] = False,
) -> None:
    """Train the generator; its weights serve as generator.checkpoint."""
    from ray_matdesign.config.loading import dump, load_settings, read_source
    from ray_matdesign.config.schema import TrainSettings

    changes = [*(overrides or ())]
    changes += [f"execution.backend={backend}"] if backend else []
    changes += [f"execution.workers={workers}"] if workers is not None else []
    changes += [f"execution.cpus_per_worker={threads}"] if threads is not None else []
    where, text = ("defaults", "{}") if settings_file is None else read_source(settings_file)
    settings = load_settings(TrainSettings, text, where, changes)
    if dry_run:
        typer.echo(dump(settings), nl=False)
        return

    from ray_matdesign.cli.prepare import prepared_set
    from ray_matdesign.generators.diffusion.artifact import CheckpointError
    from ray_matdesign.generators.diffusion.outputs import CHECKPOINT_NAME

    if not resume and (out / CHECKPOINT_NAME).exists():
        raise WouldOverwrite(f"{out} holds a training already; add --resume, or choose another")
    if resume and not (out / CHECKPOINT_NAME).exists():
        raise CheckpointError(f"nothing to resume: no {CHECKPOINT_NAME} in {out}")
    prepared = prepared_set(data, settings, conditions or (), out, resume=resume)
    if prepare_only:
        typer.echo(f"prepared: {prepared}")
        return
    _train(prepared, settings, out, resume, start_from)
    typer.echo(f"weights: {out}")


def _train(
    prepared: Path, settings: TrainSettings, out: Path, resume: bool, start_from: str | None
) -> None:
    from ray_matdesign.cli.console import progress_bar
    from ray_matdesign.generators.diffusion.artifact import load_artifact

    start = None if start_from is None or resume else load_artifact(start_from)
    last = 0
    try:
        with progress_bar("training", settings.steps) as bar:

            def show(step: int, figures: Mapping[str, float]) -> None:
                nonlocal last
                last = step
                label = f"training, loss {figures['total']:.3f}"
                rate = f"{figures['crystals_per_s']:.0f} crystals/s"
                bar.update(bar.task_ids[0], completed=step, description=f"{label}, {rate}")

            _train_where_told(prepared, settings, out, resume, start, show)
    except KeyboardInterrupt as interrupt:
        typer.echo(
            f"ray-matdesign: stopped at step {last}; go on from the last checkpoint in {out} with "
            "--resume",
            err=True,
        )
        raise typer.Exit(130) from interrupt


def _train_where_told(
    prepared: Path,
    settings: TrainSettings,
    out: Path,
    resume: bool,
    start: Artifact | None,
    show: Progress,
) -> None:
    from ray_matdesign.generators.diffusion.data import TrainingSet

    if settings.execution.backend == "ray":
        from ray_matdesign.distributed.training import train_on_ray

        train_on_ray(prepared, settings, out, resume=resume, start_from=start, progress=show)
    else:
        from ray_matdesign.generators.diffusion.training import train as train_here

        use_threads(max(1, int(settings.execution.cpus_per_worker)))
        data = TrainingSet.load(prepared)
        train_here(data, settings, out, resume=resume, start_from=start, progress=show)
