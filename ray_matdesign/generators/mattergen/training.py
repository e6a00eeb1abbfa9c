"""Training a MatterGen network of any size on one's own crystals, by MatterGen's loss.

The published model has 45 million parameters and took GPU-months. That of
:class:`~ray_matdesign.generators.mattergen.shape.MatterGenShape`'s defaults has a hundredth of them
and learns something on a laptop: enough to exercise everything, not to design materials with.

``python -m ray_matdesign.generators.mattergen.training DATA FOLDER key=value ...`` trains from the
command line; ``docs/mattergen.md`` has the settings of a medium network for a GPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from ray_matdesign.config.schema import Settings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.diffusion.cells import niggli
from ray_matdesign.generators.mattergen.batch import to_batch
from ray_matdesign.generators.mattergen.checkpoint import build_module, save_checkpoint
from ray_matdesign.generators.mattergen.compat import mattergen_modules
from ray_matdesign.generators.mattergen.losses import crystal_losses, seeded
from ray_matdesign.generators.mattergen.shape import MatterGenShape, shape_config

HULL_COLUMN = "e_above_hull"
COLUMNS = {"dft_band_gap": "band_gap", "energy_above_hull": HULL_COLUMN}
"""Columns of a data set whose names are not MatterGen's."""
REPORT_EVERY = 50

Labels = Mapping[str, Sequence[float] | NDArray[np.float64]]
Progress = Callable[[int, float], None]


class MatterGenTraining(Settings):
    """How a network is trained (MatterGen's own settings, but for a small model's larger rate)."""

    steps: PositiveInt = 2000
    batch_size: PositiveInt = 32
    lr: PositiveFloat = 1e-3
    decay_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    """Last share of the steps, over which the rate falls to zero."""
    clip_value: PositiveFloat = 0.5
    """Bound of each gradient's entries."""
    max_atoms: PositiveInt = 20
    save_every: PositiveInt = 500
    seed: NonNegativeInt = 0


class MatterGenPlan(Settings):
    """What the command line takes, as ``shape.hidden_dim=128 training.steps=20000``."""

    shape: MatterGenShape = MatterGenShape()
    training: MatterGenTraining = MatterGenTraining()
    max_e_above_hull_ev_per_atom: float = 0.1
    """Crystals above it are not learned from, where the file has ``e_above_hull``."""


def train_mattergen(
    crystals: Sequence[Crystal],
    folder: str | Path,
    shape: MatterGenShape | None = None,
    settings: MatterGenTraining | None = None,
    *,
    labels: Labels | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> float:
    """Trains a network and saves it in the official layout, now and then and at the end.

    Args:
        crystals: To learn; those with more than ``max_atoms`` atoms, or with elements MatterGen
            never generates, are left out.
        folder: For the checkpoint.
        shape: Of the network.
        settings: Of the training.
        labels: Values of each of the shape's conditions, one for each crystal; NaN where unknown.
        device: ``cpu`` or ``cuda``.
        progress: Called with the step and its loss.

    Returns:
        Mean loss over the last tenth of the steps.

    Raises:
        ValueError: No crystal qualifies, or a condition has no labels.
        FloatingPointError: The loss is not finite.
    """
    shape, settings = shape or MatterGenShape(), settings or MatterGenTraining()
    chosen = _qualifying(crystals, settings.max_atoms)
    rows: Labels = {name: _labels_of(name, labels or {}, chosen) for name in shape.conditions}
    batches = _batches([niggli(crystals[k]) for k in chosen], rows, settings)
    where = torch.device(device)
    losses: list[float] = []
    with seeded(settings.seed, where):
        config = shape_config(shape)
        module = build_module(config, "shape").to(where)
        fit_property_scalers(module, rows)
        fit_scale_factors(module, next(batches).to(where))
        optimizer = torch.optim.Adam(
            [weight for weight in module.parameters() if weight.requires_grad], lr=settings.lr
        )
        for step in range(1, settings.steps + 1):
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * _schedule(step, settings)
            losses.append(_train_step(module, next(batches).to(where), optimizer, settings))
            if progress is not None:
                progress(step, losses[-1])
            if step % settings.save_every == 0 or step == settings.steps:
                save_checkpoint(Path(folder), module, config)
    return float(np.mean(losses[-max(1, settings.steps // 10) :]))


def fit_scale_factors(module: Any, batch: Any) -> None:
    """Sets GemNet's scale factors so that each layer keeps the variance of its input.

    Factors are fitted in the order in which the layers are run, each with those before it in place,
    on one noised batch (Gasteiger et al., arXiv:2106.08903, section 6).

    Args:
        module: Untrained ``DiffusionModule``.
        batch: Crystals.
    """
    layer = mattergen_modules().scaling.ScalingFactor

    def fit(factor: Any, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
        reference, output = inputs
        ratio = reference.var(dim=0).mean() / output.var(dim=0).mean()
        factor.scale_factor.copy_(ratio.sqrt())

    hooks = [
        part.register_forward_pre_hook(fit) for part in module.modules() if isinstance(part, layer)
    ]
    try:
        with torch.no_grad():
            module.calc_loss(batch)
    finally:
        for hook in hooks:
            hook.remove()


def fit_property_scalers(module: Any, labels: Labels) -> None:
    """Sets mean and spread of each property the network is conditioned on."""
    embeddings = dict(getattr(module.model, "property_embeddings_adapt", {}))
    for name, embedding in embeddings.items():
        embedding.fit_scaler(torch.tensor(np.asarray(labels[name]), dtype=torch.float32))


def _qualifying(crystals: Sequence[Crystal], max_atoms: int) -> list[int]:
    able = set(mattergen_modules().globals.SELECTED_ATOMIC_NUMBERS)
    chosen = [k for k, c in enumerate(crystals) if len(c) <= max_atoms and c.elements <= able]
    if not chosen:
        raise ValueError(
            f"none of {len(crystals)} crystals has at most {max_atoms} atoms and only elements "
            "that MatterGen generates"
        )
    return chosen


def _labels_of(name: str, labels: Labels, chosen: Sequence[int]) -> NDArray[np.float64]:
    if name not in labels:
        raise ValueError(f"condition {name}: no labels are given")
    values = np.asarray(labels[name], dtype=np.float64)[chosen]
    if np.isnan(values).all():
        raise ValueError(f"condition {name}: none of the {len(chosen)} crystals has a label")
    return values


def _batches(
    crystals: Sequence[Crystal], labels: Labels, settings: MatterGenTraining
) -> Iterator[Any]:
    """Endless shuffled batches."""
    rng = np.random.default_rng(settings.seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < settings.batch_size:
            waiting += rng.permutation(len(crystals)).tolist()
        now, waiting = waiting[: settings.batch_size], waiting[settings.batch_size :]
        properties = {name: [float(values[k]) for k in now] for name, values in labels.items()}
        yield to_batch([crystals[k] for k in now], properties)


def _schedule(step: int, settings: MatterGenTraining) -> float:
    decay = settings.decay_fraction * settings.steps
    return min(1.0, (settings.steps - step + 1) / decay)


def _train_step(
    module: Any, batch: Any, optimizer: torch.optim.Optimizer, settings: MatterGenTraining
) -> float:
    clean = module.pre_corruption_fn(batch)
    time = module.sample_timesteps(clean)
    noisy = module.corruption.sample_marginal(clean, time)
    answer = module.train().model(noisy, time)
    loss = crystal_losses(module, clean, noisy, answer, time).mean()
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the loss is not finite: {loss.item()}")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_value_(module.parameters(), settings.clip_value)
    optimizer.step()
    return float(loss.detach())


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains from the command line; see the module's documentation."""
    from ray_matdesign.config.loading import load_settings
    from ray_matdesign.crystals.dataset import load_dataset
    from ray_matdesign.crystals.files import read_csv_rows

    parser = argparse.ArgumentParser(description="Train a MatterGen network on crystals.")
    parser.add_argument("data", type=Path, help="CSV with a cif column, gzipped or not")
    parser.add_argument("folder", type=Path, help="for the checkpoint, in MatterGen's layout")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    given = parser.parse_args(arguments)
    plan = load_settings(MatterGenPlan, "{}", "defaults", given.overrides)
    columns = next(read_csv_rows(given.data), {})
    hull = [HULL_COLUMN] if HULL_COLUMN in columns else []
    sources = {name: COLUMNS.get(name, name) for name in plan.shape.conditions}
    data = load_dataset(given.data, list(dict.fromkeys([*hull, *sources.values()])))
    if hull:
        above = data.labels[HULL_COLUMN] > plan.max_e_above_hull_ev_per_atom  # false where unknown
        data = data.subset(np.flatnonzero(~above))
    recent: list[float] = []

    def report(step: int, loss: float) -> None:
        recent.append(loss)
        if step % REPORT_EVERY == 0:
            sys.stderr.write(f"step {step}: loss {np.mean(recent):.4f}\n")
            recent.clear()

    train_mattergen(
        data.crystals,
        given.folder,
        plan.shape,
        plan.training,
        labels={name: data.labels[column] for name, column in sources.items()},
        device=given.device,
        progress=report,
    )
    sys.stderr.write(f"checkpoint: {given.folder}\n")


if __name__ == "__main__":
    main()
