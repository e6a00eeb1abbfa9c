"""``ray-matdesign potential``: whether a potential can be trusted with its own arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ray_matdesign.cli.threads import DEFAULT_THREADS, use_threads

if TYPE_CHECKING:
    from ray_matdesign.potentials.conformance import Finding
    from ray_matdesign.potentials.protocol import Potential

app = typer.Typer(help="Check an interatomic potential.", no_args_is_help=True)

COLUMNS = ("check", "crystal", "result", "largest deviation", "of", "tolerance", "problem")


class Precision(StrEnum):
    """How exact a potential is held to be."""

    SINGLE = "single"
    DOUBLE = "double"


class UnfitOptions(ValueError):
    """Options the potential does not take."""


@app.callback()
def _potential() -> None:
    """Check an interatomic potential."""


@app.command()
def check(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Name of a potential, or package.module:factory."),
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Two or more crystals to check it on, away from rest; by default up to three "
            "strained ones of elements it knows.",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="As in potential.options, e.g. device=cuda; repeat for more."
        ),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="Tolerances of the arithmetic it computes in.")
    ] = Precision.SINGLE,
) -> None:
    """Hold a potential to what physics demands of any; status 1 if it fails.

    Energies that are not extensive, forces and stresses that are not derivatives of the energy,
    results that depend on the order of atoms, on the origin or on what else is in the batch, and
    unknown elements that pass.
    """
    from ray_matdesign.cli.console import notes, progress_bar, show_table
    from ray_matdesign.cli.inputs import read_files
    from ray_matdesign.potentials.conformance import DOUBLE_PRECISION, SINGLE_PRECISION, examine

    use_threads(DEFAULT_THREADS)
    crystals = [crystal for _, crystal in read_files(files)] if files else None
    potential = _load(name, option or ())
    tolerances = SINGLE_PRECISION if precision is Precision.SINGLE else DOUBLE_PRECISION
    with progress_bar(f"checking {potential.name}", 1) as bar:
        findings = examine(
            potential,
            crystals,
            tolerances=tolerances,
            progress=lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total),
        )
    show_table(COLUMNS, [_row(finding) for finding in findings])
    failed = sum(bool(finding.problem) for finding in findings)
    verdict = f"{failed} failed" if failed else "all passed"
    notes().print(f"{potential.name}: {len(findings)} checks, {verdict}", markup=False)
    if failed:
        raise typer.Exit(1)


def _load(name: str, options: Sequence[str]) -> Potential:
    from ray_matdesign.config.loading import dump, load_settings
    from ray_matdesign.config.schema import PotentialSettings
    from ray_matdesign.potentials.registry import load_potential

    overrides = [f"options.{pair}" for pair in options]
    settings = load_settings(
        PotentialSettings, dump(PotentialSettings(name=name)), "potential", overrides
    )
    try:
        return load_potential(settings.name, **settings.options)
    except TypeError as error:
        raise UnfitOptions(f"potential {name} refused its options: {error}") from error


def _row(finding: Finding) -> tuple[object, ...]:
    measured = finding.deviation
    return (
        finding.check,
        finding.formula or None,
        "FAILED" if finding.problem else "passed",
        measured and measured.value,
        measured and f"{measured.quantity} ({measured.unit})",
        measured and measured.tolerance,
        finding.problem or None,
    )
