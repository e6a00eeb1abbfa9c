"""``ray-matdesign report``: the page of a run, and its crystals for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A run directory.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write (default: RUN_DIR/report.html)."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            "-e",
            help="Also write the stable, unique and novel crystals, relaxed: FILE.extxyz, "
            "FILE.csv, FILE.parquet, or a folder for CIFs and tables.",
        ),
    ] = None,
) -> None:
    """Write the report of a run: finished, going on, or broken off."""
    from ray_matdesign.report import build_report, check_export, export_hits

    if export is not None:
        check_export(export)
    typer.echo(build_report(run, out))
    if export is not None:
        export_hits(run, export)
        typer.echo(export)
