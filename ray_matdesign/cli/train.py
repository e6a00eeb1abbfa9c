"""``ray-matdesign train``: the generator, from crystals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ray_matdesign.crystals.crystal import Crystal
    from ray_matdesign.crystals.dataset import Dataset

E_HULL_COLUMN = "e_above_hull"
"""Column of a CSV file that may hold the energy above hull, eV/atom."""
FORMATION_COLUMN = "formation_energy_per_atom"
"""Column that may hold the formation energy on the MP2020 scale, eV/atom."""


class WouldOverwrite(ValueError):
    """A folder that holds another training."""


def train(
    data: Annotated[
        Path, typer.Argument(help="Crystals: CSV with a cif column, extxyz, CIF, or a folder.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings to change, e.g. steps=20000 width=192."),
    ] = None,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="YAML file of training settings.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for weights, metrics and checkpoints.")
    ] = Path("runs/training"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last checkpoint.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print every setting and stop.")
    ] = False,
) -> None:
    """Train the generator; its weights serve as generator.checkpoint."""
    from ray_matdesign.config.loading import dump, load_settings, read_source
    from ray_matdesign.config.schema import TrainSettings

    where, text = ("defaults", "{}") if settings_file is None else read_source(settings_file)
    settings = load_settings(TrainSettings, text, where, overrides or ())
    if dry_run:
        typer.echo(dump(settings), nl=False)
        return

    from ray_matdesign.cli.console import progress_bar
    from ray_matdesign.generators.diffusion import training

    if not resume and (out / training.CHECKPOINT_NAME).exists():
        raise WouldOverwrite(f"{out} holds a training already; add --resume, or choose another")
    crystals = _read_stable(data, settings.max_e_above_hull_ev_per_atom)
    last = 0
    try:
        with progress_bar("training", settings.steps) as bar:

            def show(step: int, losses: Mapping[str, float]) -> None:
                nonlocal last
                last = step
                label = f"training, loss {losses['total']:.3f}"
                bar.update(bar.task_ids[0], completed=step, description=label)

            notes = {"data": data.name, "crystals": len(crystals)}
            training.train(crystals, settings, out, resume=resume, notes=notes, progress=show)
    except KeyboardInterrupt as interrupt:
        typer.echo(
            f"ray-matdesign: stopped at step {last}; go on from the last checkpoint in {out} with "
            "--resume",
            err=True,
        )
        raise typer.Exit(130) from interrupt
    typer.echo(f"weights: {out}")


def _read_stable(data: Path, max_e_above_hull_ev_per_atom: float) -> list[Crystal]:
    """Crystals of a file, without those it says are too far above the hull.

    Where the file tells a formation energy but no energy above hull, the packaged hull gives it. A
    crystal of which neither is known is kept.
    """
    from ray_matdesign.cli.console import notes
    from ray_matdesign.cli.inputs import complain, read_files
    from ray_matdesign.crystals.dataset import load_dataset
    from ray_matdesign.crystals.files import read_csv_rows

    is_csv = data.is_file() and data.name.endswith((".csv", ".csv.gz"))
    columns = next(read_csv_rows(data), {}) if is_csv else {}
    known = [column for column in (E_HULL_COLUMN, FORMATION_COLUMN) if column in columns]
    if not known:
        return [crystal for _, crystal in read_files([data])]
    dataset = load_dataset(data, known)
    for entry in dataset.unreadable:
        complain(entry.name, entry.reason)
    above = _e_above_hull(dataset) > max_e_above_hull_ev_per_atom  # false where unknown
    notes().print(
        f"{data}: {len(dataset)} crystals, {int(above.sum())} of them left out for an energy above "
        f"hull of more than {max_e_above_hull_ev_per_atom:g} eV/atom",
        markup=False,
    )
    return [c for c, out in zip(dataset.crystals, above, strict=True) if not out]


def _e_above_hull(dataset: Dataset) -> NDArray[np.float64]:
    """Energy above hull of each crystal, eV/atom; NaN where the file does not tell enough."""
    import numpy as np

    from ray_matdesign.stability.reference import ReferenceSet

    unknown = np.full(len(dataset), np.nan)
    above = np.array(dataset.labels.get(E_HULL_COLUMN, unknown))
    formation = dataset.labels.get(FORMATION_COLUMN, unknown)
    reference = ReferenceSet.load("packaged")
    for row in np.flatnonzero(np.isnan(above) & ~np.isnan(formation)):
        crystal = dataset.crystals[row]
        if not reference.missing_elements(crystal):
            above[row] = reference.e_above_hull(crystal, float(formation[row]))
    return above
