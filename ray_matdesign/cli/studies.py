"""``ray-matdesign cascade study``: small studies, from question to report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Small studies, from question to report.")

Out = Annotated[Path, typer.Option(help="Folder for data, figure and report.")]
PotentialName = Annotated[str, typer.Option(help="A potential's name or import path.")]


class Material(StrEnum):
    """Crystals at hand for the elastic study."""

    SI = "Si"
    MGO = "MgO"


@app.command()
def elasticity(
    material: Material, out: Out = Path("study"), potential: PotentialName = "chgnet"
) -> None:
    """Elastic tensor of a crystal, with strain size, checks and uncertainty."""
    from ray_matdesign.agents.scenarios.elasticity import determine_elasticity, write_elasticity
    from ray_matdesign.agents.scenarios.materials import CUBIC
    from ray_matdesign.potentials.registry import load_potential

    study = determine_elasticity(CUBIC[material.value], load_potential(potential))
    typer.echo(write_elasticity(study, out))


@app.command()
def disagreement(
    crystals: Annotated[Path, typer.Argument(help="CSV with cif and formation energies.")],
    out: Out = Path("study"),
    first: PotentialName = "chgnet",
    second: PotentialName = "sevennet",
    n: Annotated[int, typer.Option(min=20, help="Crystals to judge.")] = 400,
    seed: Annotated[int, typer.Option(help="Of the drawing and the split.")] = 0,
) -> None:
    """Where two potentials differ, chemistry by chemistry, and from DFT."""
    from ray_matdesign.agents.scenarios.disagreement import (
        LABEL,
        one_per_formula,
        residuals_of,
        study_disagreement,
        write_disagreement,
    )
    from ray_matdesign.crystals.dataset import load_dataset
    from ray_matdesign.potentials.registry import load_potential
    from ray_matdesign.stability.reference import ReferenceSet

    chosen = one_per_formula(load_dataset(crystals, [LABEL]), n, seed=seed)
    potentials = (load_potential(first), load_potential(second))
    residuals = residuals_of(chosen, potentials, ReferenceSet.load("packaged"))
    typer.echo(write_disagreement(study_disagreement(residuals, seed=seed), out))


@app.command()
def copper(out: Out = Path("study"), potential: PotentialName = "emt") -> None:
    """Equation of state, vacancy and adatom of copper, after a published description."""
    from ray_matdesign.agents.scenarios.copper import study_copper, write_copper
    from ray_matdesign.potentials.registry import load_potential

    typer.echo(write_copper(study_copper(load_potential(potential)), out))


@app.command()
def silicon(out: Out = Path("study"), potential: PotentialName = "chgnet") -> None:
    """Phonons of silicon, after a published description."""
    from ray_matdesign.agents.scenarios.silicon import study_silicon, write_silicon
    from ray_matdesign.potentials.registry import load_potential

    typer.echo(write_silicon(study_silicon(load_potential(potential)), out))
