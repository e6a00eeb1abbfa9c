"""``ray-matdesign sample``: crystals from the generator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ray_matdesign.cli.threads import DEFAULT_THREADS, use_threads

if TYPE_CHECKING:
    from ray_matdesign.crystals.crystal import Crystal
    from ray_matdesign.generators.protocol import Trainable

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
    formula: Annotated[
        str, typer.Option(help="Only crystals of this composition, e.g. SrTiO3.")
    ] = "",
    system: Annotated[
        str, typer.Option(help="Exactly these elements, all of them, e.g. Li-Mn-O.")
    ] = "",
    only: Annotated[str, typer.Option(help="No elements but these, e.g. Na,Mg,O.")] = "",
    without: Annotated[str, typer.Option(help="None of these elements, e.g. Co,Pb.")] = "",
    condition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Property to aim for, of weights trained with conditions."
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Sampler option, e.g. steps=50 or guidance=3."),
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads to compute with; more seldom pay.")
    ] = DEFAULT_THREADS,
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
    use_threads(threads)
    wanted = {
        "constraints.composition": formula,
        "constraints.chemical_system": _list(system, "-"),
        "constraints.allowed_elements": _list(only, ","),
        "constraints.excluded_elements": _list(without, ","),
    }
    overrides = [f"{key}={value}" for key, value in wanted.items() if value]
    overrides += [f"condition.{pair}" for pair in condition or ()]
    overrides += [f"options.{pair}" for pair in option or ()]
    crystals = _draw(_load(generator, checkpoint, overrides), n, seed)
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


def _list(text: str, separator: str) -> str:
    """Symbols as a YAML list; empty for none."""
    symbols = [symbol.strip() for symbol in text.split(separator) if symbol.strip()]
    # Quoted, since YAML would read the symbols of nitrogen and yttrium as words of its own.
    return "[" + ", ".join(f"'{symbol}'" for symbol in symbols) + "]" if symbols else ""


def _load(generator: str, checkpoint: str, overrides: Sequence[str]) -> Trainable:
    """The generator with its own weights, or with those a run has given it."""
    from ray_matdesign.config.loading import dump, load_run_config, load_settings
    from ray_matdesign.config.schema import GeneratorSettings
    from ray_matdesign.generators.registry import load_policy
    from ray_matdesign.rl.checkpoint import load_latest

    run = Path(checkpoint)
    # MatterGen's own folders also hold a config.yaml, beside a checkpoint of Lightning's.
    trained = (run / "config.yaml").is_file() and not (run / "checkpoints/last.ckpt").is_file()
    base = (
        load_run_config(run / "config.yaml").generator
        if trained
        else GeneratorSettings(name=generator, checkpoint=checkpoint)
    )
    policy = load_policy(load_settings(GeneratorSettings, dump(base), "generator", overrides))
    if trained:
        held, _ = load_latest(run / "checkpoints")
        policy.load_weights(held.weights, held.version)
    return policy


def _draw(policy: Trainable, n: int, seed: int) -> list[Crystal]:
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
