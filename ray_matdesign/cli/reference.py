"""``ray-matdesign reference``: what stability and novelty are judged against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make a reference set, or look at one.", no_args_is_help=True)


@app.command()
def build(
    crystals: Annotated[
        list[Path] | None,
        typer.Argument(help="Known crystals: CSV with a cif column, extxyz, CIF, or folders."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("reference"),
    entries: Annotated[
        list[Path] | None,
        typer.Option(help="JSON of pymatgen entries (corrected energies); may be repeated."),
    ] = None,
    hull: Annotated[
        list[Path] | None,
        typer.Option(help="CSV: formula, formation_energy_per_atom; may be repeated."),
    ] = None,
    elements: Annotated[
        Path | None, typer.Option(help="JSON: energy, eV/atom, or entry, by element symbol.")
    ] = None,
    description: Annotated[str, typer.Option(help="Where the data came from, for reports.")] = "",
) -> None:
    """Make a reference set for stability.reference from your own data."""
    from ray_matdesign.cli.console import notes, progress_bar
    from ray_matdesign.cli.inputs import complain
    from ray_matdesign.stability.build import build_reference, read_sources

    sources = read_sources(crystals or (), entries or (), hull or (), elements)
    for entry in sources.unreadable:
        complain(entry.name, entry.reason)
    with progress_bar("packing", len(sources.crystals)) as bar:
        reference = build_reference(
            sources.crystals,
            sources.compounds,
            sources.elemental_energies,
            out,
            description=description,
            progress=lambda done: bar.update(bar.task_ids[0], completed=done),
        )
    notes().print(
        f"{out}: {len(reference.elements)} elements, {len(reference.hull)} compounds in the hull, "
        f"{len(reference.known)} known crystals; use it with stability.reference={out}",
        markup=False,
    )


@app.command()
def info(
    where: Annotated[
        str, typer.Argument(metavar="packaged|FOLDER", help="Which reference set.")
    ] = "packaged",
) -> None:
    """Say what a reference set holds."""
    from ray_matdesign.crystals.elements import SYMBOLS
    from ray_matdesign.stability.reference import ReferenceSet

    reference = ReferenceSet.load(where)
    if reference.description:
        typer.echo(reference.description)
    symbols = " ".join(SYMBOLS[z] for z in sorted(reference.elements))
    typer.echo(f"elements ({len(reference.elements)}): {symbols}")
    typer.echo(f"compounds in the hull: {len(reference.hull)}")
    typer.echo(f"known crystals: {len(reference.known)}")
    for symbol, reason in reference.excluded.items():
        typer.echo(f"left out: {symbol}: {reason}")
