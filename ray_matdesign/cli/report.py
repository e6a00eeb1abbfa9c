"""``ray-matdesign report``: the page of a run."""

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
) -> None:
    """Write the report of a run: finished, going on, or broken off."""
    from ray_matdesign.report import build_report

    typer.echo(build_report(run, out))
