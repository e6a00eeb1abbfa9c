"""``ray-matdesign config``: the recipes, and settings in full."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="List recipes, show resolved settings, check a file.", no_args_is_help=True)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings to change, e.g. rl.lr=1e-5."),
]


@app.command("list")
def list_() -> None:
    """List the recipes that ship with the package."""
    from ray_matdesign.cli.console import show_table
    from ray_matdesign.config.loading import list_recipes

    show_table(["recipe", "designs for"], [(r.name, r.summary) for r in list_recipes()])


@app.command()
def show(
    source: Annotated[str, typer.Argument(metavar="RECIPE|FILE", help="What to show.")],
    overrides: Overrides = None,
) -> None:
    """Print every setting of a recipe or file, defaults included."""
    from ray_matdesign.config.loading import dump, load_run_config

    typer.echo(dump(load_run_config(source, overrides or ())), nl=False)


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="YAML files to check.")],
) -> None:
    """Check files; every problem is named with its file and key."""
    from ray_matdesign.config.loading import ConfigError, load_run_config

    problems = []
    for file in files:
        try:
            load_run_config(file)
        except ConfigError as error:
            problems.append(str(error))
        else:
            typer.echo(f"{file}: valid")
    if problems:
        raise ConfigError("\n".join(problems))
