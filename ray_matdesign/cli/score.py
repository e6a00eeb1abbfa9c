"""``ray-matdesign score``: properties, and the reward a recipe would give."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


class NothingScored(ValueError):
    """Nothing to score by, or no crystal that could be."""


def score(
    files: Annotated[
        list[Path], typer.Argument(help="CIF, extxyz, POSCAR or CSV files, or folders of them.")
    ],
    by: Annotated[
        list[str] | None,
        typer.Option("--by", "-b", help="Scorer, or package.module:factory; may be repeated."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Recipe or YAML file: its objective, potential and reference set."),
    ] = None,
    relax: Annotated[
        bool, typer.Option("--relax", help="Relax first, as a run does before it scores.")
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder of values to look up and add to, as the setting cache of a run."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the table to this CSV file.")
    ] = None,
) -> None:
    """Compute properties of crystals; those that fail are named, and the others go on."""
    from ray_matdesign.cli.console import notes, show_table, write_table
    from ray_matdesign.cli.inputs import complain, read_files
    from ray_matdesign.cli.scoring import prepare_by_name, prepare_recipe

    if bool(by) == bool(recipe):
        raise NothingScored("give either --by SCORER or --recipe RECIPE")
    entries = read_files(files)
    judge = prepare_recipe(recipe, cache) if recipe else prepare_by_name(by or [], cache)
    verdicts = judge.score([crystal for _, crystal in entries], relax=relax)
    rows = []
    for (name, _), verdict in zip(entries, verdicts, strict=True):
        for problem in verdict.problems:
            complain(name, problem)
        if verdict.row:
            rows.append([name, *verdict.row])
    if not rows:
        raise NothingScored(f"none of {len(entries)} crystals could be scored")
    if judge.cache is not None:
        recalled = sum(verdict.recalled for verdict in verdicts)
        computed = sum(verdict.computed for verdict in verdicts)
        tally = f"cache {judge.cache}: {recalled} values recalled, {computed} computed"
        notes().print(tally, markup=False)
    columns = ["name", *judge.columns]
    if out is None:
        show_table(columns, rows)
    else:
        write_table(out, columns, rows)
        typer.echo(out)
