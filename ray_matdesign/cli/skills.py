"""``ray-matdesign skills``: what agents learnt, its evidence, and a person's say in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ray_matdesign.agents.skills.library import Library
    from ray_matdesign.agents.skills.trial import Workbench

app = typer.Typer(help="Browse, judge and exchange the skills of a library.", no_args_is_help=True)

Root = Annotated[
    Path,
    typer.Option(
        "--library", metavar="DIR", envvar="RAY_MATDESIGN_SKILLS", help="Folder of the library."
    ),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="Such as plane_spacing@1.0.0.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the skill's history.")]

COLUMNS = ("id", "status", "on offer", "uses", "solved", "at least", "at most", "reason")

_DEFAULT = Path("skills")


class NoLibrary(RuntimeError):
    """A folder without a library."""


@app.callback()
def _skills() -> None:
    """Browse, judge and exchange the skills of a library."""


@app.command("list")
def list_skills(
    library: Root = _DEFAULT,
    everything: Annotated[bool, typer.Option("--all", help="Retired ones as well.")] = False,
) -> None:
    """Table of skills, with the bounds of the chance that a task is solved with them (95 %)."""
    from ray_matdesign.agents.skills.skill import Status
    from ray_matdesign.agents.skills.statistics import lower_bound, upper_bound
    from ray_matdesign.cli.console import show_table

    rows = [
        (
            one.id,
            str(one.status),
            "yes" if one.current and one.status is not Status.RETIRED else "",
            one.uses,
            one.successes,
            round(lower_bound(one.successes, one.failures), 3),
            round(upper_bound(one.successes, one.failures), 3),
            one.reason,
        )
        for one in _opened(library).standings()
        if everything or one.status is not Status.RETIRED
    ]
    show_table(COLUMNS, rows)


@app.command()
def show(skill: Id, library: Root = _DEFAULT) -> None:
    """A skill with its code, its tests and all that speaks for or against it."""
    opened = _opened(library)
    loaded, now = opened.load(skill), opened.standing(skill)
    paired = now.attribution
    lines = [
        f"{now.id}: {now.status}, {now.reason}",
        f"  {now.signature}",
        f"  {now.description}",
        f"  from task {loaded.meta.source_task or '-'}, by {loaded.meta.model or '-'}, "
        f"{loaded.meta.created}; version before: {now.parent or '-'}",
        f"  {now.successes} of {now.uses} tasks solved with it; tried with and without: "
        f"{paired.gained} gained, {paired.lost} lost, {paired.both} solved either way, "
        f"{paired.neither} not at all",
        "  " + ", ".join(f"{name} {v}" for name, v in loaded.meta.environment.items()),
        "admission:",
        *(f"  {one.name}: {one.detail}" for one in now.checks),
        "history:",
        *(f"  {_time(at)} {what}: {reason}" for at, what, reason in opened.history(skill)),
        "tests:",
        *(
            f"  {one.inputs} -> {one.expected}{' (held out)' if one.held_out else ''}"
            for one in loaded.tests.cases
        ),
        *(f"  {one.inputs} with {one.changed}: {one.relation}" for one in loaded.tests.relations),
        "code:",
        loaded.source.rstrip(),
    ]
    typer.echo("\n".join(lines))


@app.command()
def verify(
    skill: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="By default every skill on offer.")
    ] = None,
    library: Root = _DEFAULT,
) -> None:
    """Run skills' tests with the packages installed here; status 1 if one fails and is retired."""
    from ray_matdesign.agents.skills.skill import Status
    from ray_matdesign.cli.console import show_table

    opened = _opened(library)
    on_offer = [
        one.id for one in opened.standings() if one.current and one.status is not Status.RETIRED
    ]
    with _workbench() as bench:
        found = [(one, opened.verify(one, bench)) for one in ([skill] if skill else on_offer)]
    show_table(("id", "result", "problem"), [(i, "FAILED" if p else "ok", p) for i, p in found])
    if any(problem for _, problem in found):
        raise typer.Exit(1)


@app.command()
def promote(skill: Id, library: Root = _DEFAULT, reason: Reason = "approved by a person") -> None:
    """Make a candidate active; the version that it supersedes is retired."""
    _opened(library).promote(skill, reason)


@app.command()
def retire(skill: Id, library: Root = _DEFAULT, reason: Reason = "by a person") -> None:
    """Take a skill off offer; its folder and its evidence stay."""
    _opened(library).retire(skill, reason)


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as plane_spacing.")],
    library: Root = _DEFAULT,
    reason: Reason = "by a person",
) -> None:
    """Retire the current version of a skill and offer the one before it."""
    typer.echo(_opened(library).roll_back(name, reason))


@app.command()
def weed(
    with_skills: Annotated[
        Path, typer.Argument(metavar="WITH", help="Folder of a run of deep+skills.")
    ],
    without: Annotated[
        Path, typer.Argument(metavar="WITHOUT", help="The same questions by deep, without them.")
    ],
    library: Root = _DEFAULT,
) -> None:
    """Retire the skills with which fewer tasks were solved than without."""
    from ray_matdesign.agents.benchmark.attribution import weeded
    from ray_matdesign.agents.benchmark.journal import read_run
    from ray_matdesign.cli.console import show_table

    gone = weeded(_opened(library), read_run(with_skills), read_run(without))
    show_table(("id", "reason"), gone)


@app.command("export")
def export_skill(
    skill: Id,
    out: Annotated[Path, typer.Argument(metavar="DIR", help="To put the skill's folder into.")],
    library: Root = _DEFAULT,
) -> None:
    """Copy a skill's folder (Agent Skills format), with its status and counts of this moment."""
    from ray_matdesign.agents.skills.folder import write_skill

    typer.echo(write_skill(_opened(library).load(skill), out))


@app.command("import")
def import_skill(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="With SKILL.md in it.")],
    library: Root = _DEFAULT,
    parent: Annotated[
        str | None,
        typer.Option("--parent", metavar="ID", help="Of the skill that it is a new version of."),
    ] = None,
) -> None:
    """Examine somebody's skill and take it in as a candidate; status 1 if it is refused.

    Its code is read, run in the sandbox against its own tests, and compared with the skills there
    are. What it says of its past uses does not count.
    """
    from ray_matdesign.agents.skills.folder import read_draft
    from ray_matdesign.agents.skills.library import Library
    from ray_matdesign.cli.console import notes

    draft = read_draft(folder).model_copy(update={"parent": parent})
    with _workbench() as bench:
        admitted = Library(library).admit(draft, bench)
    if admitted.id is None:
        notes().print(f"refused: {admitted.reason}", markup=False)
        raise typer.Exit(1)
    typer.echo(admitted.id)


def _opened(root: Path) -> Library:
    from ray_matdesign.agents.skills.library import Library

    if not (root / "skills.sqlite").exists():
        raise NoLibrary(f"{root}: no library of skills there; name one by --library")
    return Library(root)


@contextmanager
def _workbench() -> Iterator[Workbench]:
    from ray_matdesign.agents.sandbox.box import Box
    from ray_matdesign.agents.sandbox.tiers import best_tier
    from ray_matdesign.agents.skills.trial import Workbench

    with Box(best_tier(), ("numpy", "ray_matdesign.agents.skills.harness")) as box:
        yield Workbench(box)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
