"""``ray-matdesign cascade lab``: plan syntheses, and run campaigns at a laboratory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ray_matdesign.agents.laboratory.client import HttpLab
    from ray_matdesign.agents.laboratory.interface import Lab
    from ray_matdesign.agents.laboratory.journal import Done

app = typer.Typer(help="Plan syntheses; run campaigns at a laboratory.", no_args_is_help=True)

NOT_FOUND = 3
"""Exit status of a campaign that ended without the target."""

_HOURS_PER_LOOK = 0.5
_URL_HELP = "Of a laboratory, such as http://127.0.0.1:8000/lab."
_Url = Annotated[str, typer.Argument(metavar="URL", help=_URL_HELP)]
_TokenEnv = Annotated[
    str | None,
    typer.Option("--token-env", metavar="VARIABLE", help="Variable with the bearer token."),
]


class NoSuchToken(ValueError):
    """An environment variable that is to hold a token and is not set."""


@app.callback()
def _laboratory() -> None:
    """Plan syntheses; run campaigns at a laboratory."""


@app.command()
def plan(
    target: Annotated[str, typer.Argument(metavar="FORMULA", help="Such as BaTiO3.")],
    most: Annotated[int, typer.Option("--most", min=1, help="Routes to show.")] = 12,
) -> None:
    """Rank the routes to a compound: precursors, balanced reaction, driving force."""
    from ray_matdesign.agents.laboratory.planning import routes
    from ray_matdesign.cli.console import show_table
    from ray_matdesign.stability.reference import ReferenceSet

    found = routes(target, reference=ReferenceSet.load("packaged"))
    rows = [
        (
            rank,
            str(route.reaction),
            route.atmosphere,
            None if route.driving_ev_per_atom is None else round(route.driving_ev_per_atom, 3),
            route.competing,
            " ".join(route.hazards) or None,
            round(route.score, 3),
        )
        for rank, route in enumerate(found[:most], 1)
    ]
    columns = ("rank", "reaction", "atmosphere", "eV/atom", "competing", "hazards", "score")
    show_table(columns, rows)


@app.command()
def run(
    target: Annotated[str, typer.Argument(metavar="FORMULA", help="A reference phase.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Of the campaign's journal.")],
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help=f"{_URL_HELP} Without, one is simulated here."),
    ] = None,
    token_env: _TokenEnv = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the simulated one.")] = 0,
    budget: Annotated[int, typer.Option("--budget", min=1, help="Experiments, at most.")] = 30,
    goal: Annotated[float, typer.Option("--goal", min=0.01, max=1.0, help="Purity.")] = 0.92,
    conductivity: Annotated[
        bool, typer.Option("--conductivity", help="Measure the best sample's impedance as well.")
    ] = False,
) -> None:
    """Run a campaign until the compound is made; the same command goes on with one that stopped.

    The status is 3 if the budget was spent without it.
    """
    from ray_matdesign.agents.laboratory.campaign import Campaign
    from ray_matdesign.agents.laboratory.journal import CampaignSettings
    from ray_matdesign.cli.console import notes

    settings = CampaignSettings(target=target, goal=goal, budget=budget, conductivity=conductivity)
    with _lab(url, token_env, out, seed) as (lab, wait):
        outcome = Campaign(settings, lab, out, wait=wait, tell=_show).run()
    if (conducted := outcome.conducted) is not None:
        value = conducted.conductivity_s_per_cm
        told = conducted.reason if value is None else f"{value:.3g} S/cm"
        notes().print(f"conductivity of {conducted.sample}: {told}", markup=False)
    if outcome.found is None:
        typer.echo(f"{target}: not found in {len(outcome.experiments)} experiments")
        raise typer.Exit(NOT_FOUND)
    made = outcome.found
    typer.echo(
        f"{target}: {made.sample}, purity {made.purity:.3f}, from {' + '.join(made.precursors)} at "
        f"{made.temperature_c:g} C for {made.hold_h:g} h, experiment {made.number}"
    )


@app.command()
def jobs(url: _Url, token_env: _TokenEnv = None) -> None:
    """List a laboratory's jobs."""
    from ray_matdesign.cli.console import show_table

    columns = ("job", "kind", "state", "submitted_h", "started_h", "ended_h", "device", "reason")
    with _http(url, token_env) as lab:
        found = lab.jobs()
    rows = [
        (j.id, j.kind, j.state, j.submitted_h, j.started_h, j.ended_h, j.device, j.reason or None)
        for j in found
    ]
    show_table(columns, rows)


@app.command()
def approve(
    url: _Url,
    job: Annotated[str, typer.Argument(metavar="JOB", help="Such as job-000012.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who agrees, for the record.")],
    token_env: Annotated[
        str,
        typer.Option("--token-env", metavar="VARIABLE", help="Variable with the staff's token."),
    ],
) -> None:
    """Agree to a job that awaits approval."""
    with _http(url, token_env) as lab:
        approved = lab.approve(job, by)
    typer.echo(f"{approved.id}: {approved.state}: {approved.reason}")


@contextmanager
def _lab(
    url: str | None, token_env: str | None, folder: Path, seed: int
) -> Iterator[tuple[Lab, Callable[[], None]]]:
    """The laboratory, and how to wait for it."""
    import time

    if url is not None:
        with _http(url, token_env) as lab:
            yield lab, lambda: time.sleep(2.0)
        return
    from ray_matdesign.agents.laboratory.book import StoredClock
    from ray_matdesign.agents.laboratory.simulated import SimulatedLab

    folder.mkdir(parents=True, exist_ok=True)
    clock = StoredClock(folder / "clock.json")
    here = SimulatedLab(folder / "laboratory.sqlite", seed=seed, clock=clock)
    try:
        yield here, lambda: clock.advance(_HOURS_PER_LOOK)
    finally:
        here.close()


@contextmanager
def _http(url: str, token_env: str | None) -> Iterator[HttpLab]:
    import os

    from ray_matdesign.agents.laboratory.client import HttpLab

    token = None
    if token_env is not None:
        token = os.environ.get(token_env, "").strip()
        if not token:
            raise NoSuchToken(f"the environment variable {token_env} is not set")
    lab = HttpLab(url, token)
    try:
        yield lab
    finally:
        lab.close()


def _show(done: Done) -> None:
    from ray_matdesign.cli.console import notes

    what = f"{' + '.join(done.precursors)}, {done.temperature_c:g} C, {done.hold_h:g} h"
    phases = ", ".join(f"{phase} {share:.0%}" for phase, share in done.shares.items())
    notes().print(f"{done.number}: {what}: {phases or done.reason}", markup=False)
