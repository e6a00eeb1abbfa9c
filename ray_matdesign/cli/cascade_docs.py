"""``ray-matdesign cascade docs``: the documentation index of this environment."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Build and ask the documentation index.", no_args_is_help=True)


@app.callback()
def _docs() -> None:
    """Build and ask the documentation index."""


@app.command()
def build(
    static: Annotated[
        bool,
        typer.Option("--static", help="Read sources only; needs no sandbox, leaves out compiled."),
    ] = False,
    cache: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where to; by default the user's cache.")
    ] = None,
) -> None:
    """Index the installed packages; a minute or so, once. Interrupted, the same command goes on."""
    from ray_matdesign.agents.documentation.building import build_index
    from ray_matdesign.agents.documentation.index import DocumentationIndex
    from ray_matdesign.agents.sandbox.box import Box
    from ray_matdesign.agents.sandbox.tiers import best_tier
    from ray_matdesign.cli.console import notes
    from ray_matdesign.config.documentation import DocumentationSettings

    settings = DocumentationSettings(cache=cache)

    def progress(what: str, done: int, total: int) -> None:
        notes().print(f"{done}/{total} {what}", markup=False)

    if static:
        path = build_index(settings, None, progress)
    else:
        with Box(best_tier()) as box:
            path = build_index(settings, box, progress)
    index = DocumentationIndex(path)
    packages = ", ".join(f"{name} {version}" for name, version in index.versions.items())
    notes().print(f"{index.size} symbols of {packages}", markup=False)
    typer.echo(path)


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="In words; names may be among them.")],
    package: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only of this package, such as ase.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most symbols.")] = 5,
    cache: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the index is; see build.")
    ] = None,
) -> None:
    """Find functions, classes and methods that do what you ask for."""
    from ray_matdesign.agents.documentation.building import find_index
    from ray_matdesign.agents.documentation.index import DocumentationIndex
    from ray_matdesign.cli.console import show_table
    from ray_matdesign.config.documentation import DocumentationSettings

    index = DocumentationIndex(find_index(DocumentationSettings(cache=cache)))
    hits = [hit.record for hit in index.search(question, limit, package=package)]
    rows = [(one.name, one.signature, one.summary) for one in hits]
    show_table(("name", "signature", "summary"), rows)
