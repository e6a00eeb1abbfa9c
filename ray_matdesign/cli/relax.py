"""``ray-matdesign relax``: files in, files out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ray_matdesign.cli.threads import DEFAULT_THREADS, use_threads

if TYPE_CHECKING:
    from ray_matdesign.crystals.crystal import Crystal
    from ray_matdesign.potentials.protocol import Failed, Potential, Relaxed

AT_ONCE = 32
"""Crystals given to the relaxer between two moves of the progress bar."""
COLUMNS = (
    "name",
    "formula",
    "atoms",
    "energy_before_ev_per_atom",
    "energy_ev_per_atom",
    "density_g_cm3",
    "steps",
    "converged",
    "max_force_ev_per_ang",
)


class NothingRelaxed(RuntimeError):
    """Every crystal failed."""


def relax(
    files: Annotated[
        list[Path], typer.Argument(help="CIF, extxyz, POSCAR or CSV files, or folders of them.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="FILE.extxyz, FILE.cif, FILE.csv, or a folder of CIFs."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Write the table to this CSV file as well.")
    ] = None,
    potential: Annotated[
        str, typer.Option(help="Name of a potential, or package.module:factory.")
    ] = "chgnet",
    optimizer: Annotated[
        str, typer.Option(help="[b]default[/b] is the one measured fastest.")
    ] = "default",
    fmax: Annotated[float, typer.Option(min=1e-6, help="Largest force left, eV/Angstrom.")] = 0.05,
    max_steps: Annotated[int, typer.Option(min=1, help="Steps, at most.")] = 300,
) -> None:
    """Relax crystals, atoms and cell; print energies and steps."""
    from ray_matdesign.cli.console import show_table, write_table
    from ray_matdesign.cli.inputs import complain, read_files
    from ray_matdesign.cli.outputs import check_target, write_named
    from ray_matdesign.potentials.protocol import Failed
    from ray_matdesign.potentials.registry import load_potential

    check_target(out)
    entries = read_files(files)
    use_threads(DEFAULT_THREADS)
    results = relax_all(
        [crystal for _, crystal in entries],
        load_potential(potential),
        optimizer=optimizer,
        fmax=fmax,
        max_steps=max_steps,
    )
    done = []
    for (name, _), result in zip(entries, results, strict=True):
        if isinstance(result, Failed):
            complain(name, result.reason)
        else:
            done.append((name, result))
    if not done:
        raise NothingRelaxed(f"none of {len(entries)} crystals could be relaxed")
    rows = [_row(name, result) for name, result in done]
    if out is not None:
        write_named(out, [result.crystal for _, result in done], [name for name, _ in done])
    if table is not None:
        write_table(table, COLUMNS, rows)
    show_table(COLUMNS, rows)


def relax_all(
    crystals: Sequence[Crystal],
    potential: Potential,
    *,
    optimizer: str,
    fmax: float,
    max_steps: int,
) -> list[Relaxed | Failed]:
    """Relaxes crystals under a progress bar; same order and length."""
    from ray_matdesign.cli.console import progress_bar
    from ray_matdesign.potentials.relaxation import DEFAULT_OPTIMIZER, BatchRelaxer

    chosen = DEFAULT_OPTIMIZER if optimizer == "default" else optimizer
    relaxer = BatchRelaxer(potential, optimizer=chosen)
    results: list[Relaxed | Failed] = []
    with progress_bar("relaxing", len(crystals)) as bar:
        for start in range(0, len(crystals), AT_ONCE):
            batch = crystals[start : start + AT_ONCE]
            results += relaxer.relax(batch, fmax_ev_per_ang=fmax, max_steps=max_steps)
            bar.advance(bar.task_ids[0], len(batch))
    return results


def _row(name: str, result: Relaxed) -> tuple[object, ...]:
    return (
        name,
        result.crystal.formula,
        len(result.crystal),
        result.initial_energy_ev_per_atom,
        result.energy_ev_per_atom,
        result.crystal.density,
        result.steps,
        result.converged,
        result.max_force_ev_per_ang,
    )
