"""``ray-matdesign sample``: crystals from the generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ray_matdesign.crystals.crystal import Crystal
    from ray_matdesign.generators.protocol import Policy

BATCH = 64


def sample(
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many crystals.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same crystals.")] = 0,
    generator: Annotated[
        str, typer.Option(help="Name of a generator, or package.module:factory.")
    ] = "diffusion",
    checkpoint: Annotated[
        str, typer.Option(help="Weights: [b]packaged[/b], a file, or a run directory.")
    ] = "packaged",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="FILE.extxyz, FILE.cif, FILE.csv, or a folder of CIFs."),
    ] = None,
) -> None:
    """Draw crystals from the generator, as they come: neither checked nor relaxed."""
    from ray_matdesign.cli.console import notes, show_table
    from ray_matdesign.cli.outputs import check_target, write_named
    from ray_matdesign.config.schema import PrefilterSettings
    from ray_matdesign.crystals.validity import check

    check_target(out)
    crystals = _draw(_load(generator, checkpoint), n, seed)
    names = [f"sample-{seed}-{place:05d}" for place in range(len(crystals))]
    verdicts = [check(crystal, PrefilterSettings()) for crystal in crystals]
    rows = [
        (name, c.formula, len(c), c.density, c.volume / len(c), verdict or "valid")
        for name, c, verdict in zip(names, crystals, verdicts, strict=True)
    ]
    if out is None:
        columns = ["name", "formula", "atoms", "density_g_cm3", "volume_per_atom_ang3", "validity"]
        show_table(columns, rows)
    else:
        write_named(out, crystals, names)
    valid = sum(verdict is None for verdict in verdicts)
    where = f" in {out}" if out else ""
    notes().print(f"{len(crystals)} crystals{where}, {valid} of them valid", markup=False)


def _load(generator: str, checkpoint: str) -> Policy:
    """The generator with its own weights, or with those a run has given it."""
    from ray_matdesign.config.loading import load_run_config
    from ray_matdesign.config.schema import GeneratorSettings
    from ray_matdesign.generators.registry import load_policy
    from ray_matdesign.rl.checkpoint import load_latest

    run = Path(checkpoint)
    if not (run / "config.yaml").is_file():
        return load_policy(GeneratorSettings(name=generator, checkpoint=checkpoint))
    policy = load_policy(load_run_config(run / "config.yaml").generator)
    held, _ = load_latest(run / "checkpoints")
    policy.load_weights(held.weights, held.version)
    return policy


def _draw(policy: Policy, n: int, seed: int) -> list[Crystal]:
    import numpy as np

    from ray_matdesign.cli.console import progress_bar

    crystals: list[Crystal] = []
    with progress_bar("sampling", n) as bar:
        for batch, start in enumerate(range(0, n, BATCH)):
            size = min(BATCH, n - start)
            # Batches of one seed and those of the next must not share their random numbers.
            state = int(np.random.SeedSequence([seed, batch]).generate_state(1)[0])
            crystals += policy.sample(size, seed=state)
            bar.advance(bar.task_ids[0], size)
    return crystals
