"""``ray-matdesign cascade``: questions answered by programs that agents write and run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ray_matdesign.cli import cascade_docs, laboratory, skills, studies

if TYPE_CHECKING:
    from ray_matdesign.agents.benchmark.journal import Finished
    from ray_matdesign.agents.benchmark.statistics import Summary
    from ray_matdesign.agents.cascade.building import WorkshopSettings
    from ray_matdesign.agents.cascade.phases import Step
    from ray_matdesign.agents.cascade.task import Solution, Task

app = typer.Typer(
    help="Have questions of materials science answered by programs that agents write and run.",
    no_args_is_help=True,
)
app.add_typer(skills.app, name="skills")
app.add_typer(laboratory.app, name="lab")
app.add_typer(cascade_docs.app, name="docs")
app.add_typer(studies.app, name="study")

NO_ANSWER = 3
_LONGEST = 2_000_000


class NotAsked(ValueError):
    """A question that cannot be put."""


@app.callback()
def _cascade() -> None:
    """Have questions of materials science answered by programs that agents write and run."""


@app.command()
def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION")],
    answer_type: Annotated[
        str,
        typer.Option("--type", help="number, integer, string, boolean, list or object."),
    ] = "number",
    unit: Annotated[str, typer.Option(help="Of the answer, such as eV/atom.")] = "",
    mode: Annotated[
        str | None,
        typer.Option(help="native, search_debug, deep (default) or deep+skills."),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", help="A text file the program may read; repeat for more."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Of the language model; by default http://127.0.0.1:8000/v1."),
    ] = None,
    token_env: Annotated[
        str | None,
        typer.Option(metavar="VARIABLE", help="Environment variable with the model's token."),
    ] = None,
    library: Annotated[
        Path | None, typer.Option("--skills", help="Folder of the skill library, for deep+skills.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the model's sampling.")] = 0,
    settings: Annotated[
        Path | None,
        typer.Option("--settings", help="YAML file with all settings; options come on top."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Such as solver.abilities.debuggers=1; repeat."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where steps are kept; asked again, it goes on.")
    ] = Path("cascade"),
    show_code: Annotated[bool, typer.Option("--code", help="Print the program as well.")] = False,
) -> None:
    """Ask one question; the answer goes to stdout as JSON, the steps to stderr.

    Status 3 means that no answer was found. The same question in the same folder goes on where it
    was broken off.
    """
    from ray_matdesign.agents.cascade.building import Workshop

    task = _task(question, answer_type, unit, files or [], seed)
    wanted = {"llm.default.url": url, "llm.default.token_env": token_env, "solver.mode": mode}
    wanted["skills"] = None if library is None else str(library)
    made = _settings(settings, wanted, changes or [])
    with Workshop(made) as workshop:
        solution = workshop.solver(out, listener=_tell).solve(task)
    _show(solution, show_code)


@app.command()
def bench(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="YAML file with the settings of a benchmark.")
    ],
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings to change, e.g. repetitions=1."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where attempts are kept; run again, it goes on.")
    ] = Path("benchmark"),
) -> None:
    """Ask the questions of a benchmark in each mode, and print the table; failures count."""
    from ray_matdesign.agents.benchmark.asking import plan_of, questions
    from ray_matdesign.agents.benchmark.journal import Journal
    from ray_matdesign.agents.benchmark.running import Key, run
    from ray_matdesign.agents.benchmark.settings import BenchmarkSettings
    from ray_matdesign.agents.benchmark.statistics import breakdown
    from ray_matdesign.agents.benchmark.tables import table
    from ray_matdesign.config.loading import Override, apply_overrides, read_overlay
    from ray_matdesign.distributed.lanes import lanes_for

    layers = [*read_overlay(source), *map(Override.parse, changes or [])]
    asked = apply_overrides(BenchmarkSettings, {}, str(source), layers)
    items = questions(asked, partial(typer.echo, err=True))
    key = Key()
    summaries: dict[str, list[Summary]] = {}
    for mode in asked.modes:
        journal = Journal(out / mode, plan_of(asked, mode))
        with lanes_for(asked, mode) as lanes:
            finished = run(
                items,
                lanes,
                journal,
                repetitions=asked.repetitions,
                seed=asked.seed,
                key=key,
                tell=partial(_tell_attempt, mode),
            )
        summaries[mode] = breakdown(finished)
    typer.echo(table(summaries), nl=False)


def _tell_attempt(mode: str, one: Finished) -> None:
    typer.echo(f"{mode:12s} {one.task} {one.repetition} {one.outcome}", err=True)


def _settings(
    path: Path | None, wanted: dict[str, str | None], changes: list[str]
) -> WorkshopSettings:
    from ray_matdesign.agents.cascade.building import WorkshopSettings
    from ray_matdesign.config.loading import (
        COMMAND_LINE,
        Override,
        apply_overrides,
        path_of,
        read_overlay,
    )

    given = [] if path is None else read_overlay(path)
    given += [Override(path_of(key), value) for key, value in wanted.items() if value is not None]
    given += map(Override.parse, changes)
    return apply_overrides(WorkshopSettings, {}, str(path or COMMAND_LINE), given)


def _task(question: str, answer_type: str, unit: str, files: list[Path], seed: int) -> Task:
    import hashlib

    from ray_matdesign.agents.cascade.task import Task
    from ray_matdesign.config.loading import apply_overrides

    texts: dict[str, str] = {}
    for path in files:
        if path.stat().st_size > _LONGEST:
            raise NotAsked(f"{path}: larger than {_LONGEST} bytes")
        try:
            texts[path.name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise NotAsked(f"{path}: not a text file") from error
    given: dict[str, Any] = {
        "question": question,
        "answer_type": answer_type,
        "unit": unit,
        "files": texts,
        "seed": seed,
    }
    name = hashlib.sha256(repr(sorted(given.items())).encode()).hexdigest()[:12]
    return apply_overrides(Task, {"id": f"ask-{name}", **given}, "command line", ())


def _tell(step: Step) -> None:
    typer.echo(f"{step.phase:24s} {step.kind:6s} {step.text}", err=True)


def _show(solution: Solution, show_code: bool) -> None:
    import json

    cost = solution.cost
    tokens = cost.prompt_tokens + cost.completion_tokens
    typer.echo(
        f"{cost.requests} questions, {tokens} tokens, {cost.runs} runs, {cost.seconds:.1f} s",
        err=True,
    )
    if not solution.solved:
        typer.echo(f"ray-matdesign: no answer: {solution.reason}", err=True)
        raise typer.Exit(NO_ANSWER)
    if show_code:
        typer.echo(solution.code)
    typer.echo(json.dumps(solution.answer, ensure_ascii=False))
