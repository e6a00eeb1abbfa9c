"""``ray-matdesign sandbox``: whether generated code can be run safely on this machine."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ray_matdesign.agents.sandbox.ground import Tier
    from ray_matdesign.agents.sandbox.hostile import Finding

app = typer.Typer(help="Check the sandbox for generated code.", no_args_is_help=True)

COLUMNS = ("tier", "attack", "ended", "result", "problem")


class NoSandbox(RuntimeError):
    """No tier works here."""


@app.callback()
def _sandbox() -> None:
    """Check the sandbox for generated code."""


@app.command()
def check(
    tier: Annotated[
        str | None,
        typer.Option(metavar="TIER", help="bubblewrap or landlock; by default every one there is."),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this attack; repeat for more."),
    ] = None,
) -> None:
    """Find out which walls can be built here and attack them; status 1 if one does not hold.

    The attacks are small: none takes more than a second of processor time or 64 MiB.
    """
    from ray_matdesign.agents.sandbox.ground import Tier
    from ray_matdesign.agents.sandbox.hostile import attacks
    from ray_matdesign.agents.sandbox.tiers import TRUSTED_FIRST, probe
    from ray_matdesign.cli.console import notes, show_table

    if tier is not None and tier not in list(Tier):
        raise typer.BadParameter(f"{tier}: not one of {', '.join(Tier)}", param_hint="--tier")
    known = [one.name for one in attacks()]
    unknown = [name for name in attack or () if name not in known]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]}: no such attack", param_hint="--attack")
    probes = [probe(one) for one in TRUSTED_FIRST if tier in (None, one)]
    for found in probes:
        state = f"not here: {found.problem}" if found.problem else " + ".join(found.walls)
        notes().print(f"{found.tier}: {state}", markup=False)
    working = [found.tier for found in probes if not found.problem]
    if not working:
        raise NoSandbox("no sandbox works on this machine, so no generated code is run on it")
    findings = _attack(working, attack or known)
    show_table(COLUMNS, [_row(finding) for finding in findings])
    failed = sum(bool(finding.problems) for finding in findings)
    verdict = f"{failed} came through" if failed else "all held"
    notes().print(f"{len(findings)} attacks on {' and '.join(working)}: {verdict}", markup=False)
    if failed:
        raise typer.Exit(1)


def _attack(tiers: Sequence[Tier], names: Collection[str]) -> list[Finding]:
    from ray_matdesign.agents.sandbox.box import Box
    from ray_matdesign.agents.sandbox.hostile import PRELOAD, Surroundings, attacks, launch
    from ray_matdesign.cli.console import progress_bar

    chosen = [one for one in attacks() if one.name in names]
    findings = []
    with progress_bar("attacking", len(tiers) * len(chosen)) as bar, Surroundings() as around:
        for tier in tiers:
            with Box(tier, PRELOAD) as box:
                for one in chosen:
                    if one.possible(tier):
                        findings.append(launch(box, one, around))
                    bar.advance(bar.task_ids[0])
    return findings


def _row(finding: Finding) -> tuple[object, ...]:
    from ray_matdesign.agents.sandbox.hostile import describe

    result = "CAME THROUGH" if finding.problems else "held"
    ended = describe(finding.result)
    problem = "; ".join(finding.problems) or None
    return (finding.result.tier, finding.attack.name, ended, result, problem)
